"""From the live loop to a server in another thread: the loop never waits, and what must not be lost is kept.

Of pictures only the newest matter, of decisions every one does: they are kept as run lengths, numbered, so that a
reader who comes late or reads slowly still gets the whole timeline. Knows nothing of networks of computers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

from numpy.typing import NDArray

from dvspipe.show.moment import Looks, Moment, Stage

FRAMES = 8  # waiting at most: an older one would have faded to less than 1/255 of itself
RUNS = 20_000  # decisions kept: hours, unless the decision flips many times a second
_BINS = 4096  # rates and latencies waiting at most

Item = TypeVar("Item")


class Run(NamedTuple):
    """What was decided from `start_us` to `stop_us` of sensor time; `label` None = nothing."""

    label: str | None
    start_us: int
    stop_us: int


class Pulse(NamedTuple):
    """Event rate (1/s) and latency (ms) of one bin, None where not known."""

    rate: float | None
    latency_ms: float | None


@dataclass(slots=True)
class News:
    """What came since the last look. `serial` counts recordings; `moment` is None where no bin came; `first_run` is
    the number of the first of `runs`: the run that was the last one when last looked at comes again, longer.
    """

    serial: int = 0
    stage: Stage | None = None
    moment: Moment | None = None
    looks: Looks | None = None
    frames: list[NDArray[Any]] = field(default_factory=list)
    pulses: list[Pulse] = field(default_factory=list)
    first_run: int = 0
    runs: list[Run] = field(default_factory=list)
    ended: str | None = None


class Feed:
    """One writer (the live loop) and one reader (`take`), in different threads."""

    def __init__(self) -> None:
        self._lock = Lock()  # held for a few assignments only
        self._serial = 0
        self._ended: str | None = None
        self._begin(None)

    def _begin(self, stage: Stage | None) -> None:
        self._stage = stage
        self._moment: Moment | None = None
        self._looks: Looks | None = None
        self._frames: deque[NDArray[Any]] = deque(maxlen=FRAMES)
        self._pulses: deque[Pulse] = deque(maxlen=_BINS)
        self._runs: list[Run] = []
        self._first, self._bin = 0, -1

    def open(self, stage: Stage) -> None:
        """Another recording: everything starts anew."""
        with self._lock:
            self._begin(stage)
            self._serial, self._ended = self._serial + 1, None

    def put(self, moment: Moment) -> None:
        """One bin: a few assignments, whatever the size of the frame."""
        get = moment.stats.get
        with self._lock:
            self._moment = moment
            self._frames.append(moment.frame)
            self._pulses.append(Pulse(get("event_rate"), get("latency_ms")))
            if moment.looks is not None:
                self._looks = moment.looks
            self._lengthen(moment)

    def finish(self, why: str) -> None:
        """No bin will come any more."""
        with self._lock:
            self._ended = why

    def take(self) -> News:
        """What came since the last call."""
        with self._lock:
            news = News(
                self._serial, self._stage, self._moment, self._looks, list(self._frames), list(self._pulses),
                self._first, self._runs, self._ended,
            )  # fmt: skip
            self._first += max(0, len(self._runs) - 1)
            self._runs = self._runs[-1:]  # still open
            self._moment = self._looks = None
            self._frames.clear()
            self._pulses.clear()
        return news

    def _lengthen(self, moment: Moment) -> None:
        """A run goes on while the decision stays and no bin is missing (a gap may be a drop or a seek)."""
        start_us = moment.t_us - (self._stage.bin_us if self._stage else 0)
        follows = moment.bin == self._bin + 1
        self._bin = moment.bin
        if follows and self._runs and self._runs[-1].label == moment.label:
            self._runs[-1] = self._runs[-1]._replace(stop_us=moment.t_us)
            return
        self._runs.append(Run(moment.label, start_us, moment.t_us))
        if len(self._runs) > 2 * RUNS:  # nobody reads: the oldest go, in one piece
            del self._runs[:RUNS]
            self._first += RUNS


class Log(Generic[Item]):
    """Numbered items, the newest `most` of them, for readers who each remember a number."""

    def __init__(self, most: int) -> None:
        self._items: deque[Item] = deque(maxlen=most)
        self.end = 0

    def splice(self, first: int, items: Sequence[Item]) -> None:
        """Puts `items` at number `first`, in the place of what was there and behind."""
        if first > self.end:
            self._items.clear()  # some were lost: what is before the gap would be numbered wrongly
        for _ in range(min(self.end - first, len(self._items))):
            self._items.pop()
        self._items.extend(items)
        self.end = first + len(items)

    def since(self, number: int) -> tuple[int, list[Item]]:
        """The items from `number` on, as far as they are kept, and the number of the first."""
        first = max(number, self.end - len(self._items))
        return first, [self._items[index] for index in range(first - self.end, 0)]


def blended(frames: Iterable[NDArray[Any]], fade: float = 0.5) -> NDArray[Any]:
    """Several frames as one: summed, older ones fading."""
    total: NDArray[Any] | None = None
    for frame in frames:
        total = frame * 1.0 if total is None else total * fade + frame
    if total is None:
        raise ValueError("no frame to blend")
    return total
