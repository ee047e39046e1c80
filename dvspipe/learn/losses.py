"""Losses over output spikes [T,B,K] and labels [B], each one number, and the activity that a loss may hold down."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dvspipe.decision.readout import rate
from dvspipe.metrics.spikes import POOLED


def mse_rate(out: Tensor, label: Tensor) -> Tensor:
    """Mean squared error of the mean output spike rate against one-hot (MA-SNN, released code)."""
    scores = rate(out)
    return F.mse_loss(scores, F.one_hot(label, scores.shape[1]).float())


def ce_rate(out: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy of the mean output spike rate, scaled to span [0, 10] so that a full rate can be confident."""
    return F.cross_entropy(10 * rate(out), label)


class Activity:
    """Give it to a network as `probe=`: spikes per neuron and step, NASAR, as a number that gradients flow through."""

    def __init__(self) -> None:
        self._spikes: list[Tensor] = []
        self._places = 0

    def __call__(self, name: str, spikes: Tensor) -> None:
        """One layer's spikes [T,B,...]; what a maximum pool makes of them is no neuron's."""
        if name.endswith(POOLED):
            return
        self._spikes.append(spikes.sum(dtype=torch.float32))
        self._places += spikes.numel()

    def nasar(self) -> Tensor:
        """Over every layer seen, each weighted by its neurons."""
        return torch.stack(self._spikes).sum() / self._places


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse-rate": mse_rate, "ce-rate": ce_rate}
