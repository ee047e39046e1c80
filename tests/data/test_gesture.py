"""Both layouts of DVS128 Gesture: what is read, what is refused, and that everything wrong is told at once."""

import numpy as np
import pytest

from dvspipe.data.gesture import TONIC_HELP, read_gesture_folder, read_ibm_folder, read_tonic_folder, subject_and_light
from dvspipe.data.source import counts
from dvspipe.errors import DatasetError
from dvspipe.events import Events


def faults(folder, reader=read_gesture_folder, **options):
    with pytest.raises(DatasetError) as caught:
        reader(folder, **options)
    return str(caught.value)


def test_name_is_split_at_the_first_underscore_only():
    assert subject_and_light("user07_fluorescent_led") == (7, "fluorescent_led")
    with pytest.raises(DatasetError, match="userNN"):
        subject_and_light("foam90")


def test_ibm_folder_gives_every_row_of_every_label_file(tmp_path, gestures):
    folder = read_gesture_folder(gestures.ibm(tmp_path / "DvsGesture").parent)  # the folder around it will do
    assert folder.layout == "ibm"
    assert folder.totals() == {"train": 24, "test": 12}
    assert [each.name for each in folder.recordings] == ["user01_fluorescent", "user02_fluorescent_led", "user24_led"]
    assert {(each.subject, each.split) for each in folder.recordings[1].segments} == {(2, "train")}
    found = counts(folder.segments, gestures.classes)
    assert found["test"]["arm roll"] == 2
    assert found["train"]["guitar"] == 2
    assert list(found) == ["train", "test"]
    expected = [(label - 1, start, stop) for label, start, stop in gestures.windows()]
    assert [(each.label, each.start_us, each.stop_us) for each in folder.recordings[0].segments] == expected
    events = Events.concatenate(folder.recordings[0].chunks, (128, 128))
    np.testing.assert_array_equal(events.t, gestures.events(gestures.windows())[0])


def test_complete_folders_have_the_published_counts(tmp_path, gestures):
    ibm = read_gesture_folder(gestures.ibm_complete(tmp_path / "ibm"))
    assert ibm.totals() == {"train": 1176, "test": 288}
    tonic = read_gesture_folder(gestures.tonic_complete(tmp_path / "DVSGesture"))
    assert tonic.totals() == {"train": 1077, "test": 264}
    assert tonic.notes == []


def test_the_two_odd_label_files_are_handled_and_noted(tmp_path, gestures):
    folder = gestures.ibm(tmp_path, train=("user22_led", "user26_fluorescent"), test=("user27_led",))
    overlapping = gestures.windows()
    overlapping[9] = (9, overlapping[9][1], overlapping[10][1] + 7_000)
    gestures.labels(folder / "user22_led_labels.csv", overlapping)
    gestures.labels(folder / "user26_fluorescent_labels.csv", gestures.windows([1, 1, 2, 2, 2, 3]))  # and not 12 rows
    found = read_ibm_folder(folder)
    assert found.totals() == {"train": 18, "test": 12}
    assert any("user22_led_labels.csv: windows of classes 9 and 10 overlap by 7000 us" in note for note in found.notes)
    assert any("user26_fluorescent_labels.csv: classes [2]" in note for note in found.notes)
    assert found.recordings[0].segments[9].stop_us > found.recordings[0].segments[10].start_us


def test_half_extracted_ibm_folder_lists_everything_missing_at_once(tmp_path, gestures):
    folder = gestures.ibm(tmp_path)
    (folder / "user01_fluorescent.aedat").unlink()
    (folder / "user24_led_labels.csv").unlink()
    (folder / "user03_lab.aedat").touch()
    text = faults(folder)
    assert "2 faults" in text
    assert "user01_fluorescent.aedat missing (train)" in text
    assert "user24_led_labels.csv missing (test)" in text
    assert "ibm.ent.box.com" in text
    found = read_ibm_folder(folder, partial=True)
    assert [each.name for each in found.recordings] == ["user02_fluorescent_led"]
    assert any("user03_lab.aedat: in neither list" in note for note in found.notes)
    assert any("user24_led_labels.csv missing" in note for note in found.notes)


def test_missing_lists_are_told(tmp_path, gestures):
    folder = gestures.ibm(tmp_path)
    for name in ("trials_to_train.txt", "trials_to_test.txt"):
        (folder / name).unlink()
    text = faults(folder)
    assert "trials_to_train.txt is missing" in text
    assert "trials_to_test.txt is missing" in text
    assert "trials_to_train.txt is missing" in faults(folder, partial=True)  # nothing is left to take


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(12, 10, 20)], "12"),
        ([(0, 10, 20)], "0"),
        ([(1, 20, 10)], "20"),
        ([], "label"),
    ],
)
def test_wrong_label_rows_are_refused_by_file(tmp_path, gestures, rows, expected):
    folder = gestures.ibm(tmp_path)
    gestures.labels(folder / "user24_led_labels.csv", rows)
    text = faults(folder)
    assert "user24_led_labels.csv" in text
    assert expected in text


def test_a_label_file_that_is_no_label_file(tmp_path, gestures):
    folder = gestures.ibm(tmp_path)
    (folder / "user24_led_labels.csv").write_text("<html>404</html>")
    assert "user24_led_labels.csv" in faults(folder)


def test_a_subject_in_both_splits_is_refused(tmp_path, gestures):
    folder = gestures.ibm(tmp_path, train=("user01_led", "user02_led"), test=("user02_lab",))
    assert "subjects [2] are in train and test" in faults(folder)


def test_a_recording_listed_twice_is_told(tmp_path, gestures):
    folder = gestures.ibm(tmp_path)
    (folder / "trials_to_test.txt").write_text("user24_led.aedat\nuser24_led.aedat\n")
    assert "names user24_led.aedat 2 times" in faults(folder)


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_folders_without_the_dataset_say_where_to_get_it(tmp_path, name):
    text = faults(tmp_path / name)
    assert "ibm.ent.box.com" in text


def test_archives_not_extracted_yet_are_recognised(tmp_path):
    (tmp_path / "DvsGesture.tar.gz").touch()
    assert "DvsGesture.tar.gz, not extracted yet" in faults(tmp_path)


def test_tonic_files_read_as_tonic_reads_them(tmp_path, gestures):
    """Made complete, because tonic would download otherwise; compared by file, because tonic's order is the disk's."""
    import numpy.lib.recfunctions  # noqa: F401  (tonic uses it without importing it)
    from tonic.datasets import DVSGesture

    read = read_tonic_folder(gestures.tonic_complete(tmp_path / "DVSGesture"))
    ours = {each.name: each for each in read.recordings}
    assert list(ours)[:3] == ["user01_fluorescent-0", "user01_fluorescent-1", "user01_fluorescent-2"]
    for train, split in ((True, "train"), (False, "test")):
        (tmp_path / "DVSGesture" / ("ibmGestureTrain.tar.gz" if train else "ibmGestureTest.tar.gz")).touch()
        theirs = DVSGesture.__new__(DVSGesture)
        theirs._check_exists = lambda: True
        DVSGesture.__init__(theirs, save_to=str(tmp_path), train=train)
        assert len(theirs) == read.totals()[split]
        for number in range(0, len(theirs), 37):
            table, label = theirs[number]
            name = theirs.data[number].replace("\\", "/").split("/")[-2] + f"-{label}"
            events = Events.concatenate(ours[name].chunks, (128, 128))
            for column in "txyp":
                np.testing.assert_array_equal(getattr(events, column), table[column])
            (segment,) = ours[name].segments
            assert (segment.label, segment.split) == (label, split)
            assert segment.subject == theirs.users[number]
            assert len(events.between(segment.start_us, segment.stop_us)) == len(events)


def test_tonic_facts_are_tonics():
    from tonic.datasets import DVSGesture

    assert DVSGesture.train_url.rpartition("/")[2] in TONIC_HELP
    assert DVSGesture.test_url.rpartition("/")[2] in TONIC_HELP


def test_half_extracted_tonic_folder_lists_what_is_missing(tmp_path, gestures):
    folder = gestures.tonic(tmp_path / "DVSGesture")
    (folder / "ibmGestureTrain" / "user02_fluorescent_led" / "4.npy").unlink()
    text = faults(tmp_path)
    assert "ibmGestureTrain/: 2 of 98 user folders, 21 of 1077 gestures" in text
    assert "ibmGestureTrain/user02_fluorescent_led: no 4.npy" in text
    assert "figshare.com" in text
    found = read_gesture_folder(tmp_path, partial=True)
    assert found.totals() == {"train": 21, "test": 11}
    assert found.recordings[1].segments[0].recording == "user01_led-1"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("11.npy", np.zeros((3, 4)), "11.npy: not named by a class 0..10"),
        ("wave.npy", np.zeros((3, 4)), "wave.npy: not named by a class"),
        ("3.npy", np.zeros((3, 5)), r"3.npy: shape (3, 5)"),
        ("3.npy", np.zeros((0, 4)), "3.npy: shape (0, 4)"),
        ("3.npy", None, "3.npy: cannot be read"),
    ],
)
def test_wrong_tonic_files_are_refused(tmp_path, gestures, name, content, expected):
    path = gestures.tonic(tmp_path / "DVSGesture") / "ibmGestureTest" / "user24_lab" / name
    np.save(path, np.zeros((3, 4)) if content is None else content)
    if content is None:
        path.write_bytes(path.read_bytes()[:-20])
    assert expected in faults(tmp_path)


def test_tonic_columns_in_another_order_are_noticed(tmp_path, gestures):
    folder = gestures.tonic(tmp_path / "DVSGesture")
    np.save(folder / "ibmGestureTest" / "user24_lab" / "3.npy", np.array([[9_000, 1, 2, 1], [9_001, 1, 2, 0]], float))
    found = read_gesture_folder(tmp_path, partial=True)
    recording = next(each for each in found.recordings if each.name == "user24_lab-3")
    with pytest.raises(DatasetError, match="column order"):
        list(recording.chunks)


def test_real_recording_in_the_ibm_layout(tmp_path, recordings_dir):
    derived = recordings_dir / "derived"
    for name in ("user99_fluorescent.aedat", "user99_fluorescent_labels.csv"):
        (tmp_path / name).write_bytes((derived / name).read_bytes())
    (tmp_path / "trials_to_train.txt").write_text("user99_fluorescent.aedat\n")
    (tmp_path / "trials_to_test.txt").write_text("\n")
    folder = read_gesture_folder(tmp_path)
    assert folder.totals() == {"train": 4}
    assert [each.label for each in folder.recordings[0].segments] == [0, 7, 7, 10]
    assert sum(len(chunk) for chunk in folder.recordings[0].chunks) == 202_235
