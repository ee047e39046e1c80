"""Own recordings: windows, a split that keeps files or sessions whole, and errors that say what to do."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from dvspipe.data.own_folder import held_for_test, read_own_folder
from dvspipe.data.prepare import prepare
from dvspipe.errors import DatasetError
from dvspipe.events import Events
from dvspipe.recipes import load_card
from dvspipe.recordings.archive import Archive
from dvspipe.recordings.formats.aedat31 import write_aedat31

FILES = ("1.npy", "2.csv", "10.aedat", "11.txt")


def card(window_ms=100, split="file", classes=("left", "right"), size=(64, 48), test_share=0.2, seed=0):
    settings = SimpleNamespace(window_ms=window_ms, split=split, test_share=test_share, seed=seed)
    return SimpleNamespace(
        title="mine", kind="folder", licence="mine", sensor_size=size, classes=list(classes), md5={}, counts={},
        folder=settings, tonic=None,
    )  # fmt: skip


def events(seed, ms=350, size=(64, 48), start=5_000_000, n=200):
    """n events over exactly `ms` milliseconds: the first at `start`, the last in the last microsecond."""
    rng = np.random.default_rng(seed)
    t = start + np.linspace(0, ms * 1000 - 1, n).astype(np.int64)
    return Events.of(t, rng.integers(0, size[0], n), rng.integers(0, size[1], n), rng.integers(0, 2, n), size)


def write(path, held):
    """In the format that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = np.stack([held.t, held.x, held.y, held.p], 1)
    match path.suffix:
        case ".npy":
            kinds = [("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "?")]
            table = np.empty(len(held), kinds)
            for name in "txyp":
                table[name] = getattr(held, name)
            np.save(path, table)
        case ".csv":
            np.savetxt(path, columns, "%d", ",", header="t,x,y,p", comments="")
        case ".txt":
            np.savetxt(path, columns, "%d")
        case ".aedat":
            write_aedat31(path, [held])


def made(folder, names=("left", "right"), files=FILES, **how):
    for label, name in enumerate(names):
        for number, file in enumerate(files):
            write(folder / name / file, events(10 * label + number, **how))
    return folder


def splits_of(found):
    return {name: {each.split for each in found.segments if each.recording == name} for name in names_of(found)}


def names_of(found):
    return [each.name for each in found.recordings]


def test_windows_follow_one_another_and_the_rest_is_counted(tmp_path):
    found = read_own_folder(made(tmp_path), card())
    assert names_of(found) == [f"{label}/{file}" for label in ("left", "right") for file in FILES]
    for recording in found.recordings:
        starts = [(each.start_us, each.stop_us) for each in recording.segments]
        assert starts == [(5_000_000 + 100_000 * k, 5_100_000 + 100_000 * k) for k in range(3)]
        assert {each.label for each in recording.segments} == {["left", "right"].index(recording.name.split("/")[0])}
    assert found.notes == ["8 last parts shorter than 100 ms dropped, 0.400 s in all"]


def test_whole_recordings_without_a_window(tmp_path):
    found = read_own_folder(made(tmp_path), card(window_ms=None))
    assert [(each.start_us, each.stop_us) for each in found.segments] == [(5_000_000, 5_350_000)] * 8
    assert found.notes == []


def test_every_event_of_every_window_is_in_the_archive(tmp_path):
    made(tmp_path / "mine")
    calls = []
    result = prepare(card(), tmp_path / "mine", tmp_path / "out.h5", lambda *call: calls.append(call))
    assert (result["layout"], result["damaged"]) == ("folder", {})
    assert result["events"] == 8 * 200
    assert calls[-1] == (8, 8, "right/11.txt")
    with Archive(tmp_path / "out.h5") as archive:
        assert (archive.sensor_size, archive.classes) == ((64, 48), ["left", "right"])
        assert len(archive.segments) == 24
        for segment in archive.segments:
            label, file = segment.recording.split("/")
            number = 10 * ["left", "right"].index(label) + FILES.index(file)
            expected = events(number).between(segment.start_us, segment.stop_us)
            found = archive.events(segment.recording, segment.start_us, segment.stop_us)
            for column in "txyp":
                np.testing.assert_array_equal(getattr(found, column), getattr(expected, column))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_files_are_never_in_both_and_every_class_is_in_both(tmp_path, seed, share):
    found = read_own_folder(made(tmp_path, files=("a.npy", "b.npy", "c.npy")), card(seed=seed, test_share=share))
    assert all(len(splits) == 1 for splits in splits_of(found).values())
    tests = Counter(name.split("/")[0] for name, splits in splits_of(found).items() if splits == {"test"})
    wanted = {0.01: 1, 0.5: 2, 0.99: 2}[share]
    assert tests == {"left": wanted, "right": wanted}
    assert {each.subject for each in found.segments} == {0}


def test_the_split_depends_on_seed_and_names_alone(tmp_path):
    def tests(place, **how):
        return {name for name, splits in splits_of(read_own_folder(place, card(**how))).items() if splits == {"test"}}

    files = tuple(f"{number}.npy" for number in range(8))
    one, other = made(tmp_path / "one", files=files), made(tmp_path / "other", files=files[::-1], start=0)
    assert tests(one) == tests(other)
    assert len({frozenset(tests(one, seed=seed)) for seed in range(6)}) > 3
    # by `sha256sum` of "0:left/0.npy" and so on
    assert tests(one) == {"left/5.npy", "left/1.npy", "right/1.npy", "right/4.npy"}


def test_a_session_is_one_session_in_every_class(tmp_path):
    for label in ("left", "right"):
        for session in ("monday", "tuesday", "friday"):
            made(tmp_path / label, names=(session,), files=("1.npy", "2.npy"))
    found = read_own_folder(tmp_path, card(split="session"))
    of_session = {}
    for each in found.segments:
        of_session.setdefault(each.recording.split("/")[1], set()).add((each.split, each.subject))
    assert all(len(held) == 1 for held in of_session.values())
    assert Counter(split for held in of_session.values() for split, _ in held) == {"train": 2, "test": 1}
    assert {name: subject for name, held in of_session.items() for _, subject in held} == {
        "friday": 0,
        "monday": 1,
        "tuesday": 2,
    }


@pytest.mark.parametrize("seed", range(20))
def test_sessions_that_not_every_class_has(seed):
    units = {"a": {"1", "2", "3"}, "b": {"3", "4"}, "c": {"1", "4", "5"}}
    tests = held_for_test(units, 0.2, seed)
    assert all(held & tests and held - tests for held in units.values())


@pytest.mark.parametrize(
    ("split", "files", "words"),
    [
        ("file", ["left/1.npy", "right/1.npy", "right/2.npy"], r"left/: 1 readable file \(left/1.npy\)"),
        ("session", ["left/mo/1.npy", "left/mo/2.npy", "right/mo/1.npy", "right/tu/1.npy"], r"1 readable session \(mo\)"),
        ("file", ["left/1.npy", "left/2.npy"], r"folders without a class in the card: none; .*without a folder: right"),
        ("file", ["left/1.npy", "left/2.npy", "up/1.npy"], r"in the card: up; classes without a folder: right"),
        ("file", ["left/mo/1.npy", "right/1.npy", "right/2.npy"], r"left/: holds folders \(mo\). .*split = 'session'"),
        ("session", ["left/1.npy", "right/mo/1.npy"], r"left/: 1.npy lies in no session folder"),
    ],
)  # fmt: skip
def test_folders_that_do_not_fit_the_card(tmp_path, split, files, words):
    for number, file in enumerate(files):
        write(tmp_path / file, events(number))
    with pytest.raises(DatasetError, match=words) as caught:
        read_own_folder(tmp_path, card(split=split))
    assert "Expected is one folder per class" in str(caught.value)


def test_a_larger_camera_is_named_with_both_sizes(tmp_path):
    made(tmp_path)
    write(tmp_path / "left" / "big.npy", events(7, size=(346, 260)))
    with pytest.raises(DatasetError, match=r"left/big.npy: .*34\dx2\d\d pixels, the card says 64x48 .*\[346, 260\]"):
        read_own_folder(tmp_path, card())
    found = read_own_folder(tmp_path, card(), partial=True)
    assert len(found.recordings) == 8
    assert [note for note in found.notes if note.startswith("left/big.npy")]


def test_a_smaller_camera_and_a_wrong_guess_are_taken(tmp_path):
    """Without a camera's name the smallest known one is guessed from the first events: here too small a one."""
    made(tmp_path)
    quiet = events(3, ms=300, size=(64, 48), n=5_000)
    quiet.x[-1], quiet.y[-1] = 340, 250
    write(tmp_path / "left" / "0.npy", quiet)
    found = read_own_folder(tmp_path, card(size=(346, 260)))
    assert found.recordings[0].name == "left/0.npy"
    read = Events.concatenate(found.recordings[0].chunks, (346, 260))
    assert (len(read), read.sensor_size, read.x[-1]) == (5_000, (346, 260), 340)
    assert found.recordings[0].chunks.damage is None


def test_a_damaged_recording_is_taken_up_to_its_damage(tmp_path):
    made(tmp_path / "mine", files=("1.txt", "2.txt", "3.txt"))
    path = tmp_path / "mine" / "left" / "2.txt"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:150], "what is this\n", *lines[150:]]))
    result = prepare(card(), tmp_path / "mine", tmp_path / "out.h5")
    assert list(result["damaged"]) == ["left/2.txt"]
    assert "line 151" in result["damaged"]["left/2.txt"]
    assert result["events"] == 5 * 200 + 150
    with Archive(tmp_path / "out.h5") as archive:
        assert Counter(each.recording for each in archive.segments)["left/2.txt"] == 2  # 150 of 200 events: 262 ms


def test_what_is_no_recording_is_told_with_all_the_rest(tmp_path):
    made(tmp_path)
    (tmp_path / "left" / "notes.pdf").write_bytes(b"%PDF-1.4 and more")
    (tmp_path / "right" / "empty.npy").touch()
    (tmp_path / "left" / ".DS_Store").write_bytes(b"hidden")
    (tmp_path / "README").write_text("not a class")
    with pytest.raises(DatasetError) as caught:
        read_own_folder(tmp_path, card())
    assert "2 faults" in str(caught.value)
    assert "notes.pdf: unknown format" in str(caught.value)
    assert "empty.npy: the file is empty" in str(caught.value)
    assert len(read_own_folder(tmp_path, card(), partial=True).recordings) == 8


def test_recordings_without_a_window_are_noted(tmp_path):
    made(tmp_path)
    write(tmp_path / "left" / "short.npy", events(0, ms=60))
    write(tmp_path / "left" / "none.csv", events(0)[:0])
    notes = read_own_folder(tmp_path, card()).notes
    assert "left/short.npy: 60 ms, shorter than a window, left out" in notes
    assert "left/none.csv: no event in it, left out" in notes


def test_no_folder_and_no_table(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        read_own_folder(tmp_path / "nowhere", card())
    bare = card()
    bare.folder = None
    with pytest.raises(DatasetError, match=r"no table \[folder\]"):
        read_own_folder(tmp_path, bare)


def test_the_template_reads_a_folder_of_its_classes(tmp_path):
    made(tmp_path, names=("class-a", "class-b"), ms=2_100)
    found = read_own_folder(tmp_path, load_card("own-recordings"))
    assert found.totals() == {"train": 12, "test": 4}
