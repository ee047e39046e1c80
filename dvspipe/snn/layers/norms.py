"""Batch norms by name, and what each makes of time. They act on [T·B,C,...], the steps of a clip one after another.

    bn        one set of statistics and of weights for all steps
    tdbn      bn times the threshold:     weight · (alpha · v_th · x̂) + bias          Zheng et al., AAAI 2021, eq. 9
    tebn      bn times a factor per step: p[t] · (weight · x̂ + bias), p 1 at first    Duan et al., NeurIPS 2022
    per-step  statistics and weights of every step its own

Knows neither convolutions nor neurons, only the threshold's number.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvspipe.errors import ShapeError, UsageError, nearest

NORMS = ("bn", "tdbn", "tebn", "per-step")
_PLAIN = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


class ThresholdNorm(nn.Module):
    """What turns one of torch's batch norms into tdBN: its weights times `scale` = alpha · v_th, its bias as it is.

    The factor is a constant beside the weights, not folded into where they start: so weight decay and learning rate
    act as published. It goes onto the weights [C], not onto the maps, and costs nothing. It is a buffer too, so that
    weights of a plain batch norm or of another threshold are not mistaken for these.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__(channels)
        self.factor = scale
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        """[T·B,C,...] -> the same shape; statistics over everything but C."""
        self._check_input_dim(x)
        if self.training:
            self.num_batches_tracked.add_(1)
        mean, variance, weight = self.running_mean, self.running_var, self.weight * self.factor
        return F.batch_norm(x, mean, variance, weight, self.bias, self.training, self.momentum, self.eps)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Torch's hook: the factor belongs to the architecture, not to the weights."""
        errors: list[str] = rest[-1]
        loaded = state_dict.get(prefix + "scale")
        if loaded is not None and not math.isclose(loaded.item(), self.factor, rel_tol=0.01):
            errors.append(f"{prefix}scale is {loaded:g} in the checkpoint, {self.factor:g} here: another alpha · v_th")
        super()._load_from_state_dict(state_dict, prefix, *rest)


class ThresholdNorm1d(ThresholdNorm, nn.BatchNorm1d):
    """tdBN of features [T·B,F]."""


class ThresholdNorm2d(ThresholdNorm, nn.BatchNorm2d):
    """tdBN of feature maps [T·B,C,H,W]."""


class TemporalEffectiveNorm(nn.Module):
    """TEBN: joint statistics, then a learned factor `p` [T] for every step. Cannot run one step at a time."""

    stepwise = True  # tells the steps apart: the same frame at every step does not come out the same

    def __init__(self, channels: int, steps: int, dims: int) -> None:
        super().__init__()
        self.norm = _PLAIN[dims](channels)
        self.p = nn.Parameter(torch.ones(steps))

    def forward(self, x: Tensor) -> Tensor:
        """[T·B,C,...] -> the same shape. Raises `ShapeError` where the batch is not T whole steps."""
        _check_batch("tebn", x, len(self.p))
        y = self.norm(x).unflatten(0, (len(self.p), -1))
        factors = self.p.to(y.dtype).view(-1, *[1] * (y.ndim - 1))  # as it is, float32 would undo autocast's bfloat16
        scaled: Tensor = (y * factors).flatten(0, 1)
        return scaled


class PerStepNorm(nn.Module):
    """T batch norms, one per step. Cannot run one step at a time."""

    stepwise = True

    def __init__(self, channels: int, steps: int, dims: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(_PLAIN[dims](channels) for _ in range(steps))

    def forward(self, x: Tensor) -> Tensor:
        """[T·B,C,...] -> the same shape. Raises `ShapeError` where the batch is not T whole steps, or where a step has
        but one value per channel to learn its statistics from.
        """
        steps = len(self.norms)
        _check_batch("per-step", x, steps)
        if self.training and x.numel() == steps * x.shape[1]:
            raise ShapeError(
                f"norm 'per-step' cannot train on {list(x.shape)} with T = {steps}: one value per channel and step has no "
                "variance; use a batch of at least 2 samples, or another norm"
            )
        return torch.cat([norm(step) for norm, step in zip(self.norms, x.chunk(steps))])


def make_norm(
    name: str, channels: int, steps: int, v_th: float = 1.0, gamma: float = 1.0, *, alpha: float = 1.0, dims: int = 2
) -> nn.Module:
    """One of `NORMS` for maps [T·B,C,H,W] or, with `dims` 1, features [T·B,F]. `steps` is T.

    `gamma` is where the learned weights start. For "tdbn" it comes on top of `alpha` · `v_th`, which nothing else
    uses: 1 as published, and alpha 1/√2 for each of two branches that are added. Norms that treat every step by itself
    have `stepwise = True`. Raises `UsageError` for an unknown name and for values out of range.
    """
    if name not in NORMS:
        raise UsageError(f"unknown norm '{name}'{nearest(name, list(NORMS))}: known are {', '.join(NORMS)}")
    if dims not in _PLAIN or steps < 1 or channels < 1:
        raise UsageError(f"norm '{name}' with {channels=}, {steps=}, {dims=}: positive numbers, and dims 1 or 2")
    made: nn.Module
    if name == "tdbn":
        made = (ThresholdNorm1d if dims == 1 else ThresholdNorm2d)(channels, alpha * v_th)
    elif name == "tebn":
        made = TemporalEffectiveNorm(channels, steps, dims)
    elif name == "per-step":
        made = PerStepNorm(channels, steps, dims)
    else:
        made = _PLAIN[dims](channels)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.constant_(module.weight, gamma)
    return made


def _check_batch(name: str, x: Tensor, steps: int) -> None:
    if len(x) % steps:
        raise ShapeError(
            f"norm '{name}' was built for T = {steps} steps, and a batch [T·B,...] of {len(x)} frames is not {steps} times "
            "a whole number: give it clips of the T it was built for, or build it for theirs"
        )
