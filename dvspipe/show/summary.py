"""What a report is told: plain numbers of runs and of live sources. No figures, no words, no files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class RunSummary:
    """One evaluated run.

    `recipe` is the resolved recipe as a table of tables; `evaluation` what `evaluate` returns (shares 0..1, energies
    in µJ, times in ms); `history` one row per epoch; `clip` one clip of the test set, counts [T,2,H,W]. A missing or
    empty part of `evaluation` leaves its section out. `evaluation["clip"]`, optional, is {"truth": str, "label": str
    | None, "confidence": 0..1} for `clip`.
    """

    name: str
    path: Path | str
    recipe: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    clip: NDArray[Any] | None = None
    classes: list[str] = field(default_factory=list)
    test_samples: int = 0

    @property
    def bin_ms(self) -> float | None:
        """Length of a time bin, ms, where the recipe tells."""
        bin_us = self.recipe.get("frames", {}).get("bin_us")
        return bin_us / 1000 if bin_us else None


@dataclass(frozen=True)
class LiveSummary:
    """One source that was run live.

    `decisions`: {"bin", "t_us", "label" or None, "confidence" 0..1, "latency_ms"}, one per bin, at its end t_us;
    `truth`: {"label", "start_us", "stop_us"}; `clip`: counts [T,2,H,W] of the bins from `clip_bin` on.
    """

    source: str
    result: dict[str, Any] = field(default_factory=dict)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    truth: list[dict[str, Any]] = field(default_factory=list)
    clip: NDArray[Any] | None = None
    clip_bin: int = 0
