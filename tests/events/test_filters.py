"""Laws of the filters: involutions, nothing edited in place, streams equal wholes, noise goes and edges stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvspipe.errors import DvspipeError
from dvspipe.events import Events, filters
from dvspipe.recordings import open_recording

SIZE = (9, 7)


@st.composite
def streams(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 80))
    t = np.cumsum(rng.integers(-2, 20, n))
    return Events.of(t, rng.integers(0, SIZE[0], n), rng.integers(0, SIZE[1], n), rng.random(n) < 0.5, SIZE)


def same(one, two):
    for name in "txyp":
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert getattr(one, name).dtype == getattr(two, name).dtype
    assert one.sensor_size == two.sensor_size


@given(streams())
@settings(deadline=None)
def test_flips_undo_themselves_and_leave_the_original(events):
    before = [getattr(events, name).copy() for name in "txyp"]
    for flip in (filters.flip_left_right, filters.flip_up_down, filters.flip_polarity):
        same(flip(flip(events)), events)
    for name, copy in zip("txyp", before):
        np.testing.assert_array_equal(getattr(events, name), copy)


def test_flips_by_hand():
    events = Events.of([1], [2], [1], [1], SIZE)
    assert filters.flip_left_right(events).x.tolist() == [6]
    assert filters.flip_up_down(events).y.tolist() == [5]
    assert filters.flip_polarity(events).p.tolist() == [False]


@given(streams(), st.integers(0, 8), st.integers(0, 6))
@settings(deadline=None)
def test_crop_keeps_exactly_the_box(events, left, top):
    width, height = SIZE[0] - left, SIZE[1] - top
    cut = filters.crop(events, left, top, width, height)
    inside = (events.x >= left) & (events.y >= top)
    assert cut.sensor_size == (width, height)
    np.testing.assert_array_equal(cut.x + left, events.x[inside])
    np.testing.assert_array_equal(cut.y + top, events.y[inside])
    np.testing.assert_array_equal(cut.t, events.t[inside])


@pytest.mark.parametrize("box", [(-1, 0, 3, 3), (0, 0, 10, 3), (8, 6, 2, 1), (0, 0, 0, 3)])
def test_crop_outside_the_sensor_is_refused(box):
    with pytest.raises(DvspipeError, match="9x7"):
        filters.crop(Events.empty(SIZE), *box)


@given(streams(), st.integers(1, 9))
@settings(deadline=None)
def test_downsample_loses_no_event(events, factor):
    small = filters.downsample(events, factor)
    assert len(small) == len(events)
    assert small.x.dtype == np.uint16
    assert small.sensor_size == (-(-SIZE[0] // factor), -(-SIZE[1] // factor))
    np.testing.assert_array_equal(small.x, events.x // factor)
    assert not len(small) or small.y.max() < small.sensor_size[1]


@given(streams())
@settings(deadline=None)
def test_time_window_rezeroed(events):
    cut = filters.time_window(events, 50, 200, rezero=True)
    np.testing.assert_array_equal(cut.t + 50, events.t[(events.t >= 50) & (events.t < 200)])


def denoised_by_definition(events, support_us):
    latest, kept = {}, []
    for i in range(len(events)):
        x, y, t = int(events.x[i]), int(events.y[i]), int(events.t[i])
        around = [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]
        if any(t - latest[at] <= support_us for at in around if at in latest):
            kept.append(i)
        latest[x, y] = t
    return events[np.array(kept, np.intp)]


@given(streams(), st.integers(0, 80), st.integers(0, 200))
@settings(deadline=None)
def test_denoise_by_definition_and_in_any_chunking(events, cut, support_us):
    expected = denoised_by_definition(events, support_us)
    same(filters.denoise(events, support_us)[0], expected)
    first, latest = filters.denoise(events[:cut], support_us)
    untouched = latest.copy()
    second, _ = filters.denoise(events[cut:], support_us, latest)
    same(Events.concatenate([first, second], SIZE), expected)
    np.testing.assert_array_equal(latest, untouched)


def test_denoise_keeps_real_edges_and_drops_made_up_noise(recordings_dir):
    events = open_recording(recordings_dir / "dvs128_garfield.mat").load()
    rng = np.random.default_rng(0)
    n = 2_000
    noise = Events.of(
        np.sort(rng.integers(0, 738_000, n)),
        rng.integers(0, 128, n),
        rng.integers(0, 128, n),
        rng.random(n) < 0.5,
        (128, 128),
    )
    edges, alone = filters.denoise(events, 5_000)[0], filters.denoise(noise, 5_000)[0]
    assert len(edges) > 0.9 * len(events)
    assert len(alone) < 0.02 * len(noise)


def test_hot_pixels_are_found_in_a_stream_and_removed(recordings_dir):
    events = open_recording(recordings_dir / "dvs128_garfield.mat").load()
    hot = Events.of(np.arange(0, 738_000, 500), np.full(1476, 3), np.full(1476, 127), np.ones(1476), (128, 128))
    mixed = Events.concatenate([events, hot], (128, 128))
    counts = None
    for start in range(0, len(mixed), 10_000):
        counts = filters.count_pixels(mixed[start : start + 10_000], counts)
    np.testing.assert_array_equal(counts, filters.count_pixels(mixed))
    assert counts.sum() == len(mixed)
    pixels = filters.find_hot_pixels(counts)
    assert pixels[127, 3]
    assert pixels.sum() < 30
    cleaned = filters.remove_pixels(mixed, pixels)
    assert len(cleaned) == len(mixed) - counts[pixels].sum()
    assert not ((cleaned.x == 3) & (cleaned.y == 127)).any()


def test_a_busy_edge_is_no_hot_pixel():
    counts = np.zeros((20, 20), np.int64)
    counts[:, 8:11] = 5_000
    assert not filters.find_hot_pixels(counts).any()
    counts[3, 2] = 400
    assert np.argwhere(filters.find_hot_pixels(counts)).tolist() == [[3, 2]]


@pytest.mark.parametrize("call", [lambda e: filters.downsample(e, 0), lambda e: filters.denoise(e, -1)])
def test_bad_settings_are_refused(call):
    with pytest.raises(DvspipeError, match="allowed"):
        call(Events.empty(SIZE))
