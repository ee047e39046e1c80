"""Gait folders in the exact layout, and every trap that is known of it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dvspipe.data.gait import N_PEOPLE, SENSOR, read_gait_folder
from dvspipe.data.prepare import prepare
from dvspipe.errors import DatasetError
from dvspipe.events import Events
from dvspipe.recipes import load_card
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Archive

WALK = [(100, 1, 2, 1), (105, 127, 0, 0), (105, 3, 127, 1), (140, 5, 6, 0), (150, 7, 8, 1)]


def text(rows=WALK):
    return "".join(f"{t} {x} {y} {p}\n" for t, x, y, p in rows)


def made(place, people=range(20), walks=2, off=0):
    """Every walk of every person begins at its own time, so that no two are the same. Made in reverse order."""
    for session, name in enumerate(("train", "test")):
        for person in reversed(people):
            folder = place / name / str(person)
            folder.mkdir(parents=True)
            for walk in reversed(range(walks)):
                origin = 1_000_000 * session + 1_000 * person + 10 * walk
                rows = [(origin + t, x, y, p or off) for t, x, y, p in WALK]
                (folder / f"walk{walk}.txt").write_text(text(rows))
    return place


@pytest.fixture
def origin(tmp_path):
    return made(tmp_path / "DVS128-Gait-Day" / "origin")


@pytest.fixture(scope="module")
def gait_card():
    return SimpleNamespace(
        title="Gait", kind="gait", licence="none", sensor_size=SENSOR,
        classes=[f"person {who}" for who in range(20)], md5={}, counts={},
    )  # fmt: skip


def faults(folder, partial=False):
    with pytest.raises(DatasetError) as caught:
        read_gait_folder(folder, partial)
    return str(caught.value)


@pytest.mark.parametrize("inside", [".", "origin"])
def test_the_root_and_origin_read_the_same_in_one_order(tmp_path, origin, inside):
    (tmp_path / "DVS128-Gait-Day" / "graph" / "train" / "raw").mkdir(parents=True)
    found = read_gait_folder(tmp_path / "DVS128-Gait-Day" / inside)
    assert found.layout == "gait"
    assert found.totals() == {"train": 40, "test": 40}
    assert found.notes == []
    expected = [f"{split}/{who}/walk{walk}" for split in ("train", "test") for who in range(20) for walk in (0, 1)]
    assert [each.name for each in found.recordings] == expected
    for session, split in enumerate(("train", "test")):
        for segment in (each for each in found.segments if each.split == split):
            start = 1_000_000 * session + 1_000 * segment.label + 10 * int(segment.recording[-1]) + 100
            assert (segment.start_us, segment.stop_us, segment.subject) == (start, start + 51, segment.label)


def test_the_order_is_not_the_disks(monkeypatch, origin):
    expected = [each.name for each in read_gait_folder(origin).recordings]
    listed = Path.glob
    monkeypatch.setattr(Path, "glob", lambda path, pattern: sorted(listed(path, pattern), reverse=True))
    assert [each.name for each in read_gait_folder(origin).recordings] == expected


@pytest.mark.parametrize("off", [0, -1])
def test_off_is_0_or_minus_1(tmp_path, off):
    found = read_gait_folder(made(tmp_path, off=off))
    for recording in found.recordings[::7]:
        events = Events.concatenate(recording.chunks, SENSOR)
        assert events.p.tolist() == [True, False, True, False, True]
        assert events.x.tolist() == [1, 127, 3, 5, 7]
        assert events.y.tolist() == [2, 0, 127, 6, 8]


def test_a_walk_of_one_polarity_is_noted(origin):
    (origin / "train" / "3" / "walk0.txt").write_text(text([(t, x, y, 1) for t, x, y, _ in WALK]))
    (origin / "test" / "4" / "walk1.txt").write_text(text([(t, x, y, -1) for t, x, y, _ in WALK]))
    found = read_gait_folder(origin)
    assert found.notes == [
        "train/3/walk0.txt: no OFF event among 5 (p > 0 is ON)",
        "test/4/walk1.txt: no ON event among 5 (p > 0 is ON)",
    ]
    assert len(found.recordings) == 80


def test_folders_from_1_to_20_are_shifted_and_said_so(tmp_path):
    found = read_gait_folder(made(tmp_path, people=range(1, 21)))
    assert sorted({each.label for each in found.segments}) == list(range(20))
    assert found.recordings[0].chunks.path == tmp_path / "train" / "1" / "walk0.txt"
    assert [note for note in found.notes if "folder 1 is label 0" in note]


def test_21_labels_are_listed(tmp_path):
    message = faults(made(tmp_path, people=range(21)))
    assert "21 labels (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)" in message
    assert "move 20 away" in message
    assert {each.label for each in read_gait_folder(tmp_path, partial=True).segments} == set(range(20))


def test_sessions_numbered_differently_are_21_labels(tmp_path):
    made(tmp_path / "a", people=range(20))
    made(tmp_path / "b", people=range(1, 21))
    (tmp_path / "b" / "test").rename(tmp_path / "b" / "unused")
    (tmp_path / "a" / "test").rename(tmp_path / "b" / "test")
    message = faults(tmp_path / "b")
    assert "21 labels" in message
    assert "train/: no walk of 0 (1 of 20 people missing)" in message


def test_an_empty_21st_folder_is_no_label(origin):
    (origin / "train" / "20").mkdir()
    found = read_gait_folder(origin)
    assert found.totals() == {"train": 40, "test": 40}
    assert found.notes == ["train/20/: 0 .txt files taken, 0 others left out"]


def test_missing_people_are_listed_by_session(origin):
    for name in ("train/3", "train/17", "test/3"):
        (origin / name).rename(origin.parent / name.replace("/", "-"))
    message = faults(origin)
    assert "2 faults" in message
    assert "train/: no walk of 3, 17 (2 of 20 people missing)" in message
    assert "test/: no walk of 3 (1 of 20 people missing)" in message
    assert "pan.baidu.com" in message
    found = read_gait_folder(origin, partial=True)
    assert found.totals() == {"train": 36, "test": 38}
    assert len(found.notes) == 2


def test_a_missing_session_is_told(origin):
    (origin / "test").rename(origin / "elsewhere")
    assert "1 fault\n  - test/: missing, or without a walk of anybody" in faults(origin)
    assert read_gait_folder(origin, partial=True).totals() == {"train": 40}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("raw", "train/raw/: not named by a person's number, 0..19"), ("07", "train/7/: person 7 is there twice")],
)
def test_a_folder_that_is_nobody(origin, name, expected):
    (origin / "train" / name).mkdir()
    (origin / "train" / name / "more.txt").write_text(text())
    assert expected in faults(origin)


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_folders_without_the_dataset_say_where_to_get_it(tmp_path, name):
    assert "code mk55" in faults(tmp_path / name, partial=True)


def test_nights_sessions_by_their_other_names(tmp_path):
    made(tmp_path)
    (tmp_path / "train").rename(tmp_path / "indoor_night1")
    (tmp_path / "test").rename(tmp_path / "indoor_night2")
    found = read_gait_folder(tmp_path)
    assert found.notes == ["indoor_night1/ is taken for the training session, indoor_night2/ for the test session"]
    assert found.recordings[0].name == "train/0/walk0"
    assert found.recordings[0].chunks.path.parts[-3] == "indoor_night1"


def test_uneven_counts_are_reported_not_refused(origin):
    (origin / "test" / "5" / "walk1.txt").unlink()
    (origin / "test" / "11" / "walk2.txt").write_text(text())
    found = read_gait_folder(origin)
    assert found.notes == ["test: uneven, 2 walks of most people, but person 5: 1, person 11: 3"]


def test_other_files_are_left_out_and_hidden_ones_ignored(origin):
    (origin / "train" / "0" / "walk.mat").write_bytes(b"?")
    (origin / "train" / "1" / "._walk0.txt").write_bytes(b"\x00\x05")
    (origin / ".cache").mkdir()
    found = read_gait_folder(origin)
    assert found.totals() == {"train": 40, "test": 40}
    assert found.notes == ["train/0/: 2 .txt files taken, 1 others left out"]


@pytest.mark.parametrize("content", ["", "\n \n", "t,x,y,p\n"])
def test_files_without_events_are_noted_and_left_out(origin, content):
    (origin / "train" / "2" / "walk0.txt").write_text(content)
    found = read_gait_folder(origin)
    assert "train/2/walk0.txt: no event in it, left out" in found.notes
    assert found.totals() == {"train": 39, "test": 40}


DAMAGED = [
    ("120 a 3 1\n", "line 4: '120 a 3 1'", "four integers `t x y p`"),
    ("120 3 1\n", "line 4: '120 3 1'", "four integers `t x y p`"),
    ("120 3 4 1 9\n", "line 4: '120 3 4 1 9'", "four integers `t x y p`"),
    ("120.5 3 4 1\n", "line 4: '120.5 3 4 1'", "four integers `t x y p`"),
    ("120 3 128 1\n", "line 4: '120 3 128 1'", "inside 128x128"),
    ("120 3 12 2\n", "line 4: '120 3 12 2'", "four integers `t x y p`"),
    ("104 3 12 1\n", "line 4: time goes backwards, 105 to 104 us", "split the file there"),
    ("\n\r\n104 3 12 1\n", "line 6: time goes backwards, 105 to 104 us", "split the file there"),
]


@pytest.mark.parametrize(("lines", "where", "remedy"), DAMAGED)
def test_damage_names_file_line_and_remedy(origin, lines, where, remedy):
    path = origin / "test" / "19" / "walk1.txt"
    path.write_bytes((text(WALK[:3]) + lines + text(WALK[3:])).encode())
    message = faults(origin)
    assert "1 fault\n" in message
    assert f"test/19/walk1.txt: {where}" in message
    assert remedy in message
    assert "--partial takes the 3 events before it" in message


def test_damage_after_a_header_counts_it(origin):
    (origin / "train" / "0" / "walk0.txt").write_text("t,x,y,p\n1,2,3,1\n0,2,3,0\n")
    assert "train/0/walk0.txt: line 3: time goes backwards, 1 to 0 us" in faults(origin)


@pytest.mark.parametrize(("lines", "where", "remedy"), DAMAGED)
def test_partial_takes_a_walk_up_to_its_damage_and_lists_it(tmp_path, origin, gait_card, lines, where, remedy):
    before = text(WALK[:3])
    path = origin / "test" / "19" / "walk1.txt"
    path.write_bytes((before + lines + text(WALK[3:])).encode())
    result = prepare(gait_card, origin, tmp_path / "out.h5", partial=True)
    assert list(result["damaged"]) == ["test/19/walk1"]
    assert where in result["damaged"]["test/19/walk1"]
    lost = path.stat().st_size - len(before) - (lines.startswith("\n") and 3)
    assert f"at byte {path.stat().st_size - lost}, {lost} bytes lost" in result["damaged"]["test/19/walk1"]
    assert [note for note in result["notes"] if where in note and remedy in note]
    with Archive(tmp_path / "out.h5") as archive:
        (segment,) = [each for each in archive.segments if each.recording == "test/19/walk1"]
        events = archive.events(segment.recording, segment.start_us, segment.stop_us)
        assert events.t.tolist() == [100, 105, 105]
        assert archive.span_us("test/19/walk1")[1] == 105


def test_time_going_backwards_between_two_blocks_is_seen(origin):
    """Blocks of the text reader are 1 MiB: the fall lies where one ends and the next begins."""
    line = "1000000000 100 100 1\n"
    rows, rest = divmod(1 << 20, len(line))
    first = line * rows + "\n" * rest  # exactly one block
    (origin / "train" / "0" / "walk0.txt").write_text(first + "999999999 1 1 0\n")
    assert f"line {rows + rest + 1}: time goes backwards, 1000000000 to 999999999 us" in faults(origin)


def test_every_fault_of_every_file_is_told_at_once(origin):
    (origin / "train" / "0" / "walk0.txt").write_text("gait of person 0\n")
    (origin / "train" / "1" / "walk0.txt").write_text("1 2 3\n4 5 6\n")
    (origin / "train" / "2" / "walk0.txt").write_text("3 1 1 0\n2 1 1 1\n")
    (origin / "train" / "3" / "walk0.txt").write_text(text([(t, 9 * x, y, p) for t, x, y, p in WALK]))
    message = faults(origin)
    assert "4 faults" in message
    assert "line 1 is 'gait of person 0'" in message
    assert "line 1 is '1 2 3'" in message
    assert "train/2/walk0.txt: line 2" in message
    assert "train/3/walk0.txt: line 2: '105 1143 0 0'" in message
    assert read_gait_folder(origin, partial=True).totals() == {"train": 38, "test": 40}


def test_prepared_events_are_the_events_of_the_files(tmp_path, origin, gait_card):
    calls = []
    result = prepare(gait_card, origin, tmp_path / "out.h5", lambda *call: calls.append(call))
    assert json.loads(json.dumps(result)) == result
    assert (calls[0], calls[-1]) == ((1, 80, "train/0/walk0"), (80, 80, "test/19/walk1"))
    assert (result["layout"], result["events"], result["damaged"], result["notes"]) == ("gait", 400, {}, [])
    assert result["counts"]["test"] == {f"person {who}": 2 for who in range(20)}
    with Archive(tmp_path / "out.h5") as archive:
        for segment in archive.segments:
            events = archive.events(segment.recording, segment.start_us, segment.stop_us)
            split, person, walk = segment.recording.split("/")
            expected = open_recording(origin / split / person / f"{walk}.txt").load()
            for column in "txyp":
                np.testing.assert_array_equal(getattr(events, column), getattr(expected, column))


def test_a_refused_folder_leaves_nothing(tmp_path, origin, gait_card):
    (origin / "train" / "2" / "walk0.txt").write_text("3 1 1 0\n2 1 1 1\n")
    with pytest.raises(DatasetError, match="line 2"):
        prepare(gait_card, origin, tmp_path / "out.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["DVS128-Gait-Day"]


def test_a_kind_without_a_folder_is_refused(tmp_path, gait_card):
    with pytest.raises(DatasetError, match=r"kind 'images'.*gesture"):
        prepare(SimpleNamespace(**{**vars(gait_card), "kind": "images"}), tmp_path, tmp_path / "out.h5")


@pytest.mark.parametrize("name", ["gait-day", "gait-night"])
def test_the_cards_agree_with_the_reader(name):
    card = load_card(name)
    assert (card.kind, card.sensor_size, len(card.classes)) == ("gait", SENSOR, N_PEOPLE)
    assert card.classes == [f"person {who}" for who in range(20)]
    assert "do not redistribute" in card.licence
    assert {"gait-day": "mk55", "gait-night": "ih83"}[name] in card.source[0]


def test_a_real_recording_as_one_walk(tmp_path, recordings_dir, gait_card):
    """Other events than a walk, but in the layout; compared with a reader of another make."""
    source = recordings_dir / "derived" / "gait_layout_garfield.txt"
    made(tmp_path / "gait")
    (tmp_path / "gait" / "train" / "7" / "walk0.txt").write_bytes(source.read_bytes())
    prepare(gait_card, tmp_path / "gait", tmp_path / "out.h5")
    table = np.loadtxt(source, dtype=np.int64)
    with Archive(tmp_path / "out.h5") as archive:
        (segment,) = [each for each in archive.segments if each.recording == "train/7/walk0"]
        events = archive.events(segment.recording, segment.start_us, segment.stop_us)
    assert (segment.label, segment.start_us, segment.stop_us) == (7, table[0, 0], table[-1, 0] + 1)
    for column, expected in zip("txyp", table.T):
        np.testing.assert_array_equal(getattr(events, column), expected)
