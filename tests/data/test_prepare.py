"""Folder -> archive: what is in it, what is checked, and that nothing is left behind when it fails."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from dvspipe.data.prepare import prepare
from dvspipe.errors import DatasetError, DvspipeError
from dvspipe.recordings.archive import Archive


def with_(card, **changes):
    return SimpleNamespace(**{**vars(card), **changes})


def test_every_event_of_every_window_is_in_the_archive(tmp_path, gestures, card):
    calls = []
    out = tmp_path / "out" / "gesture.h5"
    out.parent.mkdir()
    folder = gestures.ibm(tmp_path / "DvsGesture")
    result = prepare(card, folder, out, lambda *call: calls.append(call))
    assert calls == [(1, 3, "user01_fluorescent"), (2, 3, "user02_fluorescent_led"), (3, 3, "user24_led")]
    assert json.loads(json.dumps(result)) == result
    assert result["archive"] == str(out)
    assert result["events"] == 3 * 12 * 40
    assert result["checks"]["totals"] == {"train": 24, "test": 12}
    assert result["checks"]["complete"] is False
    assert result["counts"]["test"]["arm roll"] == 2
    assert result["damaged"] == {}
    with Archive(out) as archive:
        assert archive.sensor_size == (128, 128)
        assert list(archive.classes) == card.classes
        assert len(archive.segments) == 36
        for segment in archive.segments:
            events = archive.events(segment.recording, segment.start_us, segment.stop_us)
            assert len(events) == 40
            assert set(events.x.tolist()) == {10 * segment.label}
    assert [path.name for path in out.parent.iterdir()] == ["gesture.h5"]


@pytest.mark.parametrize("layout", ["ibm", "tonic"])
def test_complete_folders_are_called_complete(tmp_path, gestures, card, layout):
    folder = getattr(gestures, f"{layout}_complete")(tmp_path / "DVSGesture")
    result = prepare(card, folder, tmp_path / "out.h5")
    assert result["layout"] == layout
    assert result["checks"]["complete"] is True
    assert result["checks"]["totals"] == card.counts[layout]


def test_all_recordings_but_a_label_file_cut_short(tmp_path, gestures, card):
    folder = gestures.ibm_complete(tmp_path / "DvsGesture")
    gestures.labels(folder / "user01_fluorescent_labels.csv", gestures.windows()[:5])
    with pytest.raises(DatasetError, match=r"1169.*expected.*1176"):
        prepare(card, folder, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_checksums_are_verified_where_the_files_are(tmp_path, gestures, card):
    folder = gestures.ibm(tmp_path / "DvsGesture")
    (tmp_path / "DvsGesture.tar.gz").write_bytes(b"packed")
    good = with_(card, md5={"DvsGesture.tar.gz": hashlib.md5(b"packed").hexdigest(), "gesture_mapping.csv": "?"})
    assert prepare(good, folder, tmp_path / "out.h5")["checks"]["md5"] == {"DvsGesture.tar.gz": "ok"}
    (tmp_path / "out.h5").unlink()
    with pytest.raises(DatasetError, match=r"DvsGesture.tar.gz: md5 .*expected 8a5c71fb.*download it again"):
        prepare(card, folder, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_windows_behind_a_cut_recording_are_told_and_nothing_is_left(tmp_path, gestures, card):
    folder = gestures.ibm(tmp_path / "DvsGesture")
    path = folder / "user24_led.aedat"
    packet = path.read_bytes().index(b"END-HEADER\r\n") + 12
    path.write_bytes(path.read_bytes()[: packet + 28 + 8 * 240])  # six of twelve windows
    out = tmp_path / "out" / "gesture.h5"
    out.parent.mkdir()
    with pytest.raises(
        DatasetError, match=r"user24_led: window .*lies outside the events.*damaged .truncated"
    ) as caught:
        prepare(card, folder, out)
    assert str(caught.value).count("user24_led: window") == 6
    assert list(out.parent.iterdir()) == []
    result = prepare(card, folder, out, partial=True)
    assert "truncated" in result["damaged"]["user24_led"]
    assert sum("lies outside" in note for note in result["notes"]) == 6
    assert sum(result["counts"]["test"].values()) == 6
    with Archive(out) as archive:
        assert [each.label for each in archive.segments if each.split == "test"] == [0, 1, 2, 3, 4, 5]


def test_a_window_may_outlast_its_events_by_little(tmp_path, gestures, card):
    folder = gestures.ibm(tmp_path / "DvsGesture")
    windows = gestures.windows()
    for extra_us, fits in ((9_000, True), (50_000, False)):
        gestures.labels(
            folder / "user24_led_labels.csv", [*windows[:-1], (11, windows[-1][1], windows[-1][2] + extra_us)]
        )
        if fits:
            assert prepare(card, folder, tmp_path / "out.h5")["notes"] == []
        else:
            with pytest.raises(DatasetError, match=r"user24_led: window .*class 11.* lies outside the events"):
                prepare(card, folder, tmp_path / "out.h5")


def test_overlapping_windows_each_get_all_their_events(tmp_path, gestures, card):
    folder = gestures.ibm(tmp_path / "DvsGesture", train=("user22_led",))
    windows = gestures.windows()
    windows[9] = (9, windows[9][1], windows[10][2])
    gestures.labels(folder / "user22_led_labels.csv", windows)
    prepare(card, folder, tmp_path / "out.h5")
    with Archive(tmp_path / "out.h5") as archive:
        found = {
            (each.label, each.split): archive.events(each.recording, each.start_us, each.stop_us)
            for each in archive.segments
        }
    assert len(found[8, "train"]) == 80
    assert len(found[9, "train"]) == 40


def test_a_folder_that_is_no_folder(tmp_path, card):
    with pytest.raises(DatasetError, match="no such folder"):
        prepare(card, tmp_path / "nowhere", tmp_path / "out.h5")


def test_an_interrupted_preparation_leaves_the_old_archive(tmp_path, gestures, card):
    folder = gestures.ibm(tmp_path / "DvsGesture")
    out = tmp_path / "out" / "gesture.h5"
    out.parent.mkdir()
    out.write_bytes(b"older")

    def interrupt(done, total, name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(card, folder, out, interrupt)
    assert [path.name for path in out.parent.iterdir()] == ["gesture.h5"]
    assert out.read_bytes() == b"older"


def test_tonic_events_go_through_unchanged(tmp_path, gestures, card):
    folder = gestures.tonic(tmp_path / "DVSGesture")
    prepare(card, tmp_path, tmp_path / "out.h5", partial=True)
    rows = np.load(folder / "ibmGestureTest" / "user24_lab" / "5.npy")
    with Archive(tmp_path / "out.h5") as archive:
        (segment,) = [each for each in archive.segments if each.recording == "user24_lab-5"]
        events = archive.events(segment.recording, segment.start_us, segment.stop_us)
    np.testing.assert_array_equal(events.t, rows[:, 3] * 1000)
    np.testing.assert_array_equal(events.x, rows[:, 0])


def test_an_output_folder_that_is_missing(tmp_path, gestures, card):
    with pytest.raises(DvspipeError):
        prepare(card, gestures.ibm(tmp_path / "DvsGesture"), tmp_path / "no" / "such" / "out.h5")
