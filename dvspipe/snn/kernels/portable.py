"""The whole-sequence LIF in plain torch, both ways: for any device and dtype, without a compiler.

What runs where a device has no kernel of its own or its kernel cannot run. The same operator, so the same rules: the
membrane in float32, no second derivatives, nothing kept but the current. It keeps u of all steps while it goes back.
Knows no layouts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from dvspipe.snn.surrogates import SURROGATES


def _each_rate(rates: Tensor | None, constants: list[float], steps: int) -> Iterator[tuple[Any, Any]]:
    """(keep, gain) step by step."""
    return iter([(constants[0], constants[1])] * steps) if rates is None else zip(*(rate.unbind() for rate in rates))


def _after(u: Tensor, constants: list[float], flags: list[bool]) -> tuple[Tensor, Tensor]:
    """(which neurons fire, what the membrane becomes where they do) from potential `u`."""
    v_th, v_reset, (subtract, strict, _) = constants[3], constants[4], flags
    return (u > v_th if strict else u >= v_th), (u - v_th if subtract else u * 0.0 + v_reset)


def forward(
    x: Tensor, v0: Tensor, rates: Tensor | None, constants: list[float], flags: list[bool], surrogate: int
) -> tuple[Tensor, Tensor]:
    """As the operator `dvspipe::lif_scan` (`operators.py`)."""
    spikes, v = torch.empty_like(x), v0.clone()
    for current, fired, (keep, gain) in zip(x, spikes, _each_rate(rates, constants, len(x))):
        u = keep * v + gain * current.to(v.dtype) + constants[2]
        fires, after = _after(u, constants, flags)
        fired.copy_(fires)
        v = torch.where(fires, after, u)
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
    """As the operator `dvspipe::lif_scan_backward`."""
    grad_x, carried, each = torch.empty_like(x), grad_v.clone(), list(_each_rate(rates, constants, len(x)))
    grad_rates = v0.new_zeros(2, 0 if rates is None else len(x))
    gradient, v, befores = list(SURROGATES.values())[surrogate], v0, []
    for current, (keep, gain) in zip(x, each):
        befores.append(v)
        u = keep * v + gain * current.to(v.dtype) + constants[2]
        fires, after = _after(u, constants, flags)
        v = torch.where(fires, after, u)
    for t, (keep, gain) in reversed(list(enumerate(each))):
        current = x[t].to(v.dtype)
        u = keep * befores[t] + gain * current + constants[2]
        fires, after = _after(u, constants, flags)
        slope = gradient(u - constants[3], constants[5])
        stays = torch.where(fires, float(flags[0]), 1.0) + (0.0 if flags[2] else slope * (after - u))
        through = grad_spikes[t].to(v.dtype) * slope + carried * stays
        grad_x[t], carried = gain * through, keep * through
        if rates is not None:
            grad_rates[0, t], grad_rates[1, t] = (through * befores[t]).sum(), (through * current).sum()
    return grad_x, carried, grad_rates
