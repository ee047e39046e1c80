"""How a bench table is to be measured. Knows no table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Grid = tuple[tuple[int, int], ...]
FULL: Grid = ((20, 8), (60, 4))


def _silent(case: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class BenchSettings:
    """`quick` means the first size of the grid alone, and fewer repeats. `threads` of torch, which our kernels follow; None
    leaves them as they are.

    `grid` are the (T, B) that network tables run; `width` scales the three-conv network's channels (1 = the paper's). `seed`
    makes the inputs. `progress(case, done, total)` hears of every call. `recordings` is a folder of real files to use
    where a table can.
    """

    quick: bool = False
    threads: int | None = None
    grid: Grid = FULL
    width: float = 1.0
    seed: int = 0
    device: str | None = None
    recordings: Path | None = None
    progress: Callable[[str, int, int], None] = field(default=_silent, compare=False)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def repeats(self) -> int:
        """Calls that count."""
        return 5 if self.quick else 30

    @property
    def warmup(self) -> int:
        """Calls after the first that do not count."""
        return 1 if self.quick else 10

    @property
    def budget_s(self) -> float:
        """Seconds after which a row with slow cases takes fewer repeats."""
        return 20.0 if self.quick else 240.0

    @property
    def sizes(self) -> Grid:
        """The (T, B) to run."""
        return self.grid[:1] if self.quick else self.grid
