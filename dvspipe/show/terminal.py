"""The live view in a terminal: events, evidence, the decision, strips over time, what goes on inside, losses.

Writes to stderr only, and never makes inference wait: `update` puts the moment into a queue, and a thread draws, a few
times a second. Where stderr is no terminal it prints one line every few seconds. Where stdin is one, keys control the
run. Knows nothing about networks or recordings.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import terminal_panels as panels
from dvspipe.show.history import History
from dvspipe.show.keys import Keys
from dvspipe.show.moment import Moment, Remote, Stage
from dvspipe.show.painter import Painter
from dvspipe.show.picture import EventPicture
from dvspipe.show.terminal_layout import Layout, picture_size, screenful
from dvspipe.show.terminal_panels import Shown

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_FADE = np.float32(0.5)  # of a frame that waits to be drawn, per newer frame
_WAITING = 128  # moments kept for a terminal that takes nothing; older ones leave a gap in the strips


class LiveView:
    """A `View`. `redraws` counts what was really drawn.

    `remote` makes the keyboard control the run (keys.py) where stdin is a terminal. `hz` bounds the redraws per second,
    `every_s` the lines where there is no terminal. `console`, `stdin` and `clock` (seconds) are for tests.
    """

    def __init__(
        self, remote: Remote | None = None, hz: float = 10.0, every_s: float = 3.0, console: Console | None = None,
        stdin: Any = None, clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self.redraws = 0
        self._remote, self._clock = remote, clock
        self._pause = 1 / hz if self.console.is_terminal else every_s
        self._due = -np.inf
        self._news: deque[tuple[Shown, Moment]] = deque(maxlen=_WAITING)
        self._t_us = 0
        self._shown = self._opened = _empty(Stage("live", "", (), 1, (1, 1)))  # on screen; of the newest recording
        self._picture = EventPicture(decay=0.55)
        self._waiting: NDArray[np.float32] | None = None
        self._keys = Keys(remote, lambda: self._t_us, stdin) if remote is not None else None
        self._live: Live | None = None
        self._told = False  # that it ended, where lines are printed
        self._painter: Painter | None = None

    def __enter__(self) -> LiveView:
        from rich.live import Live

        if self._keys is not None:
            self._keys.__enter__()
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, redirect_stdout=False)  # stdout: the program's
            self._live.__enter__()
            self._live.update(self.render(), refresh=True)  # rich's first drawing is slow: not while bins wait
        self._seen = self._state()
        self._painter = Painter(self._draw, self._changed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._painter is None or self._painter.close():
                self._draw()
        finally:
            if self._live is not None:
                self._live.__exit__(kind, error, trace)
            if self._keys is not None:
                self._keys.__exit__(kind, error, trace)

    def open(self, stage: Stage) -> None:
        """A recording begins."""
        self._t_us, self._opened = stage.start_us, _empty(stage)
        self._wake()

    def update(self, moment: Moment) -> None:
        """One bin further. Costs a few microseconds; drawing is the thread's."""
        self._news.append((self._opened, moment))
        self._t_us = moment.t_us
        now = self._clock()
        if now >= self._due:
            self._due = now + self._pause
            self._wake()

    def finish(self, why: str) -> None:
        """Nothing more will come."""
        self._opened.ended = f"■ {panels.printable(why)}"
        self._wake()

    def render(self) -> RenderableType:
        """Everything on screen, for the console's present size."""
        self._take_news()
        layout = Layout(self._shown, *self.console.size)
        if self._waiting is not None:
            self._picture.add(picture_size(layout, self._waiting))
            self._waiting = None
        return screenful(self._shown, layout, self._picture.glow, self.console)

    def _wake(self) -> None:
        if self._painter is not None:
            self._painter.wake()

    def _draw(self) -> None:
        self._seen = self._state()
        if self._live is not None:
            self.redraws += 1
            self._live.update(self.render(), refresh=True)
        else:
            self._print()

    def _print(self) -> None:
        """One line of the newest moment; the recording's name where it begins."""
        before = self._shown
        fresh = self._take_news()
        lines = [panels.stage_line(self._shown.stage)] if self._shown is not before else []
        lines += [panels.log_line(self._shown)] if fresh else []
        lines += [self._shown.ended] if self._shown.ended and not self._told else []
        self._told = bool(self._shown.ended)
        for line in lines:
            self.redraws += 1
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _take_news(self) -> bool:
        """Everything since the last drawing; frames are summed, older ones fading. True where a bin was among it."""
        if self._shown is not self._opened:
            self._shown, self._waiting, self._told = self._opened, None, False
            self._picture = EventPicture(decay=0.55)
        fresh = False
        while self._news:
            shown, moment = self._news.popleft()
            if shown is self._shown:  # nobody looks at the end of a recording that has made way for the next
                shown.take(moment)
                self._add(moment.frame)
                fresh = True
        self._shown.keys = self._keys is not None and self._keys.active
        self._shown.paused = self._paused()
        return fresh

    def _add(self, frame: NDArray[Any]) -> None:
        if self._live is None:
            return
        older, newer = self._waiting, np.asarray(frame, np.float32)
        self._waiting = newer if older is None or older.shape != newer.shape else older * _FADE + newer

    def _paused(self) -> bool:
        if self._remote is not None:
            return self._remote.paused
        return bool(self._shown.moment is not None and self._shown.moment.stats.get("paused"))

    def _state(self) -> tuple[Any, ...]:
        """What changes while no bins come."""
        return (self.console.size, self._remote.paused if self._remote is not None else None)

    def _changed(self) -> bool:
        return self._live is not None and self._state() != self._seen


def _empty(stage: Stage) -> Shown:
    return Shown(stage, History(stage.classes), evidence=dict.fromkeys(stage.classes, 0.0))
