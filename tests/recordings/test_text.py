"""Text of one event per line: the gait layout, RPG's, Metavision's, CSV with names, and lines that are no events."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvspipe.errors import DamagedRecordingError, RecordingError
from dvspipe.recordings import open_recording
from dvspipe.recordings.formats import text as text_format
from dvspipe.recordings.layouts.text_layout import Layout, read_layout

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


def seconds(us, digits=9):
    """Seconds as text from µs, by digits alone."""
    return f"{us // 1_000_000}.{us % 1_000_000:06d}" + "0" * (digits - 6)


RPG = [(3811, 96, 133, 0), (3820, 17, 9, 1), (4_000_007, 239, 179, 1)]
UNIX_US = 1_468_939_993_067_416


@pytest.mark.parametrize("digits", [6, 9, 12])
@pytest.mark.parametrize("first_us", [0, UNIX_US])
def test_times_with_a_decimal_point_are_seconds_exact_to_the_microsecond(opened, made, digits, first_us):
    rows = [(first_us + t, x, y, p) for t, x, y, p in RPG]
    recording = opened("".join(f"{seconds(t, digits)} {x} {y} {p}\n" for t, x, y, p in rows))
    assert made.tuples(recording.load()) == rows
    assert recording.damage is None and recording.sensor_size == (240, 180)


@given(st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 14)), min_size=2, max_size=20))
@settings(max_examples=50, deadline=None)
def test_any_number_of_decimals_is_rounded_once(times):
    texts = [
        f"{value // 10**places}.{value % 10**places:0{places}d}" if places else f"{value}." for value, places in times
    ]
    expected = [int((Decimal(text) * 10**6).quantize(Decimal(1), ROUND_HALF_UP)) for text in texts]
    parser = text_format.Parser(Layout([0, 1, 2, 3], 6, 0, 0, None), (9, 9))
    assert parser.parse("".join(f"{text} 1 2 1\n" for text in texts).encode()).t.tolist() == expected


def test_numbers_as_numpy_prints_them(opened, made):
    form = "{:.18e} {:.18e} {:.18e} {:.18e}\n"
    text = "".join(form.format(t / 1e6, x, y, p) for t, x, y, p in RPG)
    assert made.tuples(opened(text).load()) == RPG
    whole = opened("".join(form.format(*row) for row in ROWS))
    assert made.tuples(whole.load()) == ROWS  # whole numbers are µs, however they are printed


def test_first_line_may_tell_the_sensor_as_in_e2vid(opened, made):
    recording = opened("346 260\n" + "".join(f"{seconds(t)} {x} {y} {p}\n" for t, x, y, p in RPG))
    assert made.tuples(recording.load()) == RPG and recording.sensor_size == (346, 260)


@pytest.mark.parametrize("sign", [0, -1])
def test_metavision_has_polarity_in_the_third_column(opened, made, sign):
    rows = made.random_events(500, size=(1280, 720))
    recording = opened("".join(f"{x},{y},{p or sign},{t}\n" for t, x, y, p in rows), "made.csv")
    assert made.tuples(recording.load()) == rows


HEADERS = [
    ("t,x@128,y@100,on", "{t},{x},{y},{p}", (128, 100)),  # faery
    ("# sensor_size 64x200\nt,x,y,p", "{t},{x},{y},{p}", (64, 200)),  # ours
    ("timestamp;polarity;x;y", "{t};{p};{x};{y}", (128, 128)),
    (
        "index\tx\ty\tnote\tPolarity\tTime",
        "7\t{x}\t{y}\tat 3.5-e,\t{p}\t{t}".replace("at 3.5-e,", "at:3.5-e"),
        (128, 128),
    ),
    ('% made by hand\n\n%  "x" , "y" , "pol" , "t [us]"', "{x} , {y} , {p} , {t}", (128, 128)),
    ("t_us x y p extra", "{t} {x} {y} {p} 0.125", (128, 128)),
    ("x,y,p,t_ms", "{x},{y},{p},{ms}", (128, 128)),
    ("x,y,p,t_s", "{x},{y},{p},{s}", (128, 128)),
    ("time_ns,x,y,p", "{t}000,{x},{y},{p}", (128, 128)),
    ("t,x,y,p", "{s},{x},{y},{p}", (128, 128)),
]


@pytest.mark.parametrize(("header", "form", "size"), HEADERS)
def test_header_names_columns_and_units(opened, made, header, form, size):
    rows = [(t, x % 64, y % 100, p) for t, x, y, p in ROWS]
    body = "".join(
        form.format(t=t, x=x, y=y, p=p, s=seconds(t, 6), ms=f"{t // 1000}.{t % 1000:03d}") + "\n" for t, x, y, p in rows
    )
    recording = opened(f"{header}\n{body}", "made.csv")
    assert made.tuples(recording.load()) == rows
    assert (recording.sensor_size, recording.damage) == (size, None)


def test_two_columns_of_one_kind_are_refused(opened):
    with pytest.raises(RecordingError, match=r"fields \['t', 'time'\] could all be t"):
        opened("t,time,x,y,p\n1,1,1,1,1\n", "made.csv")


def test_comments_are_passed_over_anywhere_and_counted_as_lines(opened, made):
    recording = opened("# one\n% two\n" + lines(ROWS[:2]) + "# three\n  # four\n" + lines(ROWS[2:]) + "bad\n")
    assert made.tuples(recording.load()) == ROWS
    assert recording.damage.note.startswith("line 10: 'bad'")


def test_layout_survives_a_damaged_line_in_its_sample():
    block = b"".join(b"%d.%06d 3 4 1\n" % (k, k) for k in range(50)) + b"\xff\n7 9 9 9\n" * 2
    assert read_layout(block, "made")[:2] == ([0, 1, 2, 3], 6)


BAD = [
    "12 a 3 1\n",
    "12 3 1\n",
    "1 2 3 1 5\n",
    "1.5 2 3 1\n",
    "- 2 3 1\n",
    "1 2 3 2\n",
    "\xff\xff\n",
    "9" * 30 + " 1 1 1\n",
    "1 2.5 3 1\n",
    "1 2e 3 1\n",
    "1 2e-1 3 1\n",
    "1e99 2 3 1\n",
    "1..2 2 3 1\n",
    "+-1 2 3 1\n",
    ". 2 3 1\n",
    "1 2 3 1\0\n",
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
    with pytest.raises(RecordingError, match=r"line 1 is .*expected four numbers"):
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
        patch.setattr(text_format, "BLOCK_BYTES", block)
        assert made.tuples(recording.load()) == rows + rows
    assert recording.damage.note.startswith("line 201: 'bad'")


def test_real_layout(recordings_dir):
    recording = open_recording(recordings_dir / "derived" / "gait_layout_garfield.txt")
    events = recording.load()
    assert (len(events), recording.sensor_size, recording.damage) == (40_000, (128, 128), None)
