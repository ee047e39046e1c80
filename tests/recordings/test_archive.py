"""The archive: clips equal what was written, whatever the times; refused input and full disks leave nothing behind."""

import multiprocessing
import pickle

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvspipe.errors import DatasetError, DvspipeError, RecordingError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Archive, ArchiveWriter, Segment

CLASSES = ["wave", "clap", "other"]
ATTRIBUTES = {"source": "made", "version": 3, "rate": 0.5}


def write(path, recordings, segments=(), size=(128, 128)):
    with ArchiveWriter(path, size, CLASSES, ATTRIBUTES) as writer:
        for name, chunks in recordings.items():
            writer.add(name, chunks, [segment for segment in segments if segment.recording == name])
    return path


def chunked(events, step):
    return [events[start : start + step] for start in range(0, len(events), step)]


@pytest.fixture(scope="module")
def events(events_of):
    return events_of(60_000, step=60)


@pytest.fixture(scope="module")
def archive(tmp_path_factory, events, events_of):
    first, last = int(events.t[0]), int(events.t[-1])
    segments = [
        Segment("one", 0, 1, "train", first, first + 500_000),
        Segment("one", 2, 1, "train", first + 400_000, last + 1),
        Segment("two", 1, 2, "test", 1_000_100, 1_000_900),
    ]
    path = tmp_path_factory.mktemp("archive") / "made.h5"
    recordings = {"one": chunked(events, 7_000), "two": [events_of(100)], "empty": []}
    return write(path, recordings, segments), segments


def test_tables_are_what_was_written(archive, events):
    path, segments = archive
    with Archive(path) as held:
        assert (held.sensor_size, held.classes, held.attributes) == ((128, 128), CLASSES, ATTRIBUTES)
        assert (held.recordings, held.segments) == (["one", "two", "empty"], segments)
        assert held.span_us("one") == (events.t[0], events.t[-1])
        assert (held.span_us("empty"), held.count("one"), held.count("empty")) == ((0, -1), 60_000, 0)
        assert len(held.events("empty", 0, 1 << 40)) == 0
    with pytest.raises(DatasetError, match="did you mean 'one'"):
        held.events("oen", 0, 1)


@given(start=st.integers(-100_000, 1_900_000), length=st.integers(-1, 2_000_000))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_clip_is_the_events_of_its_window(archive, events, same, start, length):
    start += 1_000_000
    assert same(Archive(archive[0]).events("one", start, start + length), events.between(start, start + length))


@given(seed=st.integers(0, 1000), spread=st.sampled_from([0, 50, 3_000, 10**6]), step=st.integers(1, 20_000))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_clips_of_unordered_times_are_complete(tmp_path, events, same, seed, spread, step):
    rng = np.random.default_rng(seed)
    t = events.t[:30_000] + rng.integers(-spread, spread + 1, 30_000)
    mixed = Events.of(t, events.x[:30_000], events.y[:30_000], events.p[:30_000], (128, 128))
    archive = Archive(write(tmp_path / "made.h5", {"one": chunked(mixed, step)}))
    for start in rng.integers(t.min(), t.max(), 8).tolist():
        for length in (500, 50_000, 10**7):
            assert same(archive.events("one", start, start + length), mixed.between(start, start + length))
    assert archive.span_us("one") == (t.min(), t.max())


def test_a_clip_reads_only_its_blocks(archive, monkeypatch):
    held = Archive(archive[0])
    read = []
    blocks = held.blocks
    monkeypatch.setattr(held, "blocks", lambda name, low, high: read.append(high - low) or blocks(name, low, high))
    held.events("one", 1_900_000, 1_910_000)
    assert read[0] <= 2, "10 ms must not need more than the blocks on both sides of a boundary"


def test_large_sensor_and_unix_times(tmp_path, events_of, same):
    events = events_of(9_000, size=(640, 480), first=1_605_537_493_718_345)
    archive = Archive(write(tmp_path / "made.h5", {"one": [events]}, size=(640, 480)))
    assert same(archive.events("one", 0, 1 << 60), events)


def test_pickled_and_forked_archives_read_the_same(archive, events):
    held = Archive(archive[0])
    window = ("one", 1_200_000, 1_300_000)
    expected = held.events(*window).t.tolist()
    assert pickle.loads(pickle.dumps(held)).events(*window).t.tolist() == expected
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(held.events, window).t.tolist() == expected
    assert held.events(*window).t.tolist() == expected


BAD_SEGMENTS = {
    "label": ({"label": 3}, "label must be 0..2"),
    "split": ({"split": "validation"}, "split must be one of train, test"),
    "length": ({"stop_us": 1_000_100}, "ends at or before its start"),
    "other recording": ({"recording": "two"}, "must be given with the one it names"),
    "past the end": ({"stop_us": 90_000_000}, "reaches out of the recording"),
    "before the start": ({"start_us": 0}, "reaches out of the recording"),
}


@pytest.mark.parametrize("case", BAD_SEGMENTS)
def test_bad_segments_are_refused_and_nothing_is_left(tmp_path, events, case):
    change, words = BAD_SEGMENTS[case]
    segment = Segment("one", 0, 1, "train", 1_000_100, 1_500_000)._replace(**change)
    with (
        pytest.raises(DatasetError, match=words),
        ArchiveWriter(tmp_path / "made.h5", (128, 128), CLASSES, {}) as writer,
    ):
        writer.add("one", [events], [segment])
    assert list(tmp_path.iterdir()) == []


def test_bad_recordings_are_refused(tmp_path, events, events_of):
    with ArchiveWriter(tmp_path / "made.h5", (128, 128), CLASSES, {}) as writer:
        writer.add("one", [events], [])
        for name in ("one", "a#b", ""):
            with pytest.raises(DatasetError, match="recording name"):
                writer.add(name, [events], [])
        with pytest.raises(DatasetError, match="expected \\(128, 128\\)"):
            writer.add("wide", [events, events_of(10, size=(640, 480))], [])
        with pytest.raises(DatasetError, match="outside the sensor"):
            writer.add("outside", [Events.of([0], [128], [0], [0], (128, 128))], [])
        apart = Events.of([0, 1 << 32], [0, 0], [0, 0], [0, 0], (128, 128))
        with pytest.raises(DatasetError, match="Cut the recording"):
            writer.add("apart", [apart], [])
        writer.add("two", [events[:100]], [])
    archive = Archive(tmp_path / "made.h5")
    assert archive.recordings == ["one", "two"]
    assert archive.events("two", 0, 1 << 40).t.tolist() == events.t[:100].tolist(), (
        "a refused recording leaves no trace"
    )


@pytest.mark.parametrize("limit", [3_000, 60_000, 200_000])
def test_full_disk_is_said_and_nothing_is_left(tmp_path, events, small_disk, limit):
    with small_disk(limit), pytest.raises(DvspipeError, match="cannot be written"):
        write(tmp_path / "made.h5", {"one": [events] * 20})
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_said(tmp_path, events):
    with pytest.raises(RecordingError, match="cannot be written"):
        write(tmp_path / "nowhere" / "made.h5", {"one": [events]})


@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.999])
def test_cut_archive_is_refused(archive, tmp_path, share):
    data = archive[0].read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(data[: max(int(share * len(data)), 10)])
    for opening in (Archive, open_recording):
        with pytest.raises(RecordingError, match="cut"):
            opening(path)


def test_other_layouts_are_refused(tmp_path, events):
    path = write(tmp_path / "made.h5", {"one": [events]})
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 99
    with pytest.raises(RecordingError, match="version 99, this dvspipe reads version 1"):
        Archive(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["events"] = [1, 2]
    with pytest.raises(RecordingError, match="no event archive"):
        Archive(tmp_path / "other.h5")
    with pytest.raises(RecordingError, match="HDF5 without event columns"):
        open_recording(tmp_path / "other.h5")
    with pytest.raises(RecordingError, match="no such archive"):
        Archive(tmp_path / "missing.h5")


def test_archive_opens_as_a_recording(archive, events, same, tmp_path):
    path, _ = archive
    with pytest.raises(RecordingError, match=r"holds 3 recordings \(one, two, empty\). Pick one: .*#one"):
        open_recording(path)
    recording = open_recording(f"{path}#one")
    assert same(recording.load(), events)
    assert (recording.format, recording.damage, recording.details["recording"]) == ("archive", None, "one")
    with pytest.raises(DatasetError, match="no recording 'three'"):
        open_recording(f"{path}#three")
    alone = open_recording(write(tmp_path / "alone.h5", {"only": [events]}))
    assert same(alone.load(), events)


def test_damaged_block_costs_its_events_only(tmp_path, events):
    path = write(tmp_path / "made.h5", {"one": [events]})
    offset, size = Archive(path).block_place("one", 3)
    data = bytearray(path.read_bytes())
    data[offset + 100] ^= 0xFF
    path.write_bytes(data)
    recording = open_recording(path)
    read = recording.load()
    keep = np.r_[0 : 3 * 8192, 4 * 8192 : len(events)]
    assert read.t.tolist() == events.t[keep].tolist()
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("corrupt", offset, size)
    assert damage.last_good_t_us == events.t[3 * 8192 - 1]
    with pytest.raises(RecordingError, match="damaged events"):
        Archive(path).events("one", 0, 1 << 40)
