"""Optimisers by name, each with the weight decay of those who published with it."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from dvspipe.errors import UsageError, nearest

OPTIMISERS = ("adam", "adamw", "sgd")


def make_optimiser(
    name: str, network: nn.Module, lr: float, weight_decay: float = 0.0, momentum: float = 0.9
) -> Optimizer:
    """One of `OPTIMISERS` over all parameters of `network`. `momentum` is for "sgd" alone, which is not Nesterov's.

    "adam" (MA-SNN, ASNN) and "sgd" (GAC, MS-ResNet) decay every parameter, norms and learned neuron constants too,
    as published; with their decays of 1e-4 and less that matters little, and a neuron that adapts is pulled towards
    the constants it started at, not towards 0. "adamw" (Spikformer) decays only what has two axes or more, which is
    what timm does there: its 0.06 would take the scale of every norm along.
    Raises `UsageError` for an unknown name.
    """
    if name not in OPTIMISERS:
        raise UsageError(
            f"unknown optimiser '{name}'{nearest(name, list(OPTIMISERS))}: known are {', '.join(OPTIMISERS)}"
        )
    if name == "adam":
        return Adam(network.parameters(), lr=lr, weight_decay=weight_decay)
    if name == "sgd":
        return SGD(network.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)
    weights = [each for each in network.parameters() if each.ndim > 1]
    others = [each for each in network.parameters() if each.ndim <= 1]
    decays = [(weights, weight_decay), (others, 0.0)]
    return AdamW([{"params": some, "weight_decay": decay} for some, decay in decays if some], lr=lr)
