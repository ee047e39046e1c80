"""gesture-sim, the embedded data set: which trials there are, and their files in IBM's layout.

The folder is read by the same reader as the real DVS128 Gesture (AEDAT 3.1, label CSV, lists of trials). How a set is
simulated by several processes and written as an archive is `writing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dvspipe.errors import RecordingError, UsageError
from dvspipe.files import replacing
from dvspipe.recordings.archive import Segment
from dvspipe.recordings.formats.aedat31 import write_aedat31
from dvspipe.recordings.labels import write_labels
from dvspipe.simulate.body import SUBJECTS, subject_split
from dvspipe.simulate.drawing import SIZE
from dvspipe.simulate.gestures import CLASSES
from dvspipe.simulate.trial import LIGHTINGS, Trial, lighting

VERSION = 2  # counts up whenever the same settings give other events
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

    @property
    def version(self) -> int:
        """Version of the simulator."""
        return VERSION

    @property
    def classes(self) -> Sequence[str]:
        """The eleven gestures."""
        return CLASSES

    def about(self) -> dict[str, str | int | float]:
        """What an archive says of its origin."""
        return {
            "source": "gesture-sim",
            "simulator_version": VERSION,
            "seed": self.seed,
            "gesture_s": self.gesture_s,
            "pause_s": self.pause_s,
        }

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

    def write_lists(self, folder: Path) -> None:
        """IBM's two lists of trials: which train and which test."""
        for split, name in SPLIT_LISTS.items():
            lines = [f"{trial.name}.aedat\n" for trial in self.trials() if trial.split == split]
            with replacing(folder / name, RecordingError) as beside:
                beside.write_text("".join(lines), "utf-8")


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

    def write(self, folder: Path) -> None:
        """NAME.aedat and NAME_labels.csv, as IBM's."""
        recording = self.open()
        write_labels(folder / f"{self.name}_labels.csv", recording.windows)
        write_aedat31(folder / f"{self.name}.aedat", recording, (SIZE, SIZE))
