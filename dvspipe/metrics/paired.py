"""Several seeds: mean and spread, and the paired difference to a control with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def mean_std(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation (n - 1; None for a single value, which has no spread)."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": spread}


def paired_difference(ours: Sequence[float], control: Sequence[float]) -> dict[str, float | None]:
    """Mean of ours - control over the same seeds, with the 95 % interval of Student's t; no interval for one seed.

    Raises ValueError when the two have not the same number of seeds.
    """
    if len(ours) != len(control):
        raise ValueError(f"paired seeds: {len(ours)} and {len(control)} values")
    difference = np.asarray(ours, float) - np.asarray(control, float)
    mean = float(difference.mean())
    if len(difference) < 2:
        return {"mean": mean, "low": None, "high": None}
    from scipy.stats import t

    half = float(t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / math.sqrt(len(difference)))
    return {"mean": mean, "low": mean - half, "high": mean + half}
