"""The terminal view: what it shows, how often it draws, and that it leaves stdout alone."""

import io

import numpy as np
import pytest
from rich.console import Console

from dvspipe.show import palette
from dvspipe.show.half_blocks import fitted
from dvspipe.show.terminal import LiveView

STATS = {
    "t_us": 2_500_000,
    "event_rate": 213_000,
    "p50_ms": 1.25,
    "p99_ms": 4.5,
    "queue": 2,
    "dropped_bins": 3,
    "speed": 0.5,
}
EVIDENCE = {"arm roll": 0.75, "air drums": 0.1}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def terminal(width=120, height=44):
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system="truecolor")


def shown(view, width=120):
    console = terminal(width)
    console.record = True
    console.print(view.render())
    return console.export_text(clear=False), console.export_html()


def updated(frame, decision, truth, **kept):
    with LiveView(title="a recording", console=terminal(**kept)) as view:
        view.update(frame, EVIDENCE, decision, truth, STATS)
    return view


def test_shows_decision_evidence_numbers_and_events(clip):
    text, html = shown(updated(clip[0], "arm roll", None))
    numbers = [
        "2.5 s",
        "213 kev/s",
        "p50 1.25 ms",
        "p99 4.50 ms",
        "waiting 2 bins",
        "dropped 3 bins",
        "0.50× real time",
    ]
    for word in ("a recording", "arm roll", "0.75", "air drums", "0.10", "decided", *numbers):
        assert word in text, word
    assert text.count("▀") == 64 * 32 and palette.ON in html
    assert "labelled" not in text


def test_true_label_turns_the_decision_right_or_wrong(clip):
    text, html = shown(updated(clip[0], "arm roll", "arm roll"))
    assert "✓ arm roll" in text and palette.RIGHT in html and palette.WRONG not in html
    text, html = shown(updated(clip[0], "arm roll", "air drums"))
    assert "✗ arm roll" in text and "labelled air drums" in text and palette.WRONG in html
    assert "nothing decided" in shown(updated(clip[0], None, "air drums"))[0]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_fits_the_terminal(clip, width):
    view = updated(clip[0], "arm roll", "air drums", width=width, height=24)
    view.console = terminal(width, 24)
    console = Console(file=io.StringIO(), record=True, width=width, height=24)
    console.print(view.render())
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width and len(lines) <= 24


def test_draws_at_most_ten_times_a_second_however_often_it_is_updated(clip):
    clock = Clock()
    with LiveView(console=terminal(), clock=clock) as view:
        for index in range(2000):
            clock.now = index / 1000
            view.update(clip[index % 30], EVIDENCE, "arm roll", None, STATS)
        assert 15 <= view.redraws <= 21
    assert view.redraws <= 22, "one more when it ends, so that the last state stays on screen"


def test_prints_a_line_now_and_then_where_there_is_no_terminal(clip):
    clock, file = Clock(), io.StringIO()
    with LiveView(console=Console(file=file, width=200), clock=clock, every_s=3.0) as view:
        for index in range(100):
            clock.now = index / 10
            view.update(clip[0], EVIDENCE, "arm roll", "air drums", STATS)
    lines = file.getvalue().splitlines()
    assert len(lines) == view.redraws == 5
    assert (
        "arm roll 0.75 (labelled air drums)" in lines[0] and "p99 4.50 ms" in lines[0] and "\x1b" not in file.getvalue()
    )


def test_writes_to_stderr_only(clip, capsys):
    with LiveView() as view:
        view.update(clip[0], EVIDENCE, "arm roll", None, STATS)
        print('{"json": 1}')
    out, err = capsys.readouterr()
    assert out == '{"json": 1}\n' and "arm roll" in err


def test_stdout_stays_the_programs_own_while_a_terminal_is_drawn(clip, capsys):
    with LiveView(console=terminal()) as view:
        view.update(clip[0], EVIDENCE, "arm roll", None, STATS)
        print('{"json": 1}')
    assert capsys.readouterr().out == '{"json": 1}\n'


def test_frames_between_two_drawings_are_all_seen():
    clock = Clock()
    frames = np.zeros((2, 2, 64, 64))
    frames[0, 1, 0, 0] = frames[1, 1, 63, 63] = 5
    with LiveView(console=terminal(), clock=clock) as view:
        view.update(np.zeros((2, 64, 64)), EVIDENCE, None, None, {})
        for frame in frames:
            view.update(frame, EVIDENCE, None, None, {})
        view.render()
    assert view._picture.glow[1, 0, 0] > 0 and view._picture.glow[1, 63, 63] > 0


def test_a_name_cannot_drive_the_terminal(clip):
    evil = "\x1b[2J[bold]x"
    file = io.StringIO()
    with LiveView(title=evil, console=Console(file=file, width=200)) as view:
        view.update(clip[0], {evil: 0.5}, evil, evil, {})
    assert "\x1b" not in file.getvalue() and "[bold]x" in file.getvalue()
    view.console = terminal()
    assert "\x1b" not in shown(view)[0]


@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 128, 128), (2, 260, 346), (2, 720, 1280), (2, 1, 1)])
def test_any_sensor_fits_the_cells(shape):
    assert max(fitted(np.ones(shape), 64).shape[1:]) <= 64


def test_the_classes_stand_on_screen_before_the_first_bin():
    with LiveView(["arm roll", "air drums"], console=terminal()) as view:
        text, _ = shown(view)
    assert "arm roll" in text and "air drums" in text and "nothing decided" in text
    assert view.redraws == 0
