"""Evidence over time: per-bin class scores -> a decision or `None`. Pure Python on K numbers; knows no network."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Evidence:
    """Leaky evidence per class: e <- a e + (1 - a) score, a = exp(-bin / tau). Decides the largest above `threshold`.

    `bin_ms` and `tau_ms` in ms; tau 0 means no memory (the score already is a mean over a clip).
    """

    classes: int
    bin_ms: float
    tau_ms: float
    threshold: float
    value: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as after a gap in the recording."""
        self.value = np.zeros(self.classes)

    def update(self, score: NDArray[np.floating]) -> tuple[int | None, float]:
        """Takes one score [K] and gives (class or None, its share of the evidence in 0..1)."""
        keep = math.exp(-self.bin_ms / self.tau_ms) if self.tau_ms > 0 else 0.0
        self.value = keep * self.value + (1 - keep) * np.asarray(score, np.float64)
        best, total = int(self.value.argmax()), float(self.value.sum())
        confidence = float(self.value[best]) / total if total > 0 else 0.0
        return (best if self.value[best] > 0 and self.value[best] >= self.threshold else None), confidence
