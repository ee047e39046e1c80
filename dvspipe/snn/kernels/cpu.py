"""The CPU's whole-sequence LIF: one pass over memory each way, the membrane in cache, compiled by numba.

Registered as the torch operators `dvspipe::lif_scan` and `dvspipe::lif_scan_backward`, so that autocast,
`torch.compile` and fake tensors see one opaque operator. Backward reads the current again instead of keeping a
membrane per step: recomputing it in cache is cheaper than writing it out. Knows layouts and dtypes; the arithmetic
is in `cpu_loops.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dvspipe.snn.kernels import cpu_loops
from dvspipe.snn.kernels.threads import split
from dvspipe.snn.neurons import Neuron
from dvspipe.snn.surrogates import surrogate_number

_DTYPES = (torch.float32, torch.bfloat16, torch.float64)


def takes(x: Tensor) -> bool:
    """Whether this kernel runs `x` (float16 goes to the reference)."""
    return x.dtype in _DTYPES


def lif_scan(x: Tensor, v0: Tensor, neuron: Neuron, leak: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """As `kernels.lif_scan`, for an `x` [T,B,...] that it `takes` and a `v0` [B,...] in the membrane's dtype."""
    learned = None
    if leak is not None:
        learned = torch.stack((1.0 - leak, leak if neuron.decays_input else torch.full_like(leak, neuron.gain)))
    fired: tuple[Tensor, Tensor] = torch.ops.dvspipe.lif_scan(
        x,
        v0,
        learned,
        *_settings(neuron),
        surrogate_number(neuron.surrogate),
    )
    return fired


def _time_outermost(x: Tensor) -> Tensor:
    """`x` itself when every step is one dense block, the next step beside it; else a copy that is so, in the order of
    axes that a step has where it is dense (an image shown T times lies in memory once, perhaps channels_last).
    """
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(x.stride()[1:], x.shape[1:]) if size > 1):
        if stride != expected:
            return x.contiguous()
        expected *= size
    if len(x) < 2 or x.stride(0) == expected:
        return x
    return torch.empty_strided(x.shape, (expected, *x.stride()[1:]), dtype=x.dtype).copy_(x)


def _like(x: Tensor, model: Tensor) -> Tensor:
    """`x` in the strides of `model` (no copy when it has them)."""
    same = all(a == b or size < 2 for a, b, size in zip(x.stride(), model.stride(), model.shape))
    return x if same else torch.empty_strided(model.shape, model.stride(), dtype=x.dtype).copy_(x)


def _rows(x: Tensor, rows: int) -> np.ndarray:
    """Dense memory of `x` as [rows, neurons]; bfloat16 as its bits, which numba has no type for."""
    flat = x.detach().as_strided((rows, x.numel() // max(rows, 1)), (x.numel() // max(rows, 1), 1))
    return (flat.view(torch.uint16) if flat.dtype == torch.bfloat16 else flat).numpy()


def _one(dtype: torch.dtype) -> Any:
    """A spike, as `_rows` shows it."""
    return np.uint16(0x3F80) if dtype == torch.bfloat16 else _real(dtype)(1.0)


def _real(dtype: torch.dtype) -> Any:
    return np.float64 if dtype == torch.float64 else np.float32


def _constants(x: Tensor, learned: Tensor | None, values: list[float], flags: list[bool]) -> tuple[Any, ...]:
    """(keep, gain, bias, edge, v_th, slope, offset) in the membrane's precision; `learned` [2] replaces keep and gain.

    Fires above `edge`: the threshold itself, or the number just below it where touching is enough. A spike
    turns u into slope·u + offset: 0 and v_reset, or 1 and -v_th.
    """
    real = _real(x.dtype)
    rates = values[:2] if learned is None else learned.tolist()
    keep, gain, bias, v_th, v_reset = (real(value) for value in (*rates, *values[2:5]))
    subtract, strict, _ = flags
    edge = v_th if strict else np.nextafter(v_th, real(-math.inf))
    return keep, gain, bias, edge, v_th, real(subtract), -v_th if subtract else v_reset


def constants_of(x: Tensor, neuron: Neuron) -> tuple[Any, ...]:
    """(keep, gain, bias, edge, v_th, slope, offset) of a neuron that learns none of them, in the membrane's precision."""
    return _constants(x, None, *_settings(neuron))


def _settings(neuron: Neuron) -> tuple[list[float], list[bool]]:
    """A neuron as an operator takes it: numbers and flags."""
    values = [neuron.keep, neuron.gain, neuron.bias, neuron.v_th, neuron.v_reset, neuron.surrogate_scale]
    return values, [neuron.reset == "subtract", neuron.strict, neuron.detach_reset]


def _forward(
    x: Tensor, v0: Tensor, learned: Tensor | None, constants: list[float], flags: list[bool], surrogate: int
) -> tuple[Tensor, Tensor]:
    x = _time_outermost(x)
    spikes, steps = torch.empty_like(x), len(x)
    v = torch.empty_strided(v0.shape, x.stride()[1:], dtype=v0.dtype).copy_(v0)
    arrays = (_rows(x, steps), _rows(v, 1)[0], _rows(spikes, steps))
    settings = (_constants(x, learned, constants, flags), _one(x.dtype))
    split(lambda start, stop: cpu_loops.forward(*arrays, start, stop, *settings), v.numel(), x.numel())
    return spikes, v


def _backward(
    grad_spikes: Tensor,
    grad_v: Tensor,
    x: Tensor,
    v0: Tensor,
    learned: Tensor | None,
    constants: list[float],
    flags: list[bool],
    surrogate: int,
) -> tuple[Tensor, Tensor, Tensor]:
    x = _time_outermost(x)
    grad_x, steps = torch.empty_like(x), len(x)
    model = torch.empty_strided(v0.shape, x.stride()[1:], dtype=v0.dtype)
    v0, grad_v0 = _like(v0, model), model.copy_(grad_v)
    # Per neuron and summed here, so that the threads' number does not change the sum.
    grad_rates = torch.zeros(2, 0 if learned is None else v0.numel(), dtype=v0.dtype)
    sequences = (_rows(_like(grad_spikes, x), steps), _rows(x, steps), _rows(grad_x, steps))
    arrays = (*sequences[:2], _rows(v0, 1)[0], _rows(grad_v0, 1)[0], sequences[2], grad_rates.numpy())
    real = _real(x.dtype)
    settings = (_constants(x, learned, constants, flags), real(constants[5]), real(not flags[2]), surrogate)
    split(lambda start, stop: cpu_loops.backward(*arrays, start, stop, *settings), v0.numel(), x.numel())
    return grad_x, grad_v0, grad_rates.sum(1, dtype=torch.float64).to(v0.dtype)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, v0, learned, *ctx.settings = inputs
    ctx.save_for_backward(x, v0, learned)


def _differentiate(ctx: Any, grad_spikes: Tensor, grad_v: Tensor) -> tuple[Tensor | None, ...]:
    grads = torch.ops.dvspipe.lif_scan_backward(grad_spikes, grad_v, *ctx.saved_tensors, *ctx.settings)
    learned = ctx.saved_tensors[2] is not None
    return (*grads[:2], grads[2] if learned else None, None, None, None)


# Not `torch.library.custom_op`: its first call imports the whole of torch._dynamo, seconds that `dvspipe live` has
# no use for.
_LIBRARY = torch.library.Library("dvspipe", "FRAGMENT")
_INPUTS = "Tensor x, Tensor v0, Tensor? learned, float[] constants, bool[] flags, int surrogate"
_LIBRARY.define(f"lif_scan({_INPUTS}) -> (Tensor, Tensor)")
_LIBRARY.define(f"lif_scan_backward(Tensor grad_spikes, Tensor grad_v, {_INPUTS}) -> (Tensor, Tensor, Tensor)")
_LIBRARY.impl("lif_scan", _forward, "CPU")
_LIBRARY.impl("lif_scan_backward", _backward, "CPU")


@torch.library.register_fake("dvspipe::lif_scan", lib=_LIBRARY)
def _(x: Tensor, v0: Tensor, *settings: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(v0)


@torch.library.register_fake("dvspipe::lif_scan_backward", lib=_LIBRARY)
def _(grad_spikes: Tensor, grad_v: Tensor, x: Tensor, v0: Tensor, *settings: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(v0), v0.new_empty(2)


torch.library.register_autograd("dvspipe::lif_scan", _differentiate, setup_context=_remember, lib=_LIBRARY)
