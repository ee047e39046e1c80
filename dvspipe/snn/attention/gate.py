"""From a score to the factor that multiplies the current."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dvspipe.errors import UsageError


def check_gain(gain: float) -> float:
    """Raises `UsageError` unless `gain` is above 0: 1 is the published gate, with 2 a neutral gate leaves the current
    as it is.
    """
    if not 0 < gain < math.inf:
        raise UsageError(
            f"gate_gain = {gain}: must be above 0; 1 (published: sigmoid) or 2 (2·sigmoid, neutral gate 1)"
        )
    return gain


def gate(score: Tensor, gain: float) -> Tensor:
    """gain · sigmoid(score). Never negative: maxima may therefore be taken before the factor is applied."""
    return torch.sigmoid(score) if gain == 1 else gain * torch.sigmoid(score)
