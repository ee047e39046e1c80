"""`convert`: there and back gives the same events, for every format that is read and every one that is written."""

from pathlib import Path

import numpy as np
import pytest

from dvspipe.errors import DamagedRecordingError, DatasetError, DvspipeError, RecordingError, UsageError
from dvspipe.events import Events
from dvspipe.jobs.convert import convert
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Archive, ArchiveWriter, Segment
from dvspipe.recordings.writing import known_writers, write_recording

SUFFIXES = sorted(known_writers())
ORDERED = {".aedat", ".aedat4"}
KEYS = {"in", "out", "format_in", "format_out", "events", "sensor_size", "t_first_us", "t_last_us", "damage"}
KEYS |= {"labels", "seconds", "events_per_s"}


def equal(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in "txyp")


def made_up(count=20_000, size=(346, 260), disorder=0, seed=0):
    rng = np.random.default_rng(seed)
    t = 1_000_000 + np.cumsum(rng.integers(0, 60, count)) - rng.integers(0, disorder + 1, count)
    return Events.of(
        t, rng.integers(0, size[0], count), rng.integers(0, size[1], count), rng.integers(0, 2, count), size
    )


@pytest.fixture
def source(tmp_path):
    """A made recording of 20,000 events (1.0 .. 1.6 s) that AEDAT 3.1 holds, and its events."""
    events = made_up()
    write_recording(tmp_path / "made.aedat", [events], events.sensor_size)
    return tmp_path / "made.aedat", events


@pytest.mark.parametrize("first", SUFFIXES)
@pytest.mark.parametrize("second", SUFFIXES)
def test_there_and_back(tmp_path, first, second):
    """Made recording -> first -> second -> first."""
    events = made_up()
    start = tmp_path / f"start{first}"
    write_recording(start, [events], events.sensor_size)
    there = convert(start, tmp_path / f"there{second}")
    back = convert(tmp_path / f"there{second}", tmp_path / f"back{first}")
    assert equal(open_recording(tmp_path / f"back{first}").load(), events)
    assert set(there) == KEYS
    for result, ends in ((there, (start, tmp_path / f"there{second}")), (back, None)):
        assert (result["events"], result["sensor_size"], result["damage"]) == (20_000, [346, 260], None)
        assert (result["t_first_us"], result["t_last_us"]) == (int(events.t[0]), int(events.t[-1]))
        assert ends is None or (result["in"], result["out"]) == tuple(map(str, ends))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_real_recordings_lose_nothing(tmp_path, recording, suffix):
    source = open_recording(recording)
    wanted = source.load()
    unordered = bool((np.diff(wanted.t) < 0).any())
    if unordered and suffix in ORDERED:
        with pytest.raises(RecordingError, match="--sort"):
            convert(recording, tmp_path / f"out{suffix}")
        wanted = wanted[np.argsort(wanted.t, kind="stable")]
    result = convert(recording, tmp_path / f"out{suffix}", sort=unordered and suffix in ORDERED)
    found = open_recording(tmp_path / f"out{suffix}")
    assert equal(found.load(), wanted)
    assert found.damage is None
    assert list(found.sensor_size) == result["sensor_size"] == list(source.sensor_size)
    assert (result["events"], result["format_in"]) == (len(wanted), source.format)


def test_sort_is_for_streams_out_of_order(tmp_path):
    events = made_up(disorder=200)
    write_recording(tmp_path / "made.npz", [events], events.sensor_size)
    with pytest.raises(RecordingError, match="--sort"):
        convert(tmp_path / "made.npz", tmp_path / "out.aedat4")
    convert(tmp_path / "made.npz", tmp_path / "out.aedat4", sort=True)
    assert equal(open_recording(tmp_path / "out.aedat4").load(), events[np.argsort(events.t, kind="stable")])


def test_the_convention_of_an_address_is_chosen(tmp_path, recordings_dir):
    path = recordings_dir / "dvs128_foam90_aedat2.aedat"
    for convention in (None, "raw"):
        convert(path, tmp_path / f"{convention}.npz", convention=convention)
    one, other = (open_recording(tmp_path / f"{name}.npz").load() for name in (None, "raw"))
    assert (one.p == ~other.p).all()
    with pytest.raises(UsageError, match="leaves nothing open"):
        convert(tmp_path / "raw.npz", tmp_path / "out.csv", convention="raw")


def test_an_empty_recording_stays_one(tmp_path):
    write_recording(tmp_path / "made.aedat", [], (128, 128))
    result = convert(tmp_path / "made.aedat", tmp_path / "out.npz")
    assert (result["events"], result["t_first_us"], result["t_last_us"]) == (0, None, None)
    assert open_recording(tmp_path / "out.npz").sensor_size == (128, 128)
    assert convert(tmp_path / "made.aedat", tmp_path / "out.gif")["events"] == 0


# ------------------------------------------------------------------------------------------------------------- refusals


def test_neither_input_nor_anything_else_is_overwritten(source, tmp_path):
    path, events = source
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is the input itself"):
        convert(path, path, overwrite=True)
    (tmp_path / "link.aedat").symlink_to(path)
    with pytest.raises(UsageError, match="is the input itself"):
        convert(path, tmp_path / "link.aedat", overwrite=True)
    (tmp_path / "there.npz").write_bytes(b"mine")
    with pytest.raises(UsageError, match="--overwrite"):
        convert(path, tmp_path / "there.npz")
    assert (tmp_path / "there.npz").read_bytes() == b"mine"
    assert path.read_bytes() == before
    convert(path, tmp_path / "there.npz", overwrite=True)
    assert equal(open_recording(tmp_path / "there.npz").load(), events)


def test_unknown_formats_name_the_known(source, tmp_path):
    with pytest.raises(UsageError, match=r"\.aedat .*\.npz .*\.mp4, \.webm, \.gif"):
        convert(source[0], tmp_path / "out.raw")
    with pytest.raises(UsageError, match="are for videos"):
        convert(source[0], tmp_path / "out.npz", fps=20)
    with pytest.raises(UsageError, match="--speed"):
        convert(source[0], tmp_path / "out.gif", speed=0.0)
    with pytest.raises(RecordingError, match="cannot be opened"):
        convert(tmp_path / "nothing.aedat", tmp_path / "out.npz")
    assert [each.name for each in tmp_path.iterdir()] == ["made.aedat"]


def test_one_of_several_recordings(tmp_path):
    path, parts = tmp_path / "set.h5", {name: made_up(2_000, seed=seed) for seed, name in enumerate(["anna", "ben"])}
    with ArchiveWriter(path, (346, 260), ["wave", "clap"], {}) as archive:
        for name, events in parts.items():
            archive.add(name, [events], [Segment(name, 1, 7, "test", int(events.t[0]), int(events.t[-1]))])
    with pytest.raises(RecordingError, match=r"2 recordings \(anna, ben\).*set\.h5#anna"):
        convert(path, tmp_path / "out.npz")
    with pytest.raises(DatasetError, match="did you mean"):
        convert(Path(f"{path}#bem"), tmp_path / "out.npz")
    with pytest.raises(UsageError, match="is the input itself"):
        convert(Path(f"{path}#ben"), path, overwrite=True)
    result = convert(Path(f"{path}#ben"), tmp_path / "out.h5")
    assert equal(open_recording(tmp_path / "out.h5").load(), parts["ben"])
    (segment,) = Archive(tmp_path / "out.h5").segments
    assert (segment.recording, segment.label, segment.subject, segment.split) == ("out", 1, 7, "test")
    assert (result["labels"], Archive(tmp_path / "out.h5").classes) == (
        {"windows": 1, "kept": True, "why": None},
        ["wave", "clap"],
    )


# --------------------------------------------------------------------------------------------------------------- labels


@pytest.fixture
def labelled(source):
    path, events = source
    path.with_name("made_labels.csv").write_text(
        "class,startTime_usec,endTime_usec\n1,1000000,1100000\n8,1100000,1200000\n8,1200000,1300000\n"
    )
    return path, events


def test_labels_go_along_and_come_back(labelled, tmp_path):
    path, _ = labelled
    (tmp_path / "away").mkdir()
    assert convert(path, tmp_path / "away" / "made.h5")["labels"] == {"windows": 3, "kept": True, "why": None}
    archive = Archive(tmp_path / "away" / "made.h5")
    assert [archive.classes[each.label] for each in archive.segments] == ["hand clapping", "arm roll", "arm roll"]
    assert convert(tmp_path / "away" / "made.h5", tmp_path / "away" / "made.aedat")["labels"]["kept"]
    assert (tmp_path / "away" / "made_labels.csv").read_text() == path.with_name("made_labels.csv").read_text()


def test_lost_labels_are_said(labelled, tmp_path):
    lost = convert(labelled[0], tmp_path / "out.npz")["labels"]
    assert lost == {"windows": 3, "kept": False, "why": ".npz holds no labels"}
    many = [f"class {number}" for number in range(12)]
    with ArchiveWriter(tmp_path / "set.h5", (346, 260), many, {}) as archive:
        archive.add("one", [labelled[1]], [Segment("one", 11, 0, "train", 1_000_000, 1_100_000)])
    lost = convert(tmp_path / "set.h5", tmp_path / "out.aedat")["labels"]
    assert lost == {"windows": 1, "kept": False, "why": "12 classes, .aedat holds 11"}
    assert not (tmp_path / "out_labels.csv").exists()
    labelled[0].with_name("made_labels.csv").write_text("class;start\n")
    lost = convert(labelled[0], tmp_path / "out.h5")["labels"]
    assert not lost["kept"] and "line 1" in lost["why"]


def test_labels_that_do_not_fit_can_be_left_out(labelled, tmp_path):
    labelled[0].with_name("made_labels.csv").write_text("class,startTime_usec,endTime_usec\n1,9000000,9900000\n")
    with pytest.raises(DatasetError, match="reaches out of the recording"):
        convert(labelled[0], tmp_path / "out.h5")
    assert convert(labelled[0], tmp_path / "out.h5", labels=False)["labels"] is None


def test_a_label_file_that_is_there_is_not_overwritten(labelled, tmp_path):
    (tmp_path / "out_labels.csv").write_text("mine")
    convert(labelled[0], tmp_path / "made.h5")
    with pytest.raises(UsageError, match=r"out_labels\.csv: exists"):
        convert(tmp_path / "made.h5", tmp_path / "out.aedat")
    assert (tmp_path / "out_labels.csv").read_text() == "mine"
    assert not (tmp_path / "out.aedat").exists()


# --------------------------------------------------------------------------------------------------------------- damage


def test_damage_is_reported_and_what_is_good_is_converted(source, tmp_path):
    path, events = source
    data = bytearray(path.read_bytes())
    data[-80_000:-79_000] = b"\xff" * 1000
    path.write_bytes(data[:-5])
    result = convert(path, tmp_path / "out.npz")
    assert set(result["damage"]) == {"kind", "offset", "lost_bytes", "last_good_t_us"}
    found = open_recording(tmp_path / "out.npz").load()
    assert len(found) == result["events"] > 0.9 * len(events)
    stopped = convert(path, tmp_path / "stop.npz", on_damage="stop")
    assert 0 < stopped["events"] < result["events"]
    with pytest.raises(DamagedRecordingError):
        convert(path, tmp_path / "fail.npz", on_damage="fail")
    assert not (tmp_path / "fail.npz").exists()


# --------------------------------------------------------------------------------------------------------------- videos


@pytest.mark.parametrize("suffix, fps", [(".mp4", 50), (".webm", 50), (".gif", 20)])
def test_a_video_lasts_as_long_as_its_recording(source, tmp_path, suffix, fps):
    import av

    path, events = source
    result = convert(path, tmp_path / f"out{suffix}")
    assert (result["format_out"], result["events"]) == (suffix[1:], len(events))
    with av.open(str(tmp_path / f"out{suffix}")) as video:
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    seconds = (events.t[-1] - events.t[0]) / 1e6
    assert len(shown) / fps == pytest.approx(seconds, abs=2 / fps)
    assert shown[5].shape == (260, 346, 3)
    assert shown[5].max() > 150  # events are seen


def test_slow_motion_and_small_sensors(tmp_path):
    import av

    events = made_up(2_000, (34, 34))
    write_recording(tmp_path / "made.npz", [events], (34, 34))
    convert(tmp_path / "made.npz", tmp_path / "out.mp4", fps=25, speed=0.1)
    with av.open(str(tmp_path / "out.mp4")) as video:
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert shown[0].shape == (272, 272, 3)
    assert len(shown) == pytest.approx((events.t[-1] - events.t[0]) / 4_000, abs=2)


def test_a_place_that_fires_is_where_the_video_is_bright(tmp_path):
    import av

    t = np.arange(1_000) * 100
    write_recording(tmp_path / "made.npz", [Events.of(t, t * 0 + 5, t * 0 + 20, t >= 0, (64, 64))], (64, 64))
    convert(tmp_path / "made.npz", tmp_path / "out.gif")
    with av.open(str(tmp_path / "out.gif")) as video:
        shown = next(video.decode(video=0)).to_ndarray(format="rgb24")
    bright = np.argwhere(shown.max(axis=2) > 100)
    assert (bright.min(axis=0).tolist(), bright.max(axis=0).tolist()) == ([80, 20], [83, 23])
    assert shown[81, 21, 0] > shown[81, 21, 2]  # ON is warm


def test_a_video_becomes_events_becomes_a_video(source, tmp_path):
    convert(source[0], tmp_path / "out.mp4", speed=1.0)
    result = convert(tmp_path / "out.mp4", tmp_path / "seen.h5")
    assert (result["format_in"], result["sensor_size"]) == ("video", [346, 260])
    assert result["events"] > 1_000
    with pytest.raises(DvspipeError, match="pictures a second"):
        convert(source[0], tmp_path / "fast.gif", fps=60)
