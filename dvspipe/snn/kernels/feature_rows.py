"""Currents as compiled kernels with channels innermost want them: rows of channels, one per pixel. Knows no kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dvspipe.snn.kernels.constants import real


def rows(x: Tensor) -> Tensor:
    """[...,C,H,W] as [...,H·W,C] or [...,F] as [...,1,F], time or batch before: a view of channels_last maps, else a copy."""
    if x.ndim <= 3:
        return x.contiguous().unsqueeze(-2)
    return x.movedim(-3, -1).contiguous().flatten(-3, -2)


def maps(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The way back, to a view of `shape`."""
    if len(shape) <= 3:
        return x.view(shape)
    return x.unflatten(-2, tuple(shape[-2:])).movedim(-1, -3)


def array(x: Tensor) -> NDArray[Any]:
    """Memory of a dense tensor; bfloat16 as its bits, which numba has no type for."""
    x = x.detach()
    return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()


def least(x: Tensor, rectified: bool) -> Any:
    """What no weighed current is below, in the precision of the membrane: 0 behind a ReLU."""
    return real(x.dtype)(0.0 if rectified else -np.inf)
