"""Losses over output spikes [T,B,K] and labels [B]. Each returns one number."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from dvspipe.decision.readout import rate


def mse_rate(out: Tensor, label: Tensor) -> Tensor:
    """Mean squared error of the mean output spike rate against one-hot (MA-SNN, released code)."""
    scores = rate(out)
    return F.mse_loss(scores, F.one_hot(label, scores.shape[1]).float())


def ce_rate(out: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of the mean output spike rate, scaled to span [0, 10] so that a full rate can be confident."""
    return F.cross_entropy(10 * rate(out), label)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse-rate": mse_rate, "ce-rate": ce_rate}
