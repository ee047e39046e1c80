"""The terminal view: what it shows, what falls away, how often it draws, and that nobody waits for it."""

import io
import threading
import time

import numpy as np
import pytest
from rich.console import Console

from dvspipe.show import palette
from dvspipe.show.half_blocks import fitted
from dvspipe.show.history import NOTHING, UNKNOWN, History
from dvspipe.show.moment import Label, Looks, Moment, Stage
from dvspipe.show.strips import centred, spark
from dvspipe.show.terminal import LiveView

STATS = {
    "event_rate": 213_000,
    "latency_ms": 1.5,
    "p50_ms": 1.25,
    "p99_ms": 4.5,
    "queue": 2,
    "dropped_bins": 3,
    "dropped_events": 1234,
    "speed": 0.5,
}
EVIDENCE = {"arm roll": 0.75, "air drums": 0.1}
STAGE = Stage("a recording", "a run", tuple(EVIDENCE), 25_000, (64, 64), can_seek=True)
LOOKS = Looks(
    {"conv1": 0.031, "hidden": 0.02},
    {"conv1": np.linspace(0.2, 0.9, 12)},
    {"conv1": np.linspace(0, 1, 32 * 32).reshape(32, 32)},
    0.5,
)


def moment(frame, label="arm roll", truth=None, number=99, evidence=None, stats=None, looks=None):
    evidence = EVIDENCE if evidence is None else evidence
    t_us = (number + 1) * 25_000
    stats = STATS if stats is None else stats
    return Moment(number, t_us, frame, evidence, label, evidence.get(label, 0.0), truth, stats, looks)


def terminal(width=120, height=44):
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system="truecolor")


def shown(view, width=120, height=44):
    console = view.console = terminal(width, height)
    console.record = True
    console.print(view.render())
    return console.export_text(clear=False), console.export_html()


def updated(*moments, stage=STAGE, **kept):
    with LiveView(console=terminal(**kept)) as view:
        view.open(stage)
        for each in moments:
            view.update(each)
    return view


def until(condition, seconds=3.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    assert condition()


def test_shows_decision_evidence_numbers_and_events(clip):
    text, html = shown(updated(moment(clip[0])))
    numbers = [
        "2.5 s",
        "213 kev/s",
        "p50 1.25 ms",
        "p99 4.50 ms",
        "waiting 2 bins",
        "dropped 3 bins (1,234 events)",
        "0.50× real time",
    ]
    for word in ("a recording", "a run", "arm roll", "0.75", "air drums", "0.10", "decided", "latency", *numbers):
        assert word in text, word
    assert text.count("▀") == 64 * 32 and palette.ON in html
    assert "labelled" not in text and "attention" not in text


def test_true_label_turns_the_decision_right_or_wrong(clip):
    text, html = shown(updated(moment(clip[0], "arm roll", "arm roll")))
    assert "✓ arm roll" in text and palette.RIGHT in html and palette.WRONG not in html
    text, html = shown(updated(moment(clip[0], "arm roll", "air drums")))
    assert "✗ arm roll" in text and "labelled air drums" in text and palette.WRONG in html
    assert "nothing decided" in shown(updated(moment(clip[0], None, "air drums")))[0]


def test_strips_over_time_say_right_and_wrong_without_colour(clip):
    view = LiveView(console=terminal())
    view.open(STAGE)
    for number in range(800):
        view.update(moment(clip[0], "arm roll", "arm roll" if number < 400 else "air drums", number))
        view.render()
    lines = shown(view)[0].splitlines()
    (decided,) = [line for line in lines if line.startswith(" decided")]
    (labelled,) = [line for line in lines if line.startswith(" labelled")]
    assert 40 < decided.count("×") < 60 and 40 < decided.count("▄") < 60
    assert labelled.count("▄") == decided.count("×") + decided.count("▄")


def test_looks_inside_are_shown_where_there_is_room(clip):
    view = updated(*(moment(clip[0], number=number, looks=LOOKS) for number in range(100)))
    wide, narrow = shown(view, 140, 44)[0], shown(view, 80, 24)[0]
    for text in (wide, narrow):
        assert " spikes " in text and "0.031" in text and " attention " in text and "0.90" in text
    assert "attention, conv1: 0.0" in wide and "attention, conv1" not in narrow


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [6, 10, 16, 24, 50])
@pytest.mark.parametrize("classes", [1, 11, 101])
def test_fits_the_terminal(clip, width, height, classes):
    evidence = {f"class {index} of many": index / classes for index in range(classes)}
    stage = Stage("a recording", "a run", tuple(evidence), 25_000, (64, 64), stop_us=10**7, can_seek=True)
    each = moment(clip[0], "class 0 of many", "class 0 of many", evidence=evidence, looks=LOOKS)
    view = updated(each, stage=stage, width=width, height=height)
    view._keys = type("Keys", (), {"active": True})()
    lines = shown(view, width, height)[0].splitlines()
    assert max(map(len, lines)) <= width and len(lines) < height
    assert "✓ class 0" in "".join(lines) or width == 20
    assert any(line.startswith(" decided") for line in lines) or height < 8
    assert any("space pause" in line for line in lines) or height < 24


def test_the_most_important_panels_stay_longest(clip):
    view = updated(moment(clip[0], looks=LOOKS))
    found = [shown(view, 80, height)[0] for height in range(4, 30)]
    first = [next(i for i, text in enumerate(found) if word in text) for word in ("● arm", "decided", "latency", "p50")]
    assert first == sorted(first) and first[0] < first[-1]


def test_strongest_classes_are_shown_where_not_all_fit(clip):
    evidence = {f"c{index:03}": index / 200 for index in range(101)}
    stage = Stage("many", "a run", tuple(evidence), 25_000, (64, 64))
    text = shown(updated(moment(clip[0], "c003", evidence=evidence), stage=stage), 80, 24)[0]
    assert "c003 " in text and "c100 " in text and "c004 " not in text
    names = [word for word in text.split() if word.startswith("c") and word[1:].isdigit()]
    assert len(names) > 8


def test_draws_at_most_ten_times_a_second_however_often_it_is_updated(clip):
    now = [0.0]
    with LiveView(console=terminal(), clock=lambda: now[0]) as view:
        view.open(STAGE)
        for index in range(2000):
            now[0] = index / 1000
            view.update(moment(clip[index % 30], number=index))
            if index % 100 == 50:
                until(lambda wanted=index // 100: view.redraws > wanted)
        assert 20 <= view.redraws <= 22
    assert view.redraws <= 23, "one more when it ends, so that the last state stays on screen"


def test_inference_does_not_wait_for_a_terminal_that_takes_nothing(clip):
    class Stuck(io.StringIO):
        free = threading.Event()

        def write(self, text):
            self.free.wait(20)
            return len(text)

    console = terminal()
    with LiveView(console=console) as view:
        view.open(STAGE)
        console.file = Stuck()
        slowest = 0.0
        for index in range(300):
            start = time.perf_counter()
            view.update(moment(clip[index % 30], number=index))
            slowest = max(slowest, time.perf_counter() - start)
            time.sleep(0.001)
        assert slowest < 0.1, "a stuck terminal would take 20 s"
        Stuck.free.set()


def test_an_error_while_drawing_is_told_at_the_end_and_stops_nothing(clip):
    with pytest.raises(ZeroDivisionError), LiveView(console=terminal()) as view:
        view.open(STAGE)
        view.render = lambda: 1 / 0
        for index in range(3):
            view.update(moment(clip[0], number=index))


def test_prints_a_line_now_and_then_where_there_is_no_terminal(clip):
    now, file = [0.0], io.StringIO()
    with LiveView(console=Console(file=file, width=200), clock=lambda: now[0], every_s=3.0) as view:
        view.open(STAGE)
        for index in range(100):
            now[0] = index / 10
            view.update(moment(clip[0], "arm roll", "air drums", index))
            until(lambda wanted=2 + index // 30: view.redraws >= wanted)
        view.finish("end of the recording")
    first, *lines, last = file.getvalue().splitlines()
    assert first == "a recording · a run" and last == "■ end of the recording"
    assert 4 <= len(lines) <= 5 and "\x1b" not in file.getvalue()
    assert "arm roll 0.75 (labelled air drums)" in lines[0] and "p99 4.50 ms" in lines[0]


def test_writes_to_stderr_only(clip, capsys):
    with LiveView() as view:
        view.open(STAGE)
        view.update(moment(clip[0]))
        print('{"json": 1}')
    out, err = capsys.readouterr()
    assert out == '{"json": 1}\n' and "arm roll" in err


def test_stdout_stays_the_programs_own_while_a_terminal_is_drawn(clip, capsys):
    with LiveView(console=terminal()) as view:
        view.open(STAGE)
        view.update(moment(clip[0]))
        print('{"json": 1}')
    assert capsys.readouterr().out == '{"json": 1}\n'


def test_frames_between_two_drawings_are_all_seen():
    frames = np.zeros((2, 2, 64, 64))
    frames[0, 1, 0, 0] = frames[1, 1, 63, 63] = 5
    view = LiveView(console=terminal(120, 44))
    view._live = object()
    view.open(STAGE)
    for number, frame in enumerate(frames):
        view.update(moment(frame, number=number))
    view.render()
    assert view._picture.glow[1, 0, 0] > 0 and view._picture.glow[1, 63, 63] > 0


def test_a_name_cannot_drive_the_terminal(clip):
    evil = "\x1b[2J[bold]x"
    file = io.StringIO()
    stage = Stage(evil, evil, (evil,), 25_000, (64, 64), labels=(Label(evil, 0, 10),), mode=evil)
    looks = Looks({evil: 0.1}, {evil: np.ones(3)}, {evil: np.ones((4, 4))}, 1.0)
    with LiveView(console=Console(file=file, width=200)) as view:
        view.open(stage)
        view.update(moment(clip[0], evil, evil, evidence={evil: 0.5}, looks=looks))
        view.finish(evil)
    assert "\x1b" not in file.getvalue() and "[bold]x" in file.getvalue()
    for width in (80, 140):
        assert "\x1b" not in shown(view, width)[0]


@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 128, 128), (2, 260, 346), (2, 720, 1280), (2, 1, 1)])
def test_any_sensor_fits_the_cells(shape):
    frame = np.ones(shape)
    small = fitted(frame, 64)
    assert max(small.shape[1:]) <= 64
    assert frame.shape[-1] < 64 or small.sum() == pytest.approx(frame.sum(), rel=1e-4), "no event is lost"


def test_the_classes_stand_on_screen_before_the_first_bin():
    view = updated()
    text, _ = shown(view)
    assert "arm roll" in text and "air drums" in text and "nothing decided" in text


def test_a_further_recording_starts_anew(clip):
    view = updated(moment(clip[0]), width=200)
    view.open(Stage("the next one", "a run", ("walk", "run"), 25_000, (32, 32)))
    text, _ = shown(view)
    assert "the next one" in text and "walk" in text and "arm roll" not in text and "nothing decided" in text


def test_pause_shows_while_no_bins_come(clip):
    remote = type("Remote", (), {"paused": False, "speed": 1.0})()
    with LiveView(remote, console=terminal(), stdin=io.StringIO()) as view:
        view.open(STAGE)
        view.update(moment(clip[0]))
        remote.paused = True
        until(lambda: "paused" in view.console.file.getvalue())
    view = updated(moment(clip[0], stats=STATS | {"paused": True}))
    assert "‖ paused" in shown(view)[0]
    view.finish("end of the recording")
    assert "■ end of the recording" in shown(view)[0]


def test_history_knows_gaps_and_seeks(clip):
    history = History(["a", "b"], size=64)
    for number in (0, 1, 2, 3, 8, 9):
        history.add(moment(clip[0], "a" if number < 4 else "b", None, number, {"a": 1.0, "b": 0.5}))
    assert history.labels("decided", 5, 2).tolist() == [0, 0, UNKNOWN, UNKNOWN, 1]
    assert history.labels("labelled", 5, 2).tolist() == [NOTHING, NOTHING, UNKNOWN, UNKNOWN, NOTHING]
    assert np.isnan(history.numbers("event_rate", 5, 2)).tolist() == [False, False, True, True, False]
    history.add(moment(clip[0], "b", None, 1, {"a": 1.0, "b": 0.5}))  # sought back: what came later is not shown
    assert history.labels("decided", 3, 1).tolist() == [UNKNOWN, 0, 1]
    history.add(moment(clip[0], None, None, 70, {}))  # the place of bin 6
    assert history.labels("decided", 64, 1).tolist()[-1] == NOTHING
    assert history.labels("decided", 64, 1).tolist()[:2] == [UNKNOWN, 1]


def test_history_takes_labels_that_are_no_classes(clip):
    history = History(["a"], size=64)
    history.add(moment(clip[0], "a", "something else", 0, {"a": 1.0}))
    assert history.names == ["a", "something else"] and history.labels("labelled", 1, 1).tolist() == [1]


def test_history_keeps_the_worst_latency_of_a_column(clip):
    history = History(["a"], size=64)
    for number, latency in enumerate((1.0, 9.0, 2.0, 3.0)):
        history.add(moment(clip[0], None, None, number, {}, {"latency_ms": latency}))
    assert history.numbers("latency_ms", 2, 2, worst=True).tolist() == [9.0, 3.0]
    assert history.numbers("latency_ms", 2, 2).tolist() == [5.0, 2.5]


def test_sparks_have_the_height_of_their_value():
    assert spark(np.array([0.0, 0.5, 1.0, np.nan])) == "▁▄▇ " and spark(np.full(3, np.nan)) == "   "
    assert spark(np.zeros(2)) == "▁▁"
    assert centred(np.array([0.0, 1.0, 2.0]), 1.0) == "▁▄▇" and centred(np.array([1.0]), 1.0) == "▄"
