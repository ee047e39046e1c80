"""Text of one event per line: the gait layout, its cousins, and lines that are none."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvspipe.errors import DamagedRecordingError, RecordingError
from dvspipe.recordings import open_recording
from dvspipe.recordings.formats import gait_text

ROWS = [(10, 1, 2, 1), (20, 127, 0, 0), (20, 3, 126, 1), (35, 5, 6, 0), (40, 7, 8, 1)]


@pytest.fixture
def opened(tmp_path):
    def write(text, name="made.txt", on_damage="skip"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return open_recording(path, on_damage)

    return write


def lines(rows=ROWS, form="{} {} {} {}\n"):
    return "".join(form.format(*row) for row in rows)


@pytest.mark.parametrize(
    "form", ["{} {} {} {}\n", "{} {} {} {}\r\n", "{},{},{},{}\n", "  {}\t{}  {} {} \n", "{} {} {} {}\n\n"]
)
@pytest.mark.parametrize("name", ["made.txt", "without_suffix"])
def test_four_integers_a_line(opened, made, form, name):
    recording = opened(lines(form=form), name)
    assert made.tuples(recording.load()) == ROWS
    assert (recording.format, recording.sensor_size, recording.damage) == ("text", (128, 128), None)


def test_last_line_needs_no_end(opened, made):
    recording = opened(lines().rstrip("\n"))
    assert made.tuples(recording.load()) == ROWS
    assert recording.damage is None


def test_minus_one_is_off(opened, made):
    assert made.tuples(opened(lines([(t, x, y, 2 * p - 1) for t, x, y, p in ROWS])).load()) == ROWS


def test_header_line_names_the_columns(opened, made):
    text = "p,x,y,t\n" + lines([(p, x, y, t) for t, x, y, p in ROWS], "{},{},{},{}\n")
    recording = opened(text, "made.csv")
    assert made.tuples(recording.load()) == ROWS
    assert recording.damage is None


BAD = [
    "12 a 3 1\n",
    "12 3 1\n",
    "1 2 3 1 5\n",
    "1.5 2 3 1\n",
    "- 2 3 1\n",
    "1 2 3 2\n",
    "\xff\xff\n",
    "9" * 30 + " 1 1 1\n",
]


@pytest.mark.parametrize("bad", BAD)
def test_bad_line_is_named_and_passed_over(opened, made, bad):
    text = lines(ROWS[:3]) + bad + lines(ROWS[3:])
    recording = opened(text.encode("latin-1"))
    assert made.tuples(recording.load()) == ROWS
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes, damage.last_good_t_us) == ("corrupt", 31, len(bad), 20)
    assert damage.note.startswith("line 4: ")
    assert made.tuples(opened(text.encode("latin-1"), on_damage="stop").load()) == ROWS[:3]
    with pytest.raises(DamagedRecordingError, match="line 4"):
        opened(text.encode("latin-1"), on_damage="fail").load()


def test_event_outside_the_sensor_is_refused(opened, made):
    rows = made.random_events(2_000)
    text = lines(rows[:1500]) + "1074000 200 3 1\n" + lines(rows[1500:])
    recording = opened(text)
    assert recording.sensor_size == (128, 128)
    assert made.tuples(recording.load()) == rows
    assert recording.damage.kind == "out-of-bounds"


def test_larger_sensor_is_found_from_the_events(opened, made):
    rows = made.random_events(2_000, size=(240, 180))
    assert opened(lines(rows)).sensor_size == (240, 180)


def test_cut_last_line_is_truncation(opened, made):
    recording = opened(lines()[:-4])
    assert made.tuples(recording.load()) == ROWS[:-1]
    assert recording.damage.kind == "truncated"


@pytest.mark.parametrize("text", ["hello world\n", "class,startTime_usec,endTime_usec\n1,2,3\n"])
def test_text_without_events_is_refused(opened, text):
    with pytest.raises(RecordingError, match=r"line 1 is .*expected four integers"):
        opened(text)


def test_empty_table_has_no_events(opened):
    recording = opened("t,x,y,p\n", "made.csv")
    assert len(recording.load()) == 0
    assert recording.damage is None


@given(block=st.integers(32, 400))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_block_size_gives_the_same(opened, made, block):
    rows = made.random_events(200)
    recording = opened(lines(rows) + "bad\n" + lines(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gait_text, "BLOCK_BYTES", block)
        assert made.tuples(recording.load()) == rows + rows
    assert recording.damage.note.startswith("line 201: 'bad'")


def test_real_layout(recordings_dir):
    recording = open_recording(recordings_dir / "derived" / "gait_layout_garfield.txt")
    events = recording.load()
    assert (len(events), recording.sensor_size, recording.damage) == (40_000, (128, 128), None)
