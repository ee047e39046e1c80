"""Which kernel runs a sequence: the device's own, behind one torch operator, or Norse's loop where that is asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.errors import ShapeError, UsageError, nearest
from dvspipe.snn.kernels import operators, reference
from dvspipe.snn.neurons import Neuron, membrane_dtype

KERNELS = ("auto", "reference")


def check_kernels(kernels: str) -> str:
    """The word itself. Raises `UsageError` for an unknown one."""
    if kernels not in KERNELS:
        raise UsageError(
            f"unknown kernels '{kernels}'{nearest(kernels, list(KERNELS))}: known are {', '.join(KERNELS)}"
        )
    return kernels


def starting_potential(x: Tensor, v0: Tensor | None) -> Tensor:
    """`v0` [B,...] in the membrane's precision, or rest (0) for the current `x` [T,B,...]. Raises `ShapeError` when they do
    not fit.
    """
    if v0 is None:
        return torch.zeros_like(x[0] if len(x) else x.new_empty(x.shape[1:]), dtype=membrane_dtype(x))
    if v0.shape != x.shape[1:]:
        raise ShapeError(
            f"state [B,...] = {list(v0.shape)} does not fit the current [T,B,...] = {list(x.shape)}: "
            "pass the state that came out of the same network and batch size, or None to start at rest"
        )
    return v0.to(membrane_dtype(x))


def lif_scan(
    x: Tensor,
    v0: Tensor | None,
    neuron: Neuron,
    leak: Tensor | None = None,
    rates: Tensor | None = None,
    kernels: str = "auto",
) -> tuple[Tensor, Tensor]:
    """T steps of `neuron` over the current `x` [T,B,...], from stored potential `v0` [B,...] (None: at rest, 0).

    Returns (spikes [T,B,...] in `x`'s dtype and memory format, last v [B,...] float32, or float64 for float64).
    In the membrane's dtype, `leak` [] is a learned 1 - keep (None: the neuron's constant; where the neuron `decays_input`,
    it is the gain too), or `rates` [2,T] are learned keep and gain of every step. Gradients flow to `x`, `v0`, `leak` and
    `rates`. With `kernels` "reference" it is Norse's own step, T times. Raises `ShapeError` when `v0` or `rates` do not
    fit `x`.
    """
    v0 = starting_potential(x, v0)
    if rates is not None and rates.shape != (2, len(x)):
        raise ShapeError(f"rates [2,T] = {list(rates.shape)} do not fit the current [T,B,...] = {list(x.shape)}")
    if kernels == "reference":
        return reference.lif_scan(x, v0, neuron, leak, rates)
    if leak is not None:
        rates = _rates_of(leak, neuron, len(x))
    return operators.lif_scan(x, v0, neuron, rates)


def _rates_of(leak: Tensor, neuron: Neuron, steps: int) -> Tensor:
    """[2,T]: keep and gain by a learned leak."""
    gain = leak if neuron.decays_input else torch.full_like(leak, neuron.gain)
    return torch.stack((1.0 - leak, gain))[:, None].expand(2, steps)
