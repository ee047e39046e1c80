"""The layers of Att-VGG: attention between convolution and batch norm, and a hidden layer without batch norm.

conv3x3 -> attention -> batch norm -> LIF -> (max-pool of the spikes)        ridgerchu/SNN_Attention_VGG,
adaptive average pool -> linear map -> LIF                                   activation_based/model/spiking_vgg.py
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.over_time import POOLED, Probe, attend, check_live, each_frame, report
from dvspipe.snn.layers.parts import Part
from dvspipe.snn.layers.spiking import LayerState


class AttendedConv(nn.Module):
    """Convolution 3x3 with bias, keeping the size (H,W) of its input; `pool` > 1 takes the maximum of spikes.

    The probe hears the neurons' spikes and, as "pooled", what is left of them: fewer but denser, up to pool² times.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        size: tuple[int, int],
        pool: int,
        kit: Kit,
    ) -> None:
        super().__init__()
        self.size, self.out_size = size, (size[0] // pool, size[1] // pool)
        attention = kit.gate(channels[1])  # first, as in `ConvLayer`
        self.conv = nn.Conv2d(*channels, 3, padding=1)
        self.attention = attention
        self.norm = kit.norm2d(channels[1])
        self.lif = kit.lif()
        self.pool = nn.MaxPool2d(pool) if pool > 1 else nn.Identity()
        _start(self.conv, std=math.sqrt(2 / (9 * channels[1])))  # Kaiming, fan out

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return bool(self.lif.live) and (self.attention is None or self.attention.live)

    def forward(self, x: Tensor, state: LayerState | None, probe: Probe | None = None) -> tuple[Tensor, LayerState]:
        """[T,B,C,H,W] -> (spikes [T,B,C',H',W'], state)."""
        current, memory = attend(self.attention, each_frame(self.conv, x), state.memory if state else ())
        spikes, v = self.lif(each_frame(self.norm, current), state.v if state else None)
        return self._pass_on(spikes, probe), LayerState(v, memory)

    def step(self, x: Tensor, state: LayerState | None, probe: Probe | None = None) -> tuple[Tensor, LayerState]:
        """[B,C,H,W] -> (spikes [B,C',H',W'], state). Raises `UsageError` unless `live`."""
        check_live(self.attention)
        current, memory = attend(self.attention, self.conv(x), state.memory if state else ())
        spikes, v = self.lif.step(self.norm(current), state.v if state else None)
        return self._pass_on(spikes, probe), LayerState(v, memory)

    def _pass_on(self, spikes: Tensor, probe: Probe | None) -> Tensor:
        report(probe, "", spikes)
        if isinstance(self.pool, nn.Identity):
            return spikes
        pooled = each_frame(self.pool, spikes)
        report(probe, POOLED, pooled)
        return pooled

    def parts(self) -> list[Part]:
        """One; kept are batch norm's input, the current, the spikes and, of pooling, its result and 64-bit indices."""
        channels, pixels = self.conv.out_channels, self.size[0] * self.size[1]
        neurons = channels * pixels
        pooled = 0 if isinstance(self.pool, nn.Identity) else channels * self.out_size[0] * self.out_size[1]
        macs, kept = self.conv.weight.numel() * pixels, 3 * neurons + pooled
        leaving, attended = POOLED if pooled else "", (channels, *self.size)
        gate, places = self.attention, pooled
        bits = neurons + pooled
        return [
            Part(
                "conv", (self,), neurons, macs, neurons, kept, gate, attended, leaving=leaving, places=places, bits=bits
            )
        ]


class HiddenLayer(nn.Module):
    """Feature maps -> average over a `grid` of (H,W) cells -> linear map with bias -> neurons, without batch norm."""

    def __init__(self, channels: int, grid: tuple[int, int], features: int, kit: Kit) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.linear = nn.Linear(channels * grid[0] * grid[1], features)
        self.lif = kit.lif()
        _start(self.linear, std=0.01)

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return bool(self.lif.live)

    def forward(self, x: Tensor, state: Tensor | None, probe: Probe | None = None) -> tuple[Tensor, Tensor]:
        """Spikes [T,B,C,H,W] -> (spikes [T,B,F], potential [B,F])."""
        current = self.linear(each_frame(self.pool, x).flatten(2))
        spikes, v = self.lif(current, state)
        report(probe, "", spikes)
        return spikes, v

    def step(self, x: Tensor, state: Tensor | None, probe: Probe | None = None) -> tuple[Tensor, Tensor]:
        """[B,C,H,W] -> (spikes [B,F], potential [B,F])."""
        spikes, v = self.lif.step(self.linear(self.pool(x).flatten(1)), state)
        report(probe, "", spikes)
        return spikes, v

    def parts(self) -> list[Part]:
        """One; kept are the pooled maps, the current and the spikes."""
        neurons, inputs = self.linear.out_features, self.linear.in_features
        return [Part("fc", (self,), neurons, self.linear.weight.numel(), inputs, inputs + 2 * neurons)]


def _start(weights: nn.Conv2d | nn.Linear, std: float) -> None:
    """Normal weights and no bias, as the released code starts."""
    if not weights.weight.is_meta:  # there is nothing to draw, and asking for it imports half of torch, seconds
        nn.init.normal_(weights.weight, 0.0, std)
        nn.init.zeros_(weights.bias)
