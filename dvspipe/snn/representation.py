"""Gradients by spike representation (DSR): spikes exactly as they fall, their derivative as if only rates passed through.

Meng et al., CVPR 2022 (arXiv 2205.00459; repository qymeng94/DSR, cifar/modules/neuron.py). With keep = e^(-dt/tau):
    u[t] = keep · v[t-1] + gain · x[t];   fires where u >= fire_at · v_th;   v[t] = u[t] - v_th · s[t]         forward
    r_in = Σ w[t]·x[t], w[t] = keep^(T-t) / Σ keep^(T-t);   r_out = clip(r_in / full, 0, 1), full = v_th · tau / dt   backward
tau is the unit of time. Published spikes are worth v_th / dt; ours are 1, and that factor is one of the weights behind them.

So a layer keeps one mean per neuron for the way back, not T currents, and cannot learn *when* to spike. The derivative here
is that of r_out for every x[t], w[t] included; the released code spreads it evenly over the steps and weighs what comes
back instead, which is the same where keep is near 1, and it multiplies the threshold's gradient by dt² more.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.kernels import lif_scan
from dvspipe.snn.lif import LIF, Membrane
from dvspipe.snn.neurons import Neuron, membrane_dtype

FIRE_AT = 0.3  # published for leaky neurons
LEAST_THRESHOLD = 0.0005  # as released: training may not push a threshold below


def rate_weights(steps: int, keep: float, like: Tensor) -> Tensor:
    """w [T] of a weighted rate, their sum 1; all 1/T at keep = 1, where nothing leaks."""
    weights = keep ** torch.arange(steps - 1, -1, -1, device=like.device, dtype=torch.float64)
    return (weights / weights.sum()).to(like.dtype)


def full_input(threshold: Tensor, keep: float) -> Tensor:
    """The weighted input from which on a neuron fires at every step: v_th · tau / dt; v_th itself at keep = 1."""
    return threshold / -math.log(keep) if keep < 1.0 else threshold


def represent(rate_in: Tensor, full: Tensor) -> Tensor:
    """Weighted input rate -> weighted spike rate: clip(rate_in / full, 0, 1). What `RateLIF` is differentiated as."""
    return (rate_in / full).clamp(0.0, 1.0)


class RateLIF(LIF):
    """Neurons with a learned threshold, one for all, whose spikes have the gradients of their weighted rate.

    `neuron` resets by subtraction, has no bias and learns no leak. It fires at `fire_at` · v_th and loses v_th, so that a
    rate rounds to the nearest. Raises `UsageError` for another neuron or a share out of (0, 1].
    """

    def __init__(self, neuron: Neuron, fire_at: float = FIRE_AT, kernels: str = "auto") -> None:
        _check(neuron, fire_at)
        self._fire_at = fire_at
        super().__init__(neuron, kernels=kernels)
        self.v_th = nn.Parameter(torch.tensor(neuron.v_th))

    def forward(self, x: Tensor, v: Tensor | None = None, membrane: Membrane | None = None) -> tuple[Tensor, Tensor]:
        """Current [T,B,...] and `v` [B,...] (None: 0) -> (spikes [T,B,...], last v [B,...]); no gradient comes through `v`.

        Raises `ShapeError` when `v` does not fit, `UsageError` for attention on the membrane.
        """
        if membrane is not None:
            raise UsageError(
                "gradient = 'dsr' with attention on the membrane: a rate knows no membrane; use placement 'released'"
            )
        if v is not None and v.shape != x.shape[1:]:
            raise ShapeError(
                f"state [B,...] = {list(v.shape)} does not fit the current [T,B,...] = {list(x.shape)}: pass the state that "
                "came out of the same network and batch size, or None to start at rest"
            )
        if self.training:
            with torch.no_grad():
                self.v_th.clamp_(min=LEAST_THRESHOLD)
        fired: tuple[Tensor, Tensor] = _Spikes.apply(x, v, self.v_th, self.neuron, self._fire_at, self.kernels)
        return fired

    def step(self, x: Tensor, v: Tensor | None = None, membrane: Membrane | None = None) -> tuple[Tensor, Tensor]:
        """One step: [B,...] -> (spikes [B,...], v [B,...])."""
        spikes, after = self.forward(x[None], v, membrane)
        return spikes[0], after

    def _constants(self) -> dict[str, float]:
        return {"keep": self.neuron.keep, "gain": self.neuron.gain, "fire_at": self._fire_at}


class _Spikes(torch.autograd.Function):
    """Exact spikes forward, the derivative of `represent` backward."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor | None, threshold: Tensor, neuron: Neuron, fire_at: float, kernels: str
    ) -> tuple[Tensor, Tensor]:
        dtype = membrane_dtype(x)
        height = threshold.to(dtype)
        # In units of the threshold, and lifted so that firing at fire_at · v_th is firing at 1: a constant neuron for our
        # kernels, whatever the threshold has learnt. Lifted by a constant means a bias that makes up for its leak.
        lift = 1.0 - fire_at
        unit = replace(neuron, v_th=1.0, bias=(1.0 - neuron.keep) * lift, strict=False)
        start = (
            torch.full(x.shape[1:], lift, dtype=dtype, device=x.device) if v is None else v.to(dtype) / height + lift
        )
        spikes, after = lif_scan(x.to(dtype) / height, start, unit, kernels=kernels)
        rate_in = torch.zeros_like(spikes[0])
        weights = rate_weights(len(x), neuron.keep, rate_in)
        for current, weight in zip(x.unbind(0), weights.tolist()):
            rate_in.add_(current, alpha=weight)
        ctx.save_for_backward(rate_in, full_input(height, neuron.keep), weights)
        ctx.kinds = x.dtype, threshold.dtype, float(full_input(torch.ones((), dtype=torch.float64), neuron.keep))
        last = (after - lift) * height
        ctx.mark_non_differentiable(last)
        return spikes.to(x.dtype), last

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        rate_in, full, weights = ctx.saved_tensors
        dtype, threshold_dtype, full_per_threshold = ctx.kinds
        inside = (rate_in > 0) & (rate_in < full)
        of_rate = torch.where(inside, grad.to(rate_in.dtype).sum(0) / full, 0.0)
        grad_threshold = -(of_rate * rate_in).sum() / full * full_per_threshold
        over_time = of_rate.to(dtype) * weights.to(dtype).view(-1, *[1] * rate_in.ndim)
        return over_time, None, grad_threshold.to(threshold_dtype), None, None, None


def _check(neuron: Neuron, fire_at: float) -> None:
    if neuron.reset != "subtract" or neuron.adapt != "none" or neuron.learn_leak or neuron.bias or not neuron.keep:
        raise UsageError(
            f"gradient = 'dsr' with {neuron}: it needs reset = 'subtract', adapt = 'none', a keep above 0, no learn_leak and "
            "no bias; neuron 'dsr' is so, or set snn.reset = 'subtract'"
        )
    if not 0.0 < fire_at <= 1.0:
        raise UsageError(f"fire_at = {fire_at}: the share of the threshold that lets a neuron fire must be in (0, 1]")
