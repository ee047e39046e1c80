"""The live view in a terminal: events, class evidence, the decision, latency and losses.

Writes to stderr only, and never makes inference wait: `update` keeps the newest numbers, and only a few times a
second it draws. Where stderr is no terminal it prints one line every few seconds. Knows nothing about networks or
recordings.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import palette
from dvspipe.show.figures import clipped
from dvspipe.show.half_blocks import PictureBeside, fitted
from dvspipe.show.picture import EventPicture

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

_EVERY = 4  # updates per column of the history strip
_FADE = 0.5  # of a frame that waits to be drawn, per newer frame
_NAME = 24  # cells of a class name at most
_BAR = 24  # cells of a full evidence bar at most
_DIM = "bright_black"


class _Moment(NamedTuple):
    evidence: dict[str, float]
    decision: str | None
    truth: str | None
    stats: Mapping[str, Any]


class LiveView:
    """Context manager. `update` after every bin; `redraws` counts what was really drawn.

    `classes` stand on screen from the start. `hz` bounds the redraws per second, `every_s` the lines where there is no
    terminal. `console` and `clock` (seconds) are for tests.
    """

    def __init__(
        self, classes: Sequence[str] = (), title: str = "live", hz: float = 10.0, every_s: float = 3.0,
        console: Console | None = None, clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self.redraws = 0
        self._title, self._clock = _printable(title), clock
        self._pause = 1 / hz if self.console.is_terminal else every_s
        self._due = -np.inf
        self._picture = EventPicture(decay=0.55)
        self._waiting: NDArray[Any] | None = None
        self._history: deque[tuple[str | None, str | None]] = deque(maxlen=240)
        self._updates = 0
        self._moment = _Moment(dict.fromkeys(classes, 0.0), None, None, {})
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        from rich.live import Live

        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, redirect_stdout=False)  # stdout: the program's
            self._live.__enter__()
            self._live.update(self.render(), refresh=True)  # rich's first drawing is slow: not while bins wait
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._updates:
            self._draw()
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def update(
        self,
        frame: NDArray[Any],
        evidence: Mapping[str, float],
        decision: str | None,
        truth: str | None,
        stats: Mapping[str, Any],
    ) -> None:
        """Takes one bin: counts [2,H,W], evidence 0..1 per class, and what was decided.

        `stats`, each left out where missing: t_us, confidence (0..1), event_rate (1/s), p50_ms, p99_ms, queue (bins
        waiting), dropped_bins, speed (times real time).
        Frames between two drawings are summed, older ones fading; this and a few references is all that happens then.
        """
        if self._live is not None:
            older = self._waiting
            self._waiting = frame * 1.0 if older is None or older.shape != frame.shape else older * _FADE + frame
        self._moment = _Moment(dict(evidence), decision, truth, stats)
        if self._updates % _EVERY == 0:
            self._history.append((decision, truth))
        self._updates += 1
        now = self._clock()
        if now >= self._due:
            self._due = now + self._pause
            self._draw()

    def _draw(self) -> None:
        self.redraws += 1
        if self._live is None:
            self.console.print(_line(self._moment), markup=False, highlight=False, soft_wrap=True)
        else:
            self._live.update(self.render(), refresh=True)

    def render(self) -> RenderableType:
        """Everything on screen, for the console's present width."""
        from rich.console import Group
        from rich.text import Text

        width, height = self.console.size
        cells = max(16, min(64, width - 52, 2 * (height - 7)))
        if self._waiting is not None:
            self._picture.add(fitted(self._waiting, cells))
            self._waiting = None
        glow = self._picture.glow if self._picture.glow is not None else np.zeros((2, cells, cells), np.float32)
        heading = Text.assemble((" dvspipe ", f"bold {palette.ON}"), (self._title, "bold"), "\n", no_wrap=True)
        events = PictureBeside(glow, _panel(self._moment, max(20, width - glow.shape[2] - 5)))
        return Group(heading, events, _strips(self._history, list(self._moment.evidence), width - 2))


def _panel(moment: _Moment, width: int) -> Table:
    """Decision, evidence of every class, numbers: from top to bottom."""
    from rich.table import Table
    from rich.text import Text

    panel = Table.grid()
    panel.add_row(_headline(moment))
    panel.add_row(Text())
    tint = palette.class_colours(list(moment.evidence))
    longest = min(_NAME, max(map(len, moment.evidence), default=0), width // 2)
    full = max(4, min(_BAR, width - longest - 6))
    for name, value in moment.evidence.items():
        filled = round(full * min(1.0, max(0.0, value)))
        weight = "bold" if name == moment.decision else "not bold"
        bar = (("━" * filled, tint[name]), ("─" * (full - filled), palette.TRACK))
        label = f"{clipped(_printable(name), longest):<{longest}} "
        panel.add_row(Text.assemble((label, weight), *bar, (f" {value:.2f}", weight), no_wrap=True))
    panel.add_row(Text())
    for line in _numbers(moment.stats):
        panel.add_row(Text(line, style=_DIM, no_wrap=True))
    return panel


def _headline(moment: _Moment) -> Text:
    from rich.text import Text

    decision, truth = moment.decision, moment.truth
    confidence = moment.stats.get("confidence", moment.evidence.get(decision or "", 0.0))
    labelled = f"   labelled {_printable(truth)}" if truth is not None else ""
    if decision is None:
        return Text.assemble(("○ nothing decided", palette.IDLE), (labelled, _DIM), no_wrap=True)
    said = f"{_printable(decision)}  {confidence:.2f}"
    if truth is None:
        return Text(f"● {said}", style="bold", no_wrap=True)
    mark, colour = ("✓", palette.RIGHT) if decision == truth else ("✗", palette.WRONG)
    return Text.assemble(
        (f"{mark} {said}", f"bold {colour}"), ("" if decision == truth else labelled, _DIM), no_wrap=True
    )


def _numbers(stats: Mapping[str, Any]) -> list[str]:
    """The numbers at hand, grouped in lines."""
    shown = {
        "t_us": lambda value: f"{value / 1e6:.1f} s",
        "event_rate": lambda value: f"{value / 1e3:,.0f} kev/s",
        "speed": lambda value: f"{value:.2f}× real time",
        "p50_ms": lambda value: f"latency p50 {value:.2f} ms",
        "p99_ms": lambda value: f"p99 {value:.2f} ms",
        "queue": lambda value: f"waiting {value} bins",
        "dropped_bins": lambda value: f"dropped {value} bins",
    }
    rows = (("t_us", "event_rate", "speed"), ("p50_ms", "p99_ms"), ("queue", "dropped_bins"))
    lines = ["   ".join(shown[key](stats[key]) for key in row if stats.get(key) is not None) for row in rows]
    return [line for line in lines if line]


def _strips(history: Iterable[tuple[str | None, str | None]], classes: list[str], width: int) -> Text:
    """What was decided below what was labelled (where anything was), newest on the right."""
    from rich.text import Text

    tint = palette.class_colours(classes)
    recent = list(history)[-max(10, width - 12) :]
    strips = Text("\n", no_wrap=True)
    for name, place in (("labelled", 1), ("decided", 0)):
        if place and all(truth is None for _, truth in recent):
            continue
        strips.append(f" {name:<9}", _DIM)
        for moment in recent:
            label = moment[place]
            strips.append(*("▄", tint.get(label, palette.IDLE)) if label is not None else ("·", palette.TRACK))
        strips.append("\n")
    return strips


def _line(moment: _Moment) -> str:
    """One line for a log."""
    confidence = moment.stats.get("confidence", moment.evidence.get(moment.decision or "", 0.0))
    said = "nothing decided" if moment.decision is None else f"{_printable(moment.decision)} {confidence:.2f}"
    labelled = f" (labelled {_printable(moment.truth)})" if moment.truth is not None else ""
    return "   ".join([said + labelled, *(" ".join(line.split()) for line in _numbers(moment.stats))])


def _printable(name: str) -> str:
    """Names come from files: an escape sequence in one must not drive the terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in name)
