"""gesture-sim, the embedded data set: which trials there are, and how they are written.

Two forms, read by the same readers as real data: a folder as IBM's DVS128 Gesture (AEDAT 3.1, label CSV, lists of
trials), or one event archive. Every trial can be simulated alone, so processes share the work; the result does not
depend on how many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from dvspipe.errors import RecordingError, UsageError
from dvspipe.events import Events
from dvspipe.files import replacing
from dvspipe.recordings.archive import ArchiveWriter, Segment
from dvspipe.recordings.formats.aedat31 import write_aedat31
from dvspipe.recordings.labels import write_labels
from dvspipe.simulate.body import SUBJECTS, subject_split
from dvspipe.simulate.drawing import SIZE
from dvspipe.simulate.gestures import CLASSES
from dvspipe.simulate.trial import LIGHTINGS, Trial, lighting

VERSION = 2  # counts up whenever the same settings give other events
Result = TypeVar("Result")
SPLIT_LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}


@dataclass(frozen=True, slots=True)
class GestureSim:
    """Which trials to simulate: every subject (1..29) in every lighting (0..2) once, each with all `gestures` (0..10).

    `gesture_s` is the length of a labelled window, `pause_s` of the time between two, which holds the ways out and in.
    """

    subjects: Sequence[int] = SUBJECTS
    lightings: Sequence[int] = range(len(LIGHTINGS))
    gestures: Sequence[int] = range(len(CLASSES))
    gesture_s: float = 6.0
    pause_s: float = 1.0
    seed: int = 0

    def trials(self) -> list[SimulatedTrial]:
        """The trials in order of subject and lighting. Raises UsageError for settings the simulator does not know."""
        for name in ("subjects", "lightings"):
            numbers = list(getattr(self, name))
            if len(set(numbers)) < len(numbers):
                raise UsageError(f"gesture-sim {name} = {numbers}: names one twice. Name each once.")
        trials = [SimulatedTrial(subject, light, self) for subject in self.subjects for light in self.lightings]
        for trial in trials:
            trial.open()  # refuses what cannot be simulated before hours are spent on the rest
        return trials


@dataclass(frozen=True, slots=True)
class SimulatedTrial:
    """One trial of the set: small, and all that a process needs to make it."""

    subject: int
    light: int
    settings: GestureSim

    @property
    def name(self) -> str:
        """As IBM names trials: user24_led."""
        return f"user{self.subject:02d}_{lighting(self.light).name}"

    @property
    def split(self) -> str:
        """ "train" for subjects 1 to 23, "test" for 24 to 29."""
        return subject_split(self.subject)

    def open(self) -> Trial:
        """The recording, not yet simulated: iterate it for events."""
        s = self.settings
        return Trial(self.subject, self.light, s.gestures, s.gesture_s, s.pause_s, s.seed)

    def segments(self) -> list[Segment]:
        """The labelled windows as an archive keeps them."""
        return [Segment(self.name, label, self.subject, self.split, *times) for label, *times in self.open().windows]


Done = Callable[[SimulatedTrial], None]


def write_folder(folder: str | Path, settings: GestureSim, workers: int = 1, done: Done = lambda trial: None) -> None:
    """Writes the set in IBM's layout into `folder`; `done` is called after every trial.

    Raises UsageError for settings the simulator does not know, RecordingError where the disk refuses.
    """
    folder, trials = Path(folder), settings.trials()
    folder.mkdir(parents=True, exist_ok=True)
    for trial in _in_order(partial(_write_trial, folder), trials, workers):
        done(trial)
    for split, name in SPLIT_LISTS.items():
        with replacing(folder / name, RecordingError) as beside:
            beside.write_text("".join(f"{trial.name}.aedat\n" for trial in trials if trial.split == split), "utf-8")


def write_archive(path: str | Path, settings: GestureSim, workers: int = 1, done: Done = lambda trial: None) -> None:
    """Writes the set as one event archive with its labelled segments; `done` is called after every trial.

    Raises UsageError for settings the simulator does not know, RecordingError where the disk refuses.
    """
    trials = settings.trials()
    # One process streams; several send whole trials, for chunks cannot come out of a process one by one.
    simulate: Callable[[SimulatedTrial], Iterable[Events]] = _whole if workers > 1 else SimulatedTrial.open
    about: dict[str, str | int | float] = {
        "source": "gesture-sim",
        "simulator_version": VERSION,
        "seed": settings.seed,
        "gesture_s": settings.gesture_s,
        "pause_s": settings.pause_s,
    }
    with ArchiveWriter(path, (SIZE, SIZE), CLASSES, about) as archive:
        for trial, chunks in zip(trials, _in_order(simulate, trials, workers)):
            archive.add(trial.name, chunks, trial.segments())
            done(trial)


def _write_trial(folder: Path, trial: SimulatedTrial) -> SimulatedTrial:
    recording = trial.open()
    write_labels(folder / f"{trial.name}_labels.csv", recording.windows)
    write_aedat31(folder / f"{trial.name}.aedat", recording, (SIZE, SIZE))
    return trial


def _whole(trial: SimulatedTrial) -> list[Events]:
    return [Events.concatenate(trial.open(), (SIZE, SIZE))]


def _in_order(
    work: Callable[[SimulatedTrial], Result], trials: Sequence[SimulatedTrial], workers: int
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
