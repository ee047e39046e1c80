"""One recording as its viewers see it: the newest bin, the glow, and the history that a late viewer is still told.

Every viewer has got a different part of it (`Seen`); what is the same for all is written once. Knows no sockets and no
clock but the one it is given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dvspipe.show import wire
from dvspipe.show.feed import FRAMES, RUNS, Log, News, Pulse, Run, blended
from dvspipe.show.moment import Looks, Moment, Stage
from dvspipe.show.picture import EventPicture, shrink

_PULSES = 600  # half a minute at twenty a second
_RUNS = 2000  # of the history in one message: writing it down must not hold up the live loop
_LOOKS_S = 0.2  # between two looks inside the network
_SIDE = 128  # pixels of a picture at most


@dataclass(slots=True)
class Seen:
    """What one viewer has got: of which recording, and up to which number."""

    serial: int = -1
    runs: int = 0
    pulses: int = 0
    looks: int = 0
    pictures: int = 0


class Board:
    """`keep` what comes, `render` when somebody looks, then `unseen` for each of them."""

    def __init__(self, stage: Stage, serial: int) -> None:
        self.stage, self.serial = stage, serial
        self._runs: Log[Run] = Log(RUNS)
        self._pulses: Log[Pulse] = Log(_PULSES)
        self._frames: deque[NDArray[Any]] = deque(maxlen=FRAMES)
        self._glow = EventPicture()
        self._moment: Moment | None = None
        self._inside: Looks | None = None
        self._now = self._looks = ""
        self._picture = b""
        self._looked = self._pictures = 0
        self._looks_due = 0.0

    def keep(self, news: News) -> None:
        """Takes what came; cheap, because nobody may be looking."""
        self._moment = news.moment or self._moment
        self._inside = news.looks or self._inside
        self._frames.extend(news.frames)
        self._runs.splice(news.first_run, news.runs)
        if news.pulses:
            self._pulses.splice(self._pulses.end, [wire.summary(news.pulses)])

    def render(self, now_s: float, paused: bool, speed: float, ended: str | None) -> None:
        """Writes down what all viewers will be told."""
        self._now = wire.now_part(self.stage, self._moment, paused, speed, ended)
        if self._frames:
            self._picture = wire.picture_bytes(self._glow.add(shrink(blended(self._frames), _SIDE, _SIDE)))
            self._pictures += 1
            self._frames.clear()
        if self._inside is not None and (now_s >= self._looks_due or paused or ended is not None):
            self._looks, self._looks_due = wire.looks_part(self._inside), now_s + _LOOKS_S
            self._looked += 1
            self._inside = None

    def unseen(self, seen: Seen) -> tuple[str, bytes]:
        """Text and picture (empty if there is no new one) for one viewer; notes that it has got them."""
        parts = []
        if seen.serial != self.serial:
            parts.append(wire.stage_part(self.stage))
            seen.serial, seen.runs, seen.pulses, seen.looks, seen.pictures = self.serial, 0, 0, 0, 0
        first, runs = self._runs.since(seen.runs)
        if runs:
            parts.append(wire.runs_part(first, runs[:_RUNS]))
            seen.runs = min(first + _RUNS, self._runs.end - 1)  # the last one may grow
        first, pulses = self._pulses.since(seen.pulses)
        if pulses:
            parts.append(wire.pulses_part(first, pulses))
        if seen.looks != self._looked:
            parts.append(self._looks)
        picture = self._picture if seen.pictures != self._pictures else b""
        seen.pulses, seen.looks, seen.pictures = self._pulses.end, self._looked, self._pictures
        return wire.parts(*parts, self._now), picture
