"""Writers: what is written is read back event by event, whole files or none, and clear words where a format is too small."""

import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvspipe.errors import DvspipeError, RecordingError, UsageError
from dvspipe.events import Events
from dvspipe.events.ordering import in_order
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Archive, Segment
from dvspipe.recordings.writer import Labels
from dvspipe.recordings.writers.text import write_text
from dvspipe.recordings.writing import known_writers, write_recording

SUFFIXES = sorted(known_writers())
ORDERED = [".aedat", ".aedat4"]
FREE = [suffix for suffix in SUFFIXES if suffix not in ORDERED]
KEEPS_CALM = {"suppress_health_check": [HealthCheck.function_scoped_fixture], "deadline": None}


def chunked(events, size):
    return (events[start : start + size] for start in range(0, len(events), size))


def made_up(t, size=(128, 128), seed=0):
    rng = np.random.default_rng(seed)
    x, y, p = rng.integers(0, size[0], len(t)), rng.integers(0, size[1], len(t)), rng.integers(0, 2, len(t))
    return Events.of(t, x, y, p, size)


def test_the_formats_of_the_promise():
    assert SUFFIXES == [".aedat", ".aedat4", ".csv", ".h5", ".npz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(
    steps=st.lists(st.sampled_from([0, 1, 40, 10**6]), max_size=60),
    first=st.sampled_from([0, 5, 2**31 - 20, 1_605_537_493_718_345]),
    size=st.sampled_from([(128, 128), (346, 260), (50, 40), (1280, 720)]),
    chunk=st.integers(1, 70),
)
@settings(max_examples=25, **KEEPS_CALM)
def test_what_is_written_is_read(tmp_path, same, suffix, steps, first, size, chunk):
    events = made_up(first + np.cumsum(np.array(steps, np.int64)), size)
    path = tmp_path / f"made{suffix}"
    assert write_recording(path, chunked(events, chunk), size) == len(events)
    recording = open_recording(path)
    assert same(recording.load(), events)
    assert (recording.sensor_size, recording.damage) == (size, None)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_chunks_larger_than_a_chunk_are_written_whole(tmp_path, same, suffix):
    events = made_up(np.arange(200_000) * 3 + 7)
    write_recording(tmp_path / f"made{suffix}", [events], (128, 128))
    assert same(open_recording(tmp_path / f"made{suffix}").load(), events)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_does_not_depend_on_the_chunks(tmp_path, suffix):
    events = made_up(np.arange(150_000) * 3 + 7)
    for name, size in (("a", 150_000), ("b", 1_234)):
        (tmp_path / name).mkdir()
        write_recording(tmp_path / name / f"made{suffix}", chunked(events, size), (128, 128))
    assert (tmp_path / "a" / f"made{suffix}").read_bytes() == (tmp_path / "b" / f"made{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", FREE)
def test_times_in_any_order_are_kept(tmp_path, same, suffix):
    t = np.arange(-5, 3_000) * 10
    t[1::3] -= 25
    events = made_up(t)
    write_recording(tmp_path / f"made{suffix}", chunked(events, 500), (128, 128))
    assert same(open_recording(tmp_path / f"made{suffix}").load(), events)


@pytest.mark.parametrize("suffix", ORDERED)
@pytest.mark.parametrize(
    "t, words", [([5, 4], r"4 us follows 5 us.*--sort"), ([2, 3, 4, 5, 4], "go back"), ([-1, 4], r"-1\.\.4 us")]
)
@pytest.mark.parametrize("chunk", [1, 10])
def test_times_that_a_format_cannot_hold_are_named(tmp_path, suffix, t, words, chunk):
    with pytest.raises(RecordingError, match=words):
        write_recording(tmp_path / f"made{suffix}", chunked(made_up(t), chunk), (128, 128))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_events_outside_the_sensor_are_refused(tmp_path, suffix):
    with pytest.raises(DvspipeError, match="outside the sensor"):
        write_recording(tmp_path / f"made{suffix}", [Events.of([1], [128], [0], [1], (128, 128))], (128, 128))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_largest_sensor(tmp_path, same, suffix):
    path = tmp_path / f"made{suffix}"
    events = Events.of([1, 2], [8191, 0], [0, 8191], [1, 0], (8192, 8192))
    write_recording(path, [events], (8192, 8192))
    assert same(open_recording(path).load(), events)
    assert open_recording(path).sensor_size == (8192, 8192)
    for size in ((8193, 10), (10, 0)):
        with pytest.raises(RecordingError, match="1 to 8192 pixels a side"):
            write_recording(path, [], size)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_failing_source_leaves_the_old_file(tmp_path, events_of, suffix):
    path = tmp_path / f"made{suffix}"
    path.write_bytes(b"old")

    def source():
        yield events_of(10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_recording(path, source(), (128, 128))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk_is_said_and_nothing_is_left(tmp_path, events_of, small_disk, suffix):
    import h5py  # noqa: F401  (its own files must not be cut by the limit)

    write_recording(tmp_path / f"warm{suffix}", [events_of(10)], (128, 128))
    (tmp_path / f"warm{suffix}").unlink()
    with small_disk(10_000), pytest.raises(RecordingError, match="cannot be written"):
        write_recording(tmp_path / f"made{suffix}", chunked(made_up(np.arange(100_000)), 5_000), (128, 128))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_folder_is_said(tmp_path, events_of, suffix):
    with pytest.raises(RecordingError, match="cannot be written"):
        write_recording(tmp_path / "nowhere" / f"made{suffix}", [events_of(10)], (128, 128))


@pytest.mark.parametrize("name", ["made.xyz", "made", "made.mp4"])
def test_unknown_suffix_names_the_known(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.aedat \(aedat3.1\), \.aedat4 \(aedat4\), \.csv \(csv\), \.h5 .*\.npz"):
        write_recording(tmp_path / name, [], (128, 128))


def test_npz_is_what_numpy_reads_and_the_same_every_time(tmp_path):
    events = made_up(np.arange(1_000) * 7, (346, 260))
    for name in ("a.npz", "b.npz"):
        write_recording(tmp_path / name, chunked(events, 99), (346, 260))
    held = np.load(tmp_path / "a.npz")
    assert {name: held[name].dtype.str for name in held} == {
        "t": "<i8", "x": "<u2", "y": "<u2", "p": "|b1", "sensor_size": "<i8",
    }  # fmt: skip
    assert held["sensor_size"].tolist() == [346, 260]
    assert all(np.array_equal(held[name], getattr(events, name)) for name in "txyp")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None


def test_csv_byte_for_byte(tmp_path):
    rows = [(-120, 0, 9, 1), (0, 10, 0, 0), (7, 127, 99, 1), (10**18 - 1, 5, 6, 0)]
    write_recording(tmp_path / "made.csv", [Events.of(*zip(*rows), (128, 100))], (128, 100))
    lines = "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in rows)
    assert (tmp_path / "made.csv").read_text() == "# sensor_size 128x100\nt,x,y,p\n" + lines


@given(t=st.lists(st.integers(-(10**18) + 1, 10**18 - 1), max_size=20), seed=st.integers(0, 99))
@settings(max_examples=60, **KEEPS_CALM)
def test_gait_text_is_what_python_prints(tmp_path, made, t, seed):
    events = made_up(np.array(t, np.int64), (8192, 8192), seed)
    assert write_text(tmp_path / "made.txt", [events]) == len(t)
    assert (tmp_path / "made.txt").read_text() == "".join("{} {} {} {}\n".format(*row) for row in made.tuples(events))


def test_labels_go_where_a_format_keeps_them(tmp_path, events_of):
    events = events_of(1_000)
    start, stop = int(events.t[0]), int(events.t[-1])
    labels = Labels(["wave", "clap"], [Segment("elsewhere", 1, 7, "test", start, stop)])
    for suffix in SUFFIXES:
        write_recording(tmp_path / f"made{suffix}", [events], (128, 128), labels)
    archive = Archive(tmp_path / "made.h5")
    assert archive.segments == [Segment("made", 1, 7, "test", start, stop)]
    assert archive.classes == ["wave", "clap"]
    rows = (tmp_path / "made_labels.csv").read_text().splitlines()
    assert rows == ["class,startTime_usec,endTime_usec", f"2,{start},{stop}"]
    assert len(list(tmp_path.iterdir())) == len(SUFFIXES) + 1


@given(
    steps=st.lists(st.integers(0, 4), min_size=1, max_size=300),
    late=st.integers(0, 8),
    window=st.integers(8, 50),
    chunk=st.integers(1, 90),
)
@settings(max_examples=100, **KEEPS_CALM)
def test_sorting_a_stream_is_sorting_the_whole(made, steps, late, window, chunk):
    t = np.cumsum(steps)
    order = np.arange(len(t))
    for start in range(0, len(t), late + 1):  # every block of late + 1 events backwards: none is more than `late` late
        order[start : start + late + 1] = order[start : start + late + 1][::-1]
    events = made_up(t)[order]
    expected = events[np.argsort(events.t, kind="stable")]
    found = Events.concatenate(in_order(chunked(events, chunk), window), (128, 128))
    assert made.tuples(found) == made.tuples(expected)


def test_sorting_says_when_an_event_comes_too_late():
    t = np.arange(100)
    t[80] = 3
    with pytest.raises(DvspipeError, match="3 us comes after"):
        list(in_order(chunked(made_up(t), 10), window=10))
    assert list(in_order([])) == []
