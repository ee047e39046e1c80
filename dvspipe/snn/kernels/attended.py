"""Neurons whose current attention re-weights for a whole clip, on the CPU: three reads and one write of memory forward.

TA and CA need mean and maximum of every plane (first read), SA those of every pixel of the scaled current (second); the
third read weighs, rectifies and fires in one go, so that no re-weighted current is ever written. Gates are made from the
few statistics by the attention's own modules, in full precision, and torch differentiates those. Backward reads the
current again for what it did not keep. Knows gates, threads and torch's graph; the arithmetic is in `attended_loops.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from dvspipe.snn.attention.constant import ConstantAttention
from dvspipe.snn.attention.gate import gate
from dvspipe.snn.attention.released import ReleasedAttention
from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.kernels import attended_loops, cpu
from dvspipe.snn.kernels.constants import constants_of, real
from dvspipe.snn.kernels.feature_rows import array, least, maps
from dvspipe.snn.kernels.feature_rows import rows as as_rows
from dvspipe.snn.kernels.scan import starting_potential
from dvspipe.snn.kernels.threads import split
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import Neuron, membrane_dtype
from dvspipe.snn.surrogates import surrogate_number

PARTS, PIXELS = 8, 64  # a sample is worked on in at most so many parts, each of so many pixels at least


def takes(x: Tensor, lif: LIF, attention: Attention | None) -> bool:
    """Whether this kernel runs the current `x`: on the CPU, constant neurons, attention on the current alone, its weights in
    the membrane's precision. Under `torch.compile` the plain operators serve, which its compiler fuses itself.
    """
    return (
        isinstance(attention, ReleasedAttention | ConstantAttention)
        and x.device.type == "cpu"
        and x.ndim in (3, 5)
        and x.numel() > 0
        and cpu.takes(x)
        and lif.constant
        and all(weight.dtype == membrane_dtype(x) for weight in attention.parameters())
        and not attention._forward_hooks
        and not torch.compiler.is_compiling()
    )


def attended_scan(x: Tensor, v0: Tensor | None, lif: LIF, attention: Attention) -> tuple[Tensor, Tensor]:
    """`lif(attention(x), v0)` for what it `takes`: current [T,B,C,H,W] or [T,B,F] and potential [B,...] (None: at rest)
    -> (spikes in `x`'s dtype, last potential), feature maps channels_last. Equal up to the order of sums, and to the
    rounding of the re-weighted current, which is never rounded to half precision here.

    Gradients flow to `x`, `v0` and the attention's weights, once: differentiating twice raises torch's RuntimeError.
    """
    v, weights = starting_potential(x, v0), tuple(attention.parameters())
    learns = torch.is_grad_enabled() and any(each.requires_grad for each in (x, v, *weights))
    spikes, last = _AttendedScan.apply(x, v, lif.neuron, attention, learns, *weights)
    return spikes, last


class _Gates:
    """TA's and CA's factors together `scale` [T,B,C] and SA's `place` [B,P], in the membrane's precision, with the small
    graphs that made them where there is something to learn; a factor that the attention lacks is 1.
    """

    def __init__(self, attention: Attention, rows: Tensor, shape: torch.Size, learns: bool) -> None:
        steps, batch, pixels, channels = rows.shape
        self.dtype, self.learns = membrane_dtype(rows), learns
        self.planes: tuple[Tensor, ...] = ()  # mean and maximum, then which pixel it was
        self.pixels: tuple[Tensor, ...] = ()
        self.made: tuple[Tensor | None, Tensor | None] = (None, None)
        one = attention.factor if isinstance(attention, ConstantAttention) else 1.0
        self.scale = torch.full((steps, batch, channels), one, dtype=self.dtype)
        self.place = torch.ones(batch, pixels, dtype=self.dtype)
        # Whoever checkpoints the layer is not to let go of the small graphs: they would be made again for each of them.
        kept = torch.autograd.graph.saved_tensors_hooks(_without_graph, _itself)
        with torch.set_grad_enabled(learns), torch.autocast("cpu", enabled=False), kept:
            if isinstance(attention, ReleasedAttention):
                self._make(attention, rows, shape)

    def _make(self, attention: ReleasedAttention, rows: Tensor, shape: torch.Size) -> None:
        scale = place = None
        if attention.time is not None or attention.channel is not None:
            self.planes = _plane_statistics(rows)
            scale = attention.scale(*(self._leaf(each) for each in self.planes[:2]))
            self.scale = scale.detach().expand(self.scale.shape).contiguous()
        if attention.space is not None:
            self.pixels = _pixel_statistics(rows, self.scale)
            maps = (self._leaf(each).view(len(self.place), *shape[3:]) for each in self.pixels[:2])
            place = gate(attention.space(*maps), attention.gain)
            self.place = place.detach().flatten(1).contiguous()
        self.made = (scale, place)

    def _leaf(self, statistics: Tensor) -> Tensor:
        return statistics.requires_grad_(self.learns)


def _without_graph(kept: Tensor) -> Tensor:
    """Else a result that is kept by the very operation that made it, and knows it, would never be freed."""
    return kept.detach()


def _itself(kept: Tensor) -> Tensor:
    return kept


def _plane_statistics(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, maximum and the maximum's pixel [T,B,C] of rows [T,B,P,C]."""
    steps, batch, pixels, channels = rows.shape
    mean = torch.empty(steps, batch, channels, dtype=membrane_dtype(rows))
    found = (mean, torch.empty_like(mean), torch.empty(mean.shape, dtype=torch.int32))
    arrays = [_flat(each, steps * batch, channels) for each in found]
    x = array(rows).reshape(steps * batch, pixels, channels)
    split(lambda a, b: attended_loops.plane_statistics(x, *arrays, a, b), len(x), rows.numel(), 1)
    return found


def _pixel_statistics(rows: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, maximum and the maximum's t·C + c [B,P] of the scaled rows [T,B,P,C] over T and C."""
    mean = torch.empty(rows.shape[1:3], dtype=scale.dtype)
    found = (mean, torch.empty_like(mean), torch.empty(mean.shape, dtype=torch.int32))
    arrays, parts = [each.numpy() for each in found], _parts(rows)
    x, factors = array(rows), scale.numpy()
    _by_unit(rows, lambda a, b: attended_loops.pixel_statistics(x, factors, *arrays, parts, a, b))
    return found


def _parts(rows: Tensor) -> int:
    """How many units a sample is: by its size alone, so that the threads' number changes no sum."""
    return max(1, min(PARTS, rows.shape[2] // PIXELS))


def _by_unit(rows: Tensor, work: Any) -> None:
    split(work, rows.shape[1] * _parts(rows), rows.numel(), 1)


def _flat(x: Tensor, *shape: int) -> NDArray[Any]:
    return x.detach().numpy().reshape(shape)


class _AttendedScan(torch.autograd.Function):
    """One node in torch's graph for attention and neurons."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v0: Tensor, neuron: Neuron, attention: Attention, learns: bool, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        rows, membrane = as_rows(x.detach()), as_rows(v0.detach())
        gates = _Gates(attention, rows, x.shape, learns)
        spikes, v = torch.empty_like(rows), membrane.clone()
        arrays = [array(each) for each in (rows, gates.scale, gates.place, v, spikes)]
        settings = (least(x, attention.relu), constants_of(x, neuron), cpu.one(x.dtype), _parts(rows))
        _by_unit(rows, lambda a, b: attended_loops.forward(*arrays, *settings, a, b))
        if learns:
            ctx.save_for_backward(rows, membrane, *weights)
            ctx.shapes, ctx.gates, ctx.neuron, ctx.lowest = (x.shape, v0.shape), gates, neuron, settings[0]
        return maps(spikes, x.shape), maps(v, v0.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spikes: Tensor, grad_v: Tensor) -> tuple[Tensor | None, ...]:
        rows, membrane, *weights = ctx.saved_tensors
        back = _Backward(rows, ctx.gates)
        grad_v0 = back.through_neurons(as_rows(grad_spikes), as_rows(grad_v).clone(), membrane, ctx.neuron, ctx.lowest)
        grad_weights = back.through_gates(weights)
        return maps(back.grad_x, ctx.shapes[0]), maps(grad_v0, ctx.shapes[1]), None, None, None, *grad_weights


class _Backward:
    """The way back through one call: first the neurons, then the gates and the statistics they were made from."""

    def __init__(self, rows: Tensor, gates: _Gates) -> None:
        self.rows, self.gates, self.parts = rows, gates, _parts(rows)
        self.grad_x, self.grad_place = torch.empty_like(rows), torch.empty_like(gates.place)
        # Summed over its parts in the end, so that no two threads write to one place.
        self.grad_scale = torch.zeros(self.parts, *gates.scale.shape, dtype=gates.dtype)

    def through_neurons(
        self, grad_spikes: Tensor, grad_v: Tensor, membrane: Tensor, neuron: Neuron, lowest: Any
    ) -> Tensor:
        """Fills the gradients of current, scale and place; returns that of the potential before the first step."""
        gates, number = self.gates, real(self.rows.dtype)
        factors = (gates.scale.numpy(), gates.place.numpy())
        inputs = (array(grad_spikes), array(self.rows), factors, membrane.numpy(), grad_v.numpy())
        grads = (array(self.grad_x), self.grad_scale.numpy(), self.grad_place.numpy())
        surrogate = number(neuron.surrogate_scale), number(not neuron.detach_reset), surrogate_number(neuron.surrogate)
        settings = (constants_of(self.rows, neuron), surrogate)
        _by_unit(self.rows, lambda a, b: attended_loops.backward(*inputs, grads, lowest, settings, self.parts, a, b))
        return grad_v

    def through_gates(self, weights: Sequence[Tensor]) -> list[Tensor | None]:
        """The gradients of the attention's weights; what comes through the statistics is added to the current's."""
        gates, (scale, place) = self.gates, self.gates.made
        found: list[Tensor | None] = [None] * len(weights)
        by_pixel, by_plane = (torch.zeros_like(gates.place),) * 2, torch.zeros_like(gates.scale)
        if place is not None:
            mean, largest, *found = _grads(place, self.grad_place, gates.pixels, weights)
            by_pixel = (mean / (len(self.rows) * self.rows.shape[3]), largest)
            self._pixels_to_scale(by_pixel)
        if scale is not None:
            mean, largest, *more = _grads(scale, self.grad_scale.sum(0), gates.planes, weights)
            by_plane = mean / self.rows.shape[2]
            found = [here if each is None else each for each, here in zip(found, more)]
            self._plane_maxima(largest)
        if place is not None or scale is not None:
            self._statistics(by_pixel, by_plane)
        return found

    def _pixels_to_scale(self, by_pixel: tuple[Tensor, ...]) -> None:
        """What the statistics of pixels say to the scale."""
        arrays = (array(self.rows), self.gates.pixels[2].numpy(), *(each.numpy() for each in by_pixel))
        grad_scale, parts = self.grad_scale.numpy(), self.parts
        _by_unit(self.rows, lambda a, b: attended_loops.through_pixel_statistics(*arrays, grad_scale, parts, a, b))

    def _plane_maxima(self, largest: Tensor) -> None:
        steps, batch, pixels, channels = self.rows.shape
        where, values = (_flat(each, steps * batch, channels) for each in (self.gates.planes[2], largest.contiguous()))
        attended_loops.through_plane_maxima(array(self.grad_x).reshape(-1, pixels, channels), where, values)

    def _statistics(self, by_pixel: tuple[Tensor, ...], by_plane: Tensor) -> None:
        """What all other statistics say to the current, in one pass over its gradient."""
        pixels = tuple(each.numpy() for each in by_pixel)
        where = self.gates.pixels[2] if self.gates.pixels else torch.zeros(pixels[0].shape, dtype=torch.int32)
        arrays = (array(self.grad_x), self.gates.scale.numpy(), pixels, by_plane.contiguous().numpy(), where.numpy())
        _by_unit(self.rows, lambda a, b: attended_loops.through_statistics(*arrays, self.parts, a, b))


def _grads(
    made: Tensor, grad: Tensor, statistics: tuple[Tensor, ...], weights: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Gradients of the mean and maximum that a gate was made from, and of all weights (None: it has no part in it)."""
    learned = [each for each in weights if each.requires_grad]
    grad = grad.sum_to_size(made.shape) if grad.ndim == made.ndim else grad.view(made.shape)
    # The graph is kept, for somebody may go back twice; it dies with the node.
    found = torch.autograd.grad(made, [*statistics[:2], *learned], grad, retain_graph=True, allow_unused=True)
    by_weight = dict(zip(map(id, learned), found[2:]))
    return (*found[:2], *(by_weight.get(id(each)) for each in weights))
