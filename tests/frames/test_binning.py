"""Laws 1-3 on made-up streams with gaps and disorder and on real recordings; numba against numpy; and tonic."""

import tracemalloc
from itertools import pairwise

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvspipe.errors import DvspipeError
from dvspipe.events import Events
from dvspipe.frames import Binner, kernels, to_frames
from dvspipe.frames.axes import SHIFT, make_axes
from dvspipe.frames.binning import BLOCK_FRAMES, MAX_GAP_BINS, BinReport
from dvspipe.frames.kernels import STRETCH, bin_numpy
from dvspipe.recordings import open_recording

SIZE = (10, 6)
REAL = ["dvs128_garfield.mat", "dvs128_stripes.mat", "dvxplorer_person.aedat4"]


class NumpyBinner(Binner):
    """Binning with the reference kernel."""

    kernel = staticmethod(bin_numpy)


@st.composite
def streams(draw):
    """Events whose times run on, stand still, jump ahead over many bins, and fall back."""
    steps = draw(st.lists(st.one_of(st.integers(0, 9), st.integers(-60, 300), st.just(3_000)), max_size=60))
    t = np.cumsum([draw(st.integers(-500, 500)), *steps]) if steps else np.zeros(0)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, y, p = rng.integers(0, SIZE[0], len(t)), rng.integers(0, SIZE[1], len(t)), rng.random(len(t)) < 0.5
    return Events.of(t, x, y, p, SIZE)


@st.composite
def chunked(draw):
    """A stream and a cutting of it; some chunks are empty."""
    events = draw(streams())
    cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=8)))
    edges = [0, *cuts, len(events)]
    return events, [events[a:b] for a, b in pairwise(edges)]


def binned(binner, chunks):
    blocks = [block for chunk in chunks for block in binner.push(chunk)] + list(binner.drain())
    assert all(len(block) <= BLOCK_FRAMES for block in blocks)
    frames = np.concatenate([np.zeros((0, *binner.frame_shape), np.int32), *blocks])
    return frames, binner.finish()


def by_definition(events, bin_us, t0_us, downsample, crop):
    """Decision 3, word by word, one event at a time."""
    left, top, *box = crop or (0, 0, *events.sensor_size)
    width, height = (-(-size // downsample) for size in box)
    bins, newest, late, before, cropped = {}, 0, 0, 0, 0
    for t, x, y, p in zip(events.t.tolist(), events.x, events.y, events.p):
        t0_us = t // bin_us * bin_us if t0_us is None else t0_us
        number = (t - t0_us) // bin_us
        if t < t0_us:
            before += 1
        elif number < newest:
            late += 1
        else:
            newest = number
            frame = bins.setdefault(number, np.zeros((2, height, width), np.int32))
            if left <= x < left + box[0] and top <= y < top + box[1]:
                frame[int(p), (y - top) // downsample, (x - left) // downsample] += 1
            else:
                cropped += 1
    tail = int(bins.pop(newest).sum()) if newest in bins else 0
    frames = np.zeros((newest, 2, height, width), np.int32)
    for number, frame in bins.items():
        frames[number] = frame
    return frames, BinReport(int(frames.sum()), late, before, tail, newest, t0_us, cropped)


@given(
    chunked(),
    st.sampled_from([1, 7, 50]),
    st.sampled_from([None, -40, 0, 333]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([None, (0, 0, *SIZE), (3, 1, 5, 4), (9, 5, 1, 1)]),
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_chunking_is_bit_identical_and_every_event_is_counted(cut, bin_us, t0_us, downsample, crop):
    events, chunks = cut
    expected, report = by_definition(events, bin_us, t0_us, downsample, crop)
    for kind in (Binner, NumpyBinner):
        frames, found = binned(kind(bin_us, SIZE, t0_us, downsample=downsample, crop=crop), chunks)
        assert frames.dtype == np.int32
        np.testing.assert_array_equal(frames, expected)
        assert found == report
    whole, found = to_frames(events, bin_us, t0_us=t0_us, downsample=downsample, crop=crop)
    np.testing.assert_array_equal(whole, expected)
    assert found == report
    assert whole.sum() == found.binned
    assert found.binned + found.late + found.before + found.tail + found.cropped == len(events)


@given(chunked(), st.sampled_from([7, 50]), st.sampled_from([(3, 1, 5, 4), (0, 2, 10, 1), (9, 5, 1, 1)]))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_a_crop_is_cut_out_of_the_whole_frame(cut, bin_us, crop):
    events, chunks = cut
    left, top, width, height = crop
    whole, _ = to_frames(events, bin_us)
    frames, _ = to_frames(chunks, bin_us, SIZE, crop=crop)
    np.testing.assert_array_equal(frames, whole[:, :, top : top + height, left : left + width])


@pytest.mark.parametrize("downsample", [1, 3, 7, 1000, 65_535, 65_536])
def test_a_multiplication_divides_every_coordinate_exactly(downsample):
    (axis, _), (width, _) = make_axes((65_536, 65_536), downsample, None)
    every = np.arange(65_536)
    np.testing.assert_array_equal((every * axis.scale) >> SHIFT, every // downsample)
    assert width == 65_535 // downsample + 1


def test_without_a_compiler_numpy_bins_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    assert kernels.chosen() is bin_numpy
    assert "binned by numpy" in caplog.text


def stretches():
    """Sizes around the kernel's stretch, uneven rates, times that run back within and beyond a bin."""
    rng = np.random.default_rng(5)
    for n in (STRETCH - 1, STRETCH, STRETCH + 1, 3 * STRETCH, 20 * STRETCH + 7):
        for scale, back in ((0.1, 0), (1, 0), (1, 3), (40, 100)):
            t = np.cumsum(rng.exponential(scale, n)) + rng.integers(-back, back + 1, n)
            yield Events.of(t, rng.integers(0, 10, n), rng.integers(0, 6, n), rng.random(n) < 0.5, SIZE)


@pytest.mark.parametrize("crop", [None, (2, 1, 7, 3)])
def test_long_streams_are_binned_alike_by_numba_and_numpy(crop):
    for events in stretches():
        fast, report = binned(Binner(37, SIZE, crop=crop), [events])
        slow, same = binned(NumpyBinner(37, SIZE, crop=crop), [events])
        np.testing.assert_array_equal(fast, slow)
        assert report == same
        whole, same = to_frames(events, 37, crop=crop)
        np.testing.assert_array_equal(whole, slow)
        assert report == same


def test_a_newest_event_in_the_middle_makes_room_all_the_same():
    events = Events.of([0, 500_000, 10], [0, 1, 2], [0, 0, 0], [1, 1, 1], SIZE)
    frames, report = to_frames(events, 1_000)
    assert (len(frames), report.late, report.tail) == (500, 1, 1)
    assert frames.sum() == 1


@given(chunked(), st.sampled_from([1, 7, 50]), st.integers(0, 400), st.sampled_from([-100, 0, 250]))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_window_has_exactly_its_bins_whatever_lies_outside(cut, bin_us, n_bins, t0_us):
    events, chunks = cut
    stop_us = t0_us + n_bins * bin_us
    inside = events.between(t0_us, stop_us)
    frames, report = to_frames(iter(chunks), bin_us, SIZE, t0_us, n_bins)
    alone, alone_report = to_frames(inside, bin_us, t0_us=t0_us, n_bins=n_bins)
    slow, slow_report = binned(NumpyBinner(bin_us, SIZE, t0_us, stop_us), chunks)
    assert frames.shape == (n_bins, 2, SIZE[1], SIZE[0])
    np.testing.assert_array_equal(frames, alone)
    np.testing.assert_array_equal(frames, slow)
    assert report == slow_report
    assert report.binned == alone_report.binned == frames.sum()
    assert alone_report.tail == alone_report.before == 0
    assert sum(report[:4]) == len(events)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("downsample", [1, 4])
def test_real_recording_live_equals_offline(recordings_dir, name, downsample):
    recording = open_recording(recordings_dir / name)
    events = recording.load()
    whole, report = to_frames(events, 15_000, downsample=downsample)
    assert whole.sum() == report.binned > 0
    assert report.binned + report.late + report.before + report.tail == len(events)
    rng = np.random.default_rng(0)
    cuts = np.sort(rng.integers(0, len(events), 200))
    pieces = [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)])]
    for chunks in (recording, pieces):
        again, same = to_frames(chunks, 15_000, events.sensor_size, downsample=downsample)
        np.testing.assert_array_equal(again, whole)
        assert same == report
    slow, same = binned(NumpyBinner(15_000, events.sensor_size, downsample=downsample), [events])
    np.testing.assert_array_equal(slow, whole)
    assert same == report


def test_agrees_with_tonic_where_the_definitions_agree():
    """Bins from a given start, no disorder: tonic's ToFrame(start_time) has the same frames."""
    from tonic.transforms import ToFrame

    rng = np.random.default_rng(1)
    n = 20_000
    events = Events.of(
        np.sort(rng.integers(0, 300_000, n)),
        rng.integers(0, 34, n),
        rng.integers(0, 20, n),
        rng.random(n) < 0.4,
        (34, 20),
    )
    table = np.empty(n, [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", bool)])
    for name in "xytp":
        table[name] = getattr(events, name)
    theirs = ToFrame((34, 20, 2), time_window=15_000, start_time=0)(table)
    ours, _ = to_frames(events, 15_000, t0_us=0)
    assert len(ours) == 19  # the bin of the last event, 285,000..300,000 us, is not known to be over
    np.testing.assert_array_equal(ours, theirs[:19])


@pytest.mark.parametrize("n_bins", [None, 0, 5])
def test_empty_recording_gives_frames_of_the_right_type(n_bins):
    for source in (Events.empty(SIZE), [], [Events.empty(SIZE)]):
        frames, report = to_frames(source, 1_000, SIZE, n_bins=n_bins, downsample=2)
        assert frames.dtype == np.int32
        assert frames.shape == (n_bins or 0, 2, 3, 5)
        assert report[:4] == (0, 0, 0, 0)


def test_bin_zero_begins_on_the_clock_not_at_the_first_event():
    events = Events.of([1_999, 2_000, 3_500, -1], [0, 1, 2, 3], [0, 0, 0, 0], [1, 0, 1, 1], SIZE)
    frames, report = to_frames(events, 1_000)
    assert report == BinReport(binned=2, late=0, before=1, tail=1, frames=2, t0_us=1_000)
    assert frames[0, 1, 0, 0] == 1
    assert frames[1, 0, 0, 1] == 1
    negative, report = to_frames(events[3:], 1_000)
    assert report.t0_us == -1_000
    assert len(negative) == 0


def test_downsample_that_does_not_divide_the_sensor_loses_no_event():
    events = Events.of([0, 1, 5], [345, 344, 0], [259, 259, 0], [1, 1, 1], (346, 260))
    frames, report = to_frames(events, 5, downsample=4)
    assert frames.shape == (1, 2, 65, 87)
    assert frames[0, 1, 64, 86] == 2
    assert report.binned == 2


def test_long_gap_costs_one_block_of_memory():
    binner = Binner(100, (128, 128))
    pair = Events.of([0, 100_000 * 100], [0, 0], [0, 0], [1, 1], (128, 128))
    list(binner.push(pair[:1]))
    tracemalloc.start()
    frames = 0
    for block in binner.push(pair[1:]):
        frames += len(block)
        del block
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert frames == 100_000  # 13 GB if they were held
    assert peak < 20 * 2**20


@pytest.mark.parametrize("kind", [Binner, NumpyBinner])
def test_corrupt_time_stamp_is_refused_not_binned_for_ever(kind):
    binner = kind(1_000, SIZE)
    events = Events.of([0, 1_000, 10**15, 2_000], [0] * 4, [0] * 4, [1] * 4, SIZE)
    taken = []
    with pytest.raises(DvspipeError, match=r"1000000000000000 us.*at most 1000000"):
        taken.extend(binner.push(events))
    assert sum(len(block) for block in taken) == 1  # what was closed before it is delivered
    allowed = Events.of([0, MAX_GAP_BINS * 1_000 + 999], [0, 0], [0, 0], [1, 1], SIZE)
    frames = sum(len(block) for block in kind(1_000, SIZE).push(allowed))
    assert frames == MAX_GAP_BINS
    for t in (np.iinfo(np.int64).max, np.iinfo(np.int64).min):
        with pytest.raises(DvspipeError):
            to_frames(Events.of([t, t], [0, 0], [0, 0], [0, 0], SIZE), 1_000)
    _, report = binned(kind(1_000, SIZE, -5_000, 5_000), [events])
    assert report.tail == 1  # beyond a known end it is only one event too many


@pytest.mark.parametrize(
    "arguments",
    [
        {"bin_us": 0},
        {"bin_us": -5},
        {"bin_us": 1.5},
        {"bin_us": 10, "downsample": 0},
        {"bin_us": 10, "n_bins": -1},
        {"bin_us": 10, "crop": (0, 0, 11, 6)},
        {"bin_us": 10, "crop": (-1, 0, 4, 4)},
        {"bin_us": 10, "crop": (2, 2, 0, 4)},
        {"bin_us": 10, "sensor_size": (9, 6)},
        {"bin_us": 10, "sensor_size": (10, 5)},
    ],
)
def test_bad_input_is_refused(arguments):
    events = Events.of([0, 50], [9, 0], [0, 5], [1, 1], SIZE)
    with pytest.raises(DvspipeError):
        to_frames(events, **arguments)


def test_source_without_a_sensor_size_is_refused():
    with pytest.raises(DvspipeError, match="sensor_size"):
        to_frames([], 10)


def test_a_chunk_half_taken_is_noticed():
    binner = Binner(10, SIZE)
    blocks = binner.push(Events.of([0, 50], [0, 0], [0, 0], [1, 1], SIZE))
    with pytest.raises(RuntimeError):
        binner.finish()
    with pytest.raises(RuntimeError):
        binner.push(Events.empty(SIZE))
    list(blocks)
    assert binner.finish().frames == 5


def test_a_frame_once_given_is_never_changed():
    binner = Binner(10, SIZE)
    given_out, copies = [], []
    for t in range(0, 200, 3):
        for block in binner.push(Events.of([t], [1], [1], [1], SIZE)):
            given_out.append(block)
            copies.append(block.copy())
    for block, copy in zip(given_out, copies):
        np.testing.assert_array_equal(block, copy)


def test_a_result_larger_than_memory_is_refused_at_once():
    events = Events.of([0, 900_000_000], [0, 0], [0, 0], [1, 1], (128, 128))
    for source in (events, [events[:1], events[1:]]):
        with pytest.raises(DvspipeError, match=r"8 GiB.*Binner"):
            to_frames(source, 1_000)
