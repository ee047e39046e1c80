"""Surrogate gradients: what stands in for the derivative of the threshold step when gradients flow back.

Named and scaled by us, never inherited from a Norse default: those changed meaning between versions (norse PR #403).
Every function here is the derivative at `v = membrane potential - threshold`. Knows no membrane dynamics and no
kernels; `kernels/cpu_loops.py` holds the same formulas for numba, and a test keeps the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dvspipe.errors import UsageError, nearest


def rectangle(v: Tensor, half_width: float) -> Tensor:
    """1 / (2·half_width) where |v| < half_width, else 0 (MA-SNN: half width 0.25, height 2)."""
    return (v.abs() < half_width).to(v.dtype) / (2.0 * half_width)


def triangle(v: Tensor, half_width: float) -> Tensor:
    """max(0, 1 - |v| / half_width) / half_width (GAC: half width 1, which is Norse's `triangle` with alpha 1)."""
    return torch.relu(1.0 - v.abs() / half_width) / half_width


def atan(v: Tensor, slope: float) -> Tensor:
    """(slope / 2) / (1 + (π/2 · slope · v)²) (SpikingJelly's ATan: slope 2)."""
    return 0.5 * slope / (1.0 + (0.5 * math.pi * slope * v).square())


def sigmoid(v: Tensor, slope: float) -> Tensor:
    """slope · σ(slope·v) · (1 - σ(slope·v)) (ASNN: slope 4)."""
    fired = torch.sigmoid(slope * v)
    return slope * fired * (1.0 - fired)


def superspike(v: Tensor, slope: float) -> Tensor:
    """1 / (1 + slope·|v|)² (Zenke and Ganguli 2018; Norse 1.1 `super` behaves as slope 1, whatever its alpha)."""
    return (1.0 + slope * v.abs()).square().reciprocal()


# The position in this table is the number by which compiled kernels know a surrogate.
SURROGATES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "rectangle": rectangle,
    "triangle": triangle,
    "atan": atan,
    "sigmoid": sigmoid,
    "superspike": superspike,
}


def surrogate_number(name: str) -> int:
    """Position of a surrogate in `SURROGATES`. Raises `UsageError` for an unknown name."""
    names = list(SURROGATES)
    if name not in names:
        raise UsageError(f"unknown surrogate gradient '{name}'{nearest(name, names)}: known are {', '.join(names)}")
    return names.index(name)


class _Fire(torch.autograd.Function):
    """Threshold step forward, surrogate backward."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, v: Tensor, name: str, scale: float, strict: bool) -> Tensor:
        ctx.save_for_backward(v)
        ctx.surrogate = (name, scale)
        return (v > 0 if strict else v >= 0).to(v.dtype)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (v,), (name, scale) = ctx.saved_tensors, ctx.surrogate
        return grad * SURROGATES[name](v, scale), None, None, None


def fire(v: Tensor, name: str, scale: float, strict: bool) -> Tensor:
    """Spikes (0 or 1, dtype of `v`) where `v` > 0, or >= 0 unless `strict`; backward is the named surrogate."""
    spikes: Tensor = _Fire.apply(v, name, scale, strict)
    return spikes
