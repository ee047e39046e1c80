"""The two layers of the event networks: convolution and full connection, each batch-normalised, attended and spiking.

Order inside (BICLab/Attention-SNN): weights -> batch norm -> (average pool) -> attention -> neuron; where the
placement says so, attention acts inside the neuron too, between integration and threshold. After the neuron may come
what Fang et al. (ICCV 2021) make of spikes: the maximum of a window, or votes. Everything but attention and neuron
runs on the flattened T·B axis, so that convolutions see one large batch and batch norm shares its statistics over time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvspipe.snn.attention.slot import Attention, Memory
from dvspipe.snn.kernels import attended, gated, membrane
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.mean_pool import MeanPool2d
from dvspipe.snn.layers.over_time import POOLED, Probe, check_live, report
from dvspipe.snn.layers.parts import Part
from dvspipe.snn.lif import LIF, Membrane


class LayerState(NamedTuple):
    """What a layer carries from one step to the next: its neurons' potential [B,...] and its attention's memory, if
    any.
    """

    v: Tensor
    memory: Memory = ()


class Spiking(nn.Module):
    """Current -> spikes: attention on the current and, in some placements, on the membrane; then the neurons fire."""

    def __init__(self, lif: LIF, attention: Attention | None) -> None:
        super().__init__()
        self.attention = attention
        self.lif = lif

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return bool(self.lif.live) and (self.attention is None or self.attention.live)

    def forward(self, current: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """Current [T,B,...] -> (spikes [T,B,...], state after the last step)."""
        v, memory = (state.v, state.memory) if state else (None, ())
        if self.attention is not None and attended.takes(current, self.lif, self.attention):
            spikes, v = attended.attended_scan(current, v, self.lif, self.attention)
            return spikes, LayerState(v, memory)
        current, memory = self._weigh(current, state)
        if gated.takes(current, self.lif, self.attention):
            spikes, v = gated.gated_scan(current, v, self.lif, self.attention)
        elif membrane.takes(current, self.lif, self.attention):
            spikes, v = membrane.membrane_scan(current, v, self.lif, self.attention)
        else:
            spikes, v = self.lif(current, v, self._membrane())
        return spikes, LayerState(v, memory)

    def step(self, current: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """Current [B,...] of one step -> (spikes [B,...], state). Raises `UsageError` unless `live`."""
        check_live(self.attention)
        weighed, memory = self._weigh(current[None], state)
        v = state.v if state else None
        if gated.takes(weighed, self.lif, self.attention):
            fired, v = gated.gated_scan(weighed, v, self.lif, self.attention)
            return fired[0], LayerState(v, memory)
        spikes, v = self.lif.step(weighed[0], v, self._membrane())
        return spikes, LayerState(v, memory)

    def _weigh(self, current: Tensor, state: LayerState | None) -> tuple[Tensor, Memory]:
        memory = state.memory if state else ()
        return (current, memory) if self.attention is None else self.attention.weigh(current, memory)

    def _membrane(self) -> Membrane | None:
        attention = self.attention
        return attention.membrane if attention is not None and attention.on_membrane else None


class SpikingLayer(nn.Module):
    """A layer whose `spiking` neurons come last: spikes are what its probe hears under its own name, and what it gives,
    unless `leave` (maximum of a window, votes) makes something of those of each step first.
    """

    spiking: Spiking
    leave: nn.Module | None

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return self.spiking.live

    def current(self, x: Tensor) -> Tensor:
        """Input [N,...] of N independent steps -> current [N,...] before attention."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: LayerState | None, probe: Probe | None = None) -> tuple[Tensor, LayerState]:
        """[T,B,...] -> (spikes [T,B,...], state)."""
        current = self.current(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        spikes, after = self.spiking(current, state)
        return self._pass_on(spikes, probe, axes=2), after

    def step(self, x: Tensor, state: LayerState | None, probe: Probe | None = None) -> tuple[Tensor, LayerState]:
        """[B,...] -> (spikes [B,...], state)."""
        spikes, after = self.spiking.step(self.current(x), state)
        return self._pass_on(spikes, probe, axes=1), after

    def _pass_on(self, spikes: Tensor, probe: Probe | None, axes: int) -> Tensor:
        """`axes` are those of time and batch."""
        report(probe, "", spikes)
        if self.leave is None:
            return spikes
        left: Tensor = self.leave(spikes.flatten(0, axes - 1)).unflatten(0, spikes.shape[:axes])
        if isinstance(self.leave, nn.MaxPool2d):
            report(probe, POOLED, left)
        return left


class ConvLayer(SpikingLayer):
    """Convolution 3x3, keeping the size, then average pooling of the current by `pool`, or of the spikes the maximum by
    `max_pool`; `size` is (H,W) of its input, `out_size` of what it gives.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        size: tuple[int, int],
        pool: int,
        kit: Kit,
        *,
        max_pool: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        attention = kit.gate(channels[1])  # first, for the order of draws is part of what a seed means
        self.size, self.neuron_size = size, (size[0] // pool, size[1] // pool)
        self.out_size = (self.neuron_size[0] // max_pool, self.neuron_size[1] // max_pool)
        self.conv = nn.Conv2d(*channels, 3, padding=1, bias=bias)
        self.norm = kit.norm2d(channels[1])
        self.pool = MeanPool2d(pool) if pool > 1 else nn.Identity()
        self.spiking = Spiking(kit.lif(), attention)
        self.leave = nn.MaxPool2d(max_pool) if max_pool > 1 else None

    @property
    def neurons(self) -> int:
        return self.conv.out_channels * self.neuron_size[0] * self.neuron_size[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates per frame at full density, at the size before pooling."""
        return self.conv.weight.numel() * self.size[0] * self.size[1]

    def current(self, x: Tensor) -> Tensor:
        """[N,C,H,W] -> [N,C',H',W'], in the memory format of `x`."""
        pooled: Tensor = self.pool(self.norm(self.conv(x)))
        return pooled

    def parts(self) -> list[Part]:
        """One; kept are batch norm's input, the current, the spikes, and of maxima value and place."""
        channels, computed = self.conv.out_channels, self.conv.out_channels * self.size[0] * self.size[1]
        leaving = 0 if self.leave is None else channels * self.out_size[0] * self.out_size[1]
        kept, attended = computed + 2 * self.neurons + leaving, (channels, *self.neuron_size)
        attention = self.spiking.attention
        return [
            Part(
                "conv",
                (self,),
                self.neurons,
                self.macs,
                computed,
                kept,
                attention,
                attended,
                in_neurons=True,
                leaving=POOLED if self.leave is not None else "",
                places=leaving,
                bits=self.neurons + leaving,
            )
        ]


class Vote(nn.Module):
    """[N,K·count] -> [N,K]: the mean of `count` neighbouring neurons speaks for a class (Fang et al., ICCV 2021)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, spikes: Tensor) -> Tensor:
        return spikes.unflatten(1, (-1, self.count)).mean(2)


class FullLayer(SpikingLayer):
    """Linear map over everything but time and batch, with bias and batch norm unless it is `bare`.

    In training, `dropout` takes the same inputs away at all steps of a clip. With `votes` above 1, so many neurons
    in a row vote for one output.
    """

    def __init__(
        self,
        features: tuple[int, int],
        kit: Kit,
        *,
        bare: bool = False,
        dropout: float = 0.0,
        votes: int = 1,
    ) -> None:
        super().__init__()
        attention = kit.gate(features[1], spatial=False)  # first, as in `ConvLayer`
        self.linear = nn.Linear(*features, bias=not bare)
        self.norm = nn.Identity() if bare else kit.norm1d(features[1])
        self.spiking = Spiking(kit.lif(), attention)
        self.dropout = dropout
        self.leave = Vote(votes) if votes > 1 else None

    @property
    def neurons(self) -> int:
        return self.linear.out_features

    @property
    def macs(self) -> int:
        """Multiply-accumulates per frame at full density."""
        return self.linear.weight.numel()

    def current(self, x: Tensor) -> Tensor:
        """[N,...] -> [N,F]; the features are in C,H,W order whatever the memory format."""
        normed: Tensor = self.norm(self.linear(x.flatten(1)))
        return normed

    def forward(self, x: Tensor, state: LayerState | None, probe: Probe | None = None) -> tuple[Tensor, LayerState]:
        """[T,B,...] -> (spikes or votes [T,B,F], state)."""
        if self.training and self.dropout:
            x = x * F.dropout(torch.ones_like(x[0]), self.dropout)
        return super().forward(x, state, probe)

    def parts(self) -> list[Part]:
        """One; kept are batch norm's input, the current and the spikes, and what dropout leaves of those that come in."""
        kept, bits = (
            3 * self.neurons + (self.linear.in_features if self.dropout else 0),
            0 if self.leave else self.neurons,
        )
        neurons, attended = self.neurons, (self.neurons, 1, 1)
        attention = self.spiking.attention
        return [Part("fc", (self,), neurons, self.macs, neurons, kept, attention, attended, in_neurons=True, bits=bits)]
