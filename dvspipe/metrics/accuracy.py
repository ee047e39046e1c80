"""Accuracy: confusion, recall per class, and the interval that a finite test set leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def confusion(truth: Sequence[int], answer: Sequence[int], classes: int) -> NDArray[np.int64]:
    """Counts [classes, classes]: row = true class, column = answered class."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (np.asarray(truth, int), np.asarray(answer, int)), 1)
    return table


def recall(table: NDArray[np.int64]) -> list[float | None]:
    """Share of every true class that was answered right; None where the test set has no sample of it."""
    return [float(row[k] / row.sum()) if row.sum() else None for k, row in enumerate(table)]


def wilson(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927): sensible for small and for extreme shares."""
    if not total:
        return 0.0, 1.0
    share, spread = correct / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)
