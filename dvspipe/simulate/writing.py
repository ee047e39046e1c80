"""Writing a simulated set, whichever it is: one event archive, or the files in which the real set is delivered.

Every recording can be simulated alone, so processes share the work; the result does not depend on how many there are.
Knows neither people nor layouts: a set and its recordings bring what is particular to them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dvspipe.events import Events
from dvspipe.recordings.archive import ArchiveWriter, Segment
from dvspipe.simulate.drawing import SIZE

Result = TypeVar("Result")


class SimulatedRecording(Protocol):
    """One recording of a set: small, and all that a process needs to make it."""

    @property
    def name(self) -> str:
        """Its name in the archive."""

    @property
    def split(self) -> str:
        """ "train" or "test"."""

    def open(self) -> Iterable[Events]:
        """The recording, not yet simulated: iterate it for events, times from 0 µs."""

    def segments(self) -> list[Segment]:
        """Its labelled windows as an archive keeps them."""

    def write(self, folder: Path) -> None:
        """Simulates it into the file(s) that the real set has of a recording."""


class SimulatedSet(Protocol):
    """What is to be simulated. `version` counts up whenever the same settings give other events."""

    @property
    def version(self) -> int:
        """Version of the simulator."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes by label."""

    def about(self) -> dict[str, str | int | float]:
        """What an archive should say of its origin."""

    def trials(self) -> Sequence[SimulatedRecording]:
        """All recordings in their order. Raises UsageError for settings the simulator does not know."""

    def write_lists(self, folder: Path) -> None:
        """The files of the real set's folder that belong to no single recording."""


Done = Callable[[Any], None]


def write_archive(
    path: str | Path, simulation: SimulatedSet, workers: int = 1, done: Done = lambda trial: None
) -> None:
    """Writes the set as one event archive with its labelled segments; `done` is called after every recording.

    Raises UsageError for settings the simulator does not know, RecordingError where the disk refuses.
    """
    trials = simulation.trials()
    # One process streams; several send whole recordings, for chunks cannot come out of a process one by one.
    simulate = _whole if workers > 1 else _streamed
    with ArchiveWriter(path, (SIZE, SIZE), simulation.classes, simulation.about()) as archive:
        for trial, chunks in zip(trials, in_order(simulate, trials, workers)):
            archive.add(trial.name, chunks, trial.segments())
            done(trial)


def write_folder(
    folder: str | Path, simulation: SimulatedSet, workers: int = 1, done: Done = lambda trial: None
) -> None:
    """Writes the set in the real set's layout into `folder`; `done` is called after every recording.

    Raises UsageError for settings the simulator does not know, RecordingError where the disk refuses.
    """
    folder, trials = Path(folder), simulation.trials()
    folder.mkdir(parents=True, exist_ok=True)
    for trial in in_order(partial(_write, folder), trials, workers):
        done(trial)
    simulation.write_lists(folder)


def in_order(
    work: Callable[[SimulatedRecording], Result], trials: Sequence[SimulatedRecording], workers: int
) -> Iterator[Result]:
    """work(trial) for every trial in order, by `workers` processes; few results wait, so memory stays bounded."""
    if workers <= 1:
        yield from map(work, trials)
        return
    # spawn: a fork of a process that already runs threads of PyTorch may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for trial in trials:
                waiting.append(pool.submit(work, trial))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _streamed(trial: SimulatedRecording) -> Iterable[Events]:
    return trial.open()


def _whole(trial: SimulatedRecording) -> Iterable[Events]:
    return [Events.concatenate(trial.open(), (SIZE, SIZE))]


def _write(folder: Path, trial: SimulatedRecording) -> SimulatedRecording:
    trial.write(folder)
    return trial
