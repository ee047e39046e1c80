"""How a sequence lies in memory: kernels want one dense block per step, the next step beside it. Knows no device."""

from __future__ import annotations

import torch
from torch import Tensor

Strides = tuple[int, ...]


def time_outermost(x: Tensor) -> Strides:
    """Strides of `x` [T,B,...] when every step is one dense block, in the order of axes that a step has where it is dense
    (an image shown T times lies in memory once, perhaps channels_last), else contiguous.
    """
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(x.stride()[1:], x.shape[1:]) if size > 1):
        if stride != expected:
            return _contiguous(x.shape)
        expected *= size
    return (expected, *x.stride()[1:])


def _contiguous(shape: torch.Size) -> Strides:
    strides, expected = [], 1
    for size in reversed(shape):
        strides.append(expected)
        expected *= max(size, 1)
    return tuple(reversed(strides))


def laid(x: Tensor, strides: Strides) -> Tensor:
    """`x` in these strides: itself where it has them, else a copy."""
    same = all(own == wanted or size < 2 for own, wanted, size in zip(x.stride(), strides, x.shape))
    return x if same else torch.empty_strided(x.shape, strides, dtype=x.dtype, device=x.device).copy_(x)
