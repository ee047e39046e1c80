"""gait-sim, the embedded gait set: which walks there are, and their files in the layout of DVS128-Gait.

Session 1 trains and session 2 tests, the same 20 people in both. The folder is read by the same reader as the real set
(train/<walker>/*.txt, test/<walker>/*.txt). How a set is simulated by several processes and written as an archive is
`writing.py`; how hard it is say the named constants of `walker.py` (people), `outfit.py` (clothes) and `walk.py`
(camera and light).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dvspipe.errors import RecordingError, UsageError
from dvspipe.files import make_folder
from dvspipe.recordings.archive import Segment
from dvspipe.recordings.writers.text import write_text
from dvspipe.simulate.walk import Walk
from dvspipe.simulate.walker import CLASSES, WALKERS

VERSION = 1  # counts up whenever the same settings give other events
SPLITS = {1: "train", 2: "test"}  # by session


@dataclass(frozen=True, slots=True)
class GaitSim:
    """Which walks to simulate: `train_walks` of every walker (0..19) in session 1, `test_walks` in session 2.

    Every walk lasts `walk_s` and is one recording with one label over all of it; `light` is "day" or "night".
    """

    walkers: Sequence[int] = WALKERS
    train_walks: int = 14
    test_walks: int = 5
    walk_s: float = 1.6
    light: str = "day"
    seed: int = 0

    @property
    def version(self) -> int:
        """Version of the simulator."""
        return VERSION

    @property
    def classes(self) -> Sequence[str]:
        """The twenty walkers."""
        return CLASSES

    def about(self) -> dict[str, str | int | float]:
        """What an archive says of its origin."""
        return {
            "source": "gait-sim",
            "simulator_version": VERSION,
            "seed": self.seed,
            "walk_s": self.walk_s,
            "light": self.light,
        }

    def trials(self) -> list[SimulatedWalk]:
        """The walks by session, walker and number. Raises UsageError for settings the simulator does not know."""
        if not self.walkers or len(set(self.walkers)) < len(self.walkers):
            raise UsageError(f"gait-sim walkers = {list(self.walkers)}: must name somebody, and nobody twice.")
        if min(self.train_walks, self.test_walks) < 0:
            raise UsageError(
                f"gait-sim train_walks = {self.train_walks}, test_walks = {self.test_walks}: must not be negative."
            )
        for walker in self.walkers:
            Walk(walker, 1, 0, self.walk_s, self.light, self.seed)  # refuses before anything is written
        counts = {1: self.train_walks, 2: self.test_walks}
        return [
            SimulatedWalk(walker, session, number, self)
            for session, count in counts.items()
            for walker in self.walkers
            for number in range(count)
        ]

    def write_lists(self, folder: Path) -> None:
        """The real set has no lists: the folders say everything."""


@dataclass(frozen=True, slots=True)
class SimulatedWalk:
    """One walk of the set: small, and all that a process needs to make it."""

    walker: int
    session: int
    number: int
    settings: GaitSim

    @property
    def name(self) -> str:
        """walker03_session1_007."""
        return f"walker{self.walker:02d}_session{self.session}_{self.number:03d}"

    @property
    def split(self) -> str:
        """ "train" for session 1, "test" for session 2."""
        return SPLITS[self.session]

    def open(self) -> Walk:
        """The recording, not yet simulated: iterate it for events."""
        s = self.settings
        return Walk(self.walker, self.session, self.number, s.walk_s, s.light, s.seed)

    def segments(self) -> list[Segment]:
        """The one labelled window as an archive keeps it: the whole walk. The label is the walker."""
        return [Segment(self.name, self.walker, self.walker, self.split, 0, self.open().end_us)]

    def write(self, folder: Path) -> None:
        """train/3/walker03_session1_007.txt, lines `t x y p`, as the real set's."""
        place = make_folder(folder / self.split / str(self.walker), RecordingError)
        write_text(place / f"{self.name}.txt", self.open())
