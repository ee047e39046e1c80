"""Neurons whose membrane attention re-weights at every step, for training on the CPU: one call for the whole sequence.

Without gradients `gated.py` does the same with less in memory; other devices and neurons take `LIF.forward`'s loop over
steps. Knows dtypes, threads and torch's graph; the arithmetic is in `membrane_loops.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dvspipe.snn.attention.paper import PaperAttention
from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.kernels import cpu, membrane_loops
from dvspipe.snn.kernels.constants import constants_of, real
from dvspipe.snn.kernels.feature_rows import array, least, maps, rows
from dvspipe.snn.kernels.scan import starting_potential
from dvspipe.snn.kernels.threads import split
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import Neuron, membrane_dtype
from dvspipe.snn.surrogates import surrogate_number

FEATURE_MAPS = 5  # axes of a current [T,B,C,H,W]


def takes(x: Tensor, lif: LIF, attention: Attention | None) -> bool:
    """Whether this kernel runs the current `x`: feature maps on the CPU, constant neurons, CA or SA on the membrane with its
    weights in the membrane's precision, and nobody listening to the scores, which are never tensors here.
    """
    return (
        isinstance(attention, PaperAttention)
        and attention.on_membrane
        and x.ndim == FEATURE_MAPS
        and x.numel() > 0
        and x.device.type == "cpu"
        and cpu.takes(x)
        and lif.constant
        and all(weight.dtype == membrane_dtype(x) for weight in attention.parameters())
        and not any(part._forward_hooks for part in (attention.channel, attention.space) if part is not None)
        and not torch.compiler.is_compiling()
    )


def membrane_scan(x: Tensor, v0: Tensor | None, lif: LIF, attention: Any) -> tuple[Tensor, Tensor]:
    """`lif(x, v0, attention.membrane)` for what it `takes`: current [T,B,C,H,W] and potential [B,C,H,W] (None: at rest) ->
    (spikes in `x`'s dtype, last potential), both channels_last; equal up to the order of sums.

    Gradients flow to `x`, `v0` and the attention's weights, once: differentiating twice raises torch's RuntimeError.
    """
    v = starting_potential(x, v0)
    none = torch.empty(0, dtype=v.dtype)
    channel, space = attention.channel, attention.space
    w0, w1 = (none, none) if channel is None else (channel.w0.weight, channel.w1.weight)
    kernel = none if space is None else space.conv.weight
    spikes, last = _MembraneScan.apply(x, v, lif.neuron, (attention.gain, attention.relu), w0, w1, kernel)
    return spikes, last


def _arrays(w0: Tensor, w1: Tensor, kernel: Tensor) -> tuple[Any, ...]:
    """The weights as the loops take them: [h,C], [C,h] and [2,k,k], empty where there are none."""
    shaped = (w0.view(0, 0), w1.view(0, 0)) if not w0.numel() else (w0, w1)
    return tuple(
        each.detach().contiguous().numpy() for each in (*shaped, kernel[0] if kernel.numel() else kernel.view(0, 0, 0))
    )


class _MembraneScan(torch.autograd.Function):
    """One node in torch's graph for all steps of attention and neurons."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v0: Tensor, neuron: Neuron, gates: tuple[float, bool], *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        current, before = rows(x.detach()), rows(v0.detach())
        spikes, v, number = torch.empty_like(current), before.clone(), real(x.dtype)
        settings = (constants_of(x, neuron), _arrays(*weights), number(gates[0]), least(x, gates[1]), cpu.one(x.dtype))
        arrays, size = (array(current), array(v), array(spikes)), tuple(x.shape[-2:])
        split(lambda a, b: membrane_loops.forward(*arrays, size, *settings, a, b), current.shape[1], current.numel(), 1)
        ctx.save_for_backward(current, before, *weights)
        ctx.shapes, ctx.neuron, ctx.settings = (x.shape, v0.shape), neuron, settings
        return maps(spikes, x.shape), maps(v, v0.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spikes: Tensor, grad_v: Tensor) -> tuple[Tensor | None, ...]:
        current, before, *weights = ctx.saved_tensors
        constants, arrays, *rest = ctx.settings
        grad_x, grad_v0, batch = torch.empty_like(current), rows(grad_v).clone(), current.shape[1]
        # Every sample's by itself and summed here, so that the threads' number does not change the sum.
        grads = tuple(torch.zeros(batch, *each.shape, dtype=before.dtype) for each in arrays)
        number = real(current.dtype)
        surrogate = (number(ctx.neuron.surrogate_scale), number(not ctx.neuron.detach_reset))
        settings = (constants, (*surrogate, surrogate_number(ctx.neuron.surrogate)))
        given = [array(each) for each in (rows(grad_spikes), current, before, grad_v0, grad_x)]
        by_weight, size = tuple(each.numpy() for each in grads), tuple(ctx.shapes[0][-2:])
        split(
            lambda a, b: membrane_loops.backward(*given, by_weight, size, settings, arrays, *rest, a, b),
            batch,
            current.numel(),
            1,
        )
        summed = [grad.sum(0).view(weight.shape) if weight.numel() else None for grad, weight in zip(grads, weights)]
        return maps(grad_x, ctx.shapes[0]), maps(grad_v0, ctx.shapes[1]), None, None, *summed
