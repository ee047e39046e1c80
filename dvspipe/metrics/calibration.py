"""Whether a confidence means what it says: of the answers given with confidence c, a share c should be right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 10
RULE = "confidence = the answered class's share of all output spikes; 0 when no output neuron fired"
RULE_OF_SCORES = "confidence = the answered class's softmax probability of the mean scores"


def calibration(
    confidence: Sequence[float], correct: Sequence[bool], bins: int = BINS, spikes: bool = True
) -> dict[str, Any]:
    """Expected calibration error (Guo et al. 2017) over `bins` equal bins of confidence in [0,1], and the bins.

    `spikes`: whether confidences come from output spikes or from scores, which `rule` tells.
    Returns `ece` (None without answers), `rule`, `bins`: for each that holds answers `low, high, count, confidence,
    accuracy` (means). Raises ValueError when the two lengths differ.
    """
    sure, right = np.asarray(confidence, float), np.asarray(correct, bool)
    if len(sure) != len(right):
        raise ValueError(f"calibration: {len(sure)} confidences and {len(right)} answers")
    place = np.minimum((sure * bins).astype(int), bins - 1)
    table = [
        {
            "low": k / bins,
            "high": (k + 1) / bins,
            "count": int((place == k).sum()),
            "confidence": float(sure[place == k].mean()),
            "accuracy": float(right[place == k].mean()),
        }
        for k in range(bins)
        if np.any(place == k)
    ]
    error = sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in table) / max(1, len(sure))
    return {"ece": error if len(sure) else None, "bins": table, "rule": RULE if spikes else RULE_OF_SCORES}
