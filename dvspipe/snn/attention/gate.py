"""From a score to the factor that multiplies the current."""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.errors import UsageError

GAINS = (1, 2)


def check_gain(gain: int) -> int:
    """Raises `UsageError` unless `gain` is 1 (the published gate) or 2 (a neutral gate leaves the current as it is)."""
    if gain not in GAINS:
        raise UsageError(f"gate_gain = {gain}: use 1 (published: sigmoid) or 2 (2·sigmoid, neutral gate 1)")
    return gain


def gate(score: Tensor, gain: int) -> Tensor:
    """gain · sigmoid(score). Never negative: maxima may therefore be taken before the factor is applied."""
    return torch.sigmoid(score) if gain == 1 else gain * torch.sigmoid(score)
