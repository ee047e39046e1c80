"""Opening files: errors that say what to do, damage policies, label files, and memory that does not grow."""

import tracemalloc

import numpy as np
import pytest

from dvspipe.errors import DatasetError, RecordingError
from dvspipe.events import Events
from dvspipe.jobs.inspect import inspect_recording
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import ArchiveWriter
from dvspipe.recordings.formats.aedat31 import write_aedat31
from dvspipe.recordings.labels import read_labels, write_labels


def test_what_cannot_be_opened_is_said(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "junk").write_bytes(bytes(range(1, 200)))
    for name, words in {
        "missing": "Check the path",
        "": "is a folder",
        "empty": "empty",
        "junk": "unknown format",
    }.items():
        with pytest.raises(RecordingError, match=words):
            open_recording(tmp_path / name)


def test_hash_in_a_file_name_is_no_recording_name(tmp_path, events_of):
    path = tmp_path / "walk#3.aedat"
    write_aedat31(path, [events_of(10)])
    assert len(open_recording(path).load()) == 10
    with pytest.raises(RecordingError, match="holds one recording; leave out '#x'"):
        plain = tmp_path / "walk.aedat"
        write_aedat31(plain, [events_of(10)])
        open_recording(f"{plain}#x")


KEYS = ["format", "sensor_size", "events", "t_first_us", "t_last_us", "on_fraction", "damage"]


def test_inspect_counts(tmp_path, events_of):
    events = events_of(5_000)
    path = tmp_path / "made.aedat"
    write_aedat31(path, [events])
    result = inspect_recording(path)
    assert list(result) == KEYS
    assert list(result.values()) == ["aedat3.1", [128, 128], 5_000, events.t[0], events.t[-1], events.p.mean(), None]
    path.write_bytes(path.read_bytes()[:-3])
    assert inspect_recording(path)["damage"] == {
        "kind": "truncated",
        "offset": path.stat().st_size - 5,
        "lost_bytes": 5,
        "last_good_t_us": events.t[-2],
    }


def test_inspect_sums_over_an_archive(tmp_path, events_of):
    early, late = events_of(3_000, seed=1), events_of(2_000, seed=2, first=9_000_000)
    path = tmp_path / "made.h5"
    with ArchiveWriter(path, (128, 128), ["a"], {}) as writer:
        for name, events in {"early": early, "none": events_of(0), "late": late}.items():
            writer.add(name, [events], [])
    result = inspect_recording(path)
    assert (result["events"], result["t_first_us"], result["t_last_us"]) == (5_000, early.t[0], late.t[-1])
    assert result["on_fraction"] == (early.p.sum() + late.p.sum()) / 5_000
    assert inspect_recording(f"{path}#late")["events"] == 2_000


def test_inspect_of_no_events(tmp_path):
    path = tmp_path / "made.aedat"
    write_aedat31(path, [])
    result = inspect_recording(path)
    assert [result[key] for key in KEYS[2:]] == [0, None, None, None, None]


def test_real_aedat31_layout(recordings_dir):
    result = inspect_recording(recordings_dir / "derived" / "user99_fluorescent.aedat")
    assert (result["events"], result["t_first_us"], result["t_last_us"]) == (202_235, 1_000_000, 1_738_000)
    assert (round(result["on_fraction"], 3), result["damage"]) == (0.548, None)


def test_real_labels(recordings_dir):
    windows = read_labels(recordings_dir / "derived" / "user99_fluorescent_labels.csv")
    assert [label for label, _, _ in windows] == [0, 7, 7, 10]
    assert windows[0] == (0, 1_050_000, 1_250_000)


def test_labels_are_read_as_written(tmp_path):
    windows = [(0, 10, 20), (7, 15, 40), (7, 40, 50), (10, 5, 6)]
    write_labels(tmp_path / "labels.csv", windows)
    assert (tmp_path / "labels.csv").read_text().splitlines()[:2] == ["class,startTime_usec,endTime_usec", "1,10,20"]
    assert read_labels(tmp_path / "labels.csv") == windows


def test_every_bad_label_line_is_named(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("class,startTime_usec,endTime_usec\n1,5,9\n12,1,2\n3,9,9\nx,1,2\n\n4,1\n")
    with pytest.raises(DatasetError) as caught:
        read_labels(path)
    text = str(caught.value)
    assert "4 bad label lines" in text
    for words in ("line 3: '12,1,2': class must be 1..11", "line 4", "line 5", "line 7"):
        assert words in text
    path.write_text("1,5,9\n")
    with pytest.raises(DatasetError, match="line 1 is '1,5,9', expected 'class,"):
        read_labels(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_labels(tmp_path / "missing.csv")


LONG = 3_000_000


def long_recording():
    rng = np.random.default_rng(0)
    for start in range(0, LONG, 100_000):
        x, y, p = rng.integers(0, 128, (3, 100_000))
        yield Events.of(np.arange(start, start + 100_000), x, y, p % 2, (128, 128))


def write_archive(path):
    with ArchiveWriter(path, (128, 128), ["a"], {}) as writer:
        writer.add("long", long_recording(), [])


def write_text(path):
    with path.open("w") as file:
        for events in long_recording():
            np.savetxt(file, np.stack([events.t, events.x, events.y, events.p], axis=1), fmt="%d")


def write_npz(path):
    events = Events.concatenate(long_recording(), (128, 128))
    np.savez(path, t=events.t, x=events.x, y=events.y, p=events.p)


LONG_WRITERS = {
    "long.aedat": lambda path: write_aedat31(path, long_recording()),
    "long.h5": write_archive,
    "long.txt": write_text,
    "long.npz": write_npz,
}


@pytest.mark.parametrize("name", LONG_WRITERS)
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    """39 MB of events pass through; a reader that held them, or the file (24 MB and more), would be found."""
    LONG_WRITERS[name](tmp_path / name)
    next(iter(open_recording(tmp_path / name)))  # compiled and imported
    tracemalloc.start()
    count = sum(len(chunk) for chunk in open_recording(tmp_path / name))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == LONG
    assert peak < 16e6, f"{peak / 1e6:.1f} MB"


@pytest.mark.parametrize("name", ["long.aedat", "long.h5"])
def test_writing_does_not_hold_the_recording(tmp_path, name):
    tracemalloc.start()
    LONG_WRITERS[name](tmp_path / name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6, f"{peak / 1e6:.1f} MB"
