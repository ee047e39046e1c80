"""The CPU's whole-sequence LIF: one pass over memory each way, the membrane in cache, compiled by numba.

The implementation of the operators (`operators.py`) for float32, bfloat16 and float64. Knows dtypes and threads; the
arithmetic is in `cpu_loops.py`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from dvspipe.snn.kernels import cpu_loops
from dvspipe.snn.kernels.constants import real, rounded
from dvspipe.snn.kernels.threads import split

_DTYPES = (torch.float32, torch.bfloat16, torch.float64)


def refusal(x: Tensor) -> str | None:
    """Why this kernel does not run `x`; None: it does."""
    if numba.config.DISABLE_JIT:
        return "numba compiles nothing while NUMBA_DISABLE_JIT is set"
    if x.dtype not in _DTYPES:
        return f"the CPU's kernel takes {', '.join(map(str, _DTYPES))}, not {x.dtype}"
    return None


def takes(x: Tensor) -> bool:
    """Whether this kernel runs `x`."""
    return refusal(x) is None


def _rows(x: Tensor, rows: int) -> np.ndarray:
    """Dense memory of `x` as [rows, neurons]; bfloat16 as its bits, which numba has no type for."""
    flat = x.detach().as_strided((rows, x.numel() // max(rows, 1)), (x.numel() // max(rows, 1), 1))
    return (flat.view(torch.uint16) if flat.dtype == torch.bfloat16 else flat).numpy()


def one(dtype: torch.dtype) -> Any:
    """A spike, as `_rows` shows it."""
    return np.uint16(0x3F80) if dtype == torch.bfloat16 else real(dtype)(1.0)


def _each_rate(rates: Tensor | None, constants: tuple[Any, ...], steps: int) -> np.ndarray:
    """Keep and gain of every step: [2,T]."""
    if rates is not None:
        return np.ascontiguousarray(rates.detach().numpy())
    return np.repeat(np.array(constants[:2])[:, None], steps, 1)


def forward(
    x: Tensor, v0: Tensor, rates: Tensor | None, constants: list[float], flags: list[bool], surrogate: int
) -> tuple[Tensor, Tensor]:
    """As the operator `dvspipe::lif_scan`, for dense time-outermost `x` and `v0`."""
    spikes, v, steps = torch.empty_like(x), v0.clone(), len(x)
    arrays, fixed = (_rows(x, steps), _rows(v, 1)[0], _rows(spikes, steps)), rounded(x.dtype, constants, flags)
    settings = (_each_rate(rates, fixed, steps), fixed, one(x.dtype))
    split(lambda start, stop: cpu_loops.forward(*arrays, start, stop, *settings), v.numel(), x.numel())
    return spikes, v


def backward(
    grad_spikes: Tensor,
    grad_v: Tensor,
    x: Tensor,
    v0: Tensor,
    rates: Tensor | None,
    constants: list[float],
    flags: list[bool],
    surrogate: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """As the operator `dvspipe::lif_scan_backward`, for dense time-outermost tensors."""
    grad_x, grad_v0, steps = torch.empty_like(x), grad_v.clone(), len(x)
    # By groups of neurons and summed here, so that the threads' number does not change the sum.
    groups = 0 if rates is None else -(-v0.numel() // cpu_loops.GROUP)
    grad_rates = torch.zeros(2, 0 if rates is None else steps, groups, dtype=v0.dtype)
    sequences = (_rows(each, steps) for each in (grad_spikes, x, grad_x))
    arrays = (*sequences, _rows(v0, 1)[0], _rows(grad_v0, 1)[0], grad_rates.numpy())
    fixed = rounded(x.dtype, constants, flags)
    scale, reset = real(x.dtype)(constants[5]), real(x.dtype)(not flags[2])
    settings = (_each_rate(rates, fixed, steps), fixed, (scale, reset, surrogate))
    split(lambda start, stop: cpu_loops.backward(*arrays, start, stop, *settings), v0.numel(), x.numel())
    return grad_x, grad_v0, grad_rates.sum(2, dtype=torch.float64).to(v0.dtype)
