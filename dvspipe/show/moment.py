"""What views of a live run are told, and what they may ask of it: the contract between the live loop and every view.

A `Stage` once, at the start; a `Moment` after every bin; and a `Remote` to control the run with. Plain numbers and arrays:
no networks, no files, no drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray


class Label(NamedTuple):
    """A labelled window of the recording: sensor time in µs, start included, stop not."""

    name: str
    start_us: int
    stop_us: int


@dataclass(frozen=True, slots=True)
class Stage:
    """What stays as it is while one recording plays.

    `classes` in the network's order; `labels` in order of time, empty where the truth is not known; `start_us` and
    `stop_us` of the recording in sensor time, `stop_us` None where the end is not known (a camera); `sensor_size` (W, H)
    of the frames shown; `can_seek` False for a camera.
    """

    title: str
    run: str
    classes: tuple[str, ...]
    bin_us: int
    sensor_size: tuple[int, int]
    start_us: int = 0
    stop_us: int | None = None
    labels: tuple[Label, ...] = ()
    can_seek: bool = False
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Looks:
    """What went on inside the network in one bin. `rates`: spikes per neuron of every layer, 0..1. `time`: weights of the
    last steps, the present one last, by layer, each [n]; `space`: weights [H,W] by layer; `neutral`: the weight of an
    attention that has nothing to say, None without attention.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    time: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    space: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    neutral: float | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One bin and what was decided at its end.

    `bin` counts from the recording's start; `t_us` is the bin's end, sensor time; `frame` the counts int32 [2,H,W] (OFF,
    ON), not to be changed; `evidence` 0..1 per class; `label` None while nothing is decided; `truth` None where nothing is
    labelled. `stats`, each left out where it is not known: event_rate (1/s), latency_ms (of this bin), p50_ms, p99_ms
    (recent), queue (bins waiting), dropped_bins, dropped_events, speed (times real time, measured), paused (bool).
    `looks` is None in bins where nobody looked inside.
    """

    bin: int
    t_us: int
    frame: NDArray[Any]
    evidence: Mapping[str, float]
    label: str | None
    confidence: float
    truth: str | None
    stats: Mapping[str, Any]
    looks: Looks | None = None


class View(Protocol):
    """Something that shows a live run. `open` comes before the first moment and again for every further recording of a
    playlist; `update` must never make inference wait; `finish` says that no moment will come any more, and why.
    """

    def __enter__(self) -> View: ...

    def open(self, stage: Stage) -> None: ...

    def update(self, moment: Moment) -> None: ...

    def finish(self, why: str) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Remote(Protocol):
    """Controls of a live run; every call returns at once and may come from any thread."""

    @property
    def paused(self) -> bool: ...

    @property
    def speed(self) -> float: ...

    def pause(self) -> None: ...

    def play(self) -> None: ...

    def step(self) -> None:
        """One more bin, then pause."""

    def seek(self, t_us: int) -> None:
        """Goes on at sensor time `t_us`, from a network at rest; clamped to the recording; ignored by a camera."""

    def set_speed(self, speed: float) -> None:
        """Times real time, > 0; 0 = as fast as possible. Ignored by a camera. Raises UsageError for others."""

    def stop(self) -> None:
        """Ends the run after the present bin."""
