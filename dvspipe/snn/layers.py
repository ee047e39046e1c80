"""The two layers of the event networks: convolution and full connection, each batch-normalised, attended and spiking.

Order inside (BICLab/Attention-SNN): weights -> batch norm -> (average pool) -> attention -> neuron; where the
placement says so, attention acts inside the neuron too, between integration and threshold. Everything but attention
and neuron runs on the flattened T·B axis, so that convolutions see one large batch and batch norm shares its
statistics over time.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from dvspipe.errors import UsageError
from dvspipe.snn.attention.slot import Attention, Memory
from dvspipe.snn.lif import LIF, Membrane
from dvspipe.snn.neurons import Neuron


class LayerState(NamedTuple):
    """What a layer carries from one step to the next: its neurons' potential [B,...] and its attention's memory, if
    any.
    """

    v: Tensor
    memory: Memory = ()


class Spiking(nn.Module):
    """Current -> spikes: attention on the current and, in some placements, on the membrane; then the neurons fire."""

    def __init__(self, neuron: Neuron, attention: Attention | None) -> None:
        super().__init__()
        self.attention = attention
        self.lif = LIF(neuron)

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return self.attention is None or self.attention.live

    def forward(self, current: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """Current [T,B,...] -> (spikes [T,B,...], state after the last step)."""
        current, memory = self._weigh(current, state)
        spikes, v = self.lif(current, state.v if state else None, self._membrane())
        return spikes, LayerState(v, memory)

    def step(self, current: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """Current [B,...] of one step -> (spikes [B,...], state). Raises `UsageError` unless `live`."""
        if self.attention is not None and not self.attention.live:
            raise UsageError(
                f"attention placement '{self.attention.placement}' weighs a whole clip at once here and cannot run one "
                "step at a time: call the network on a sliding clip [T,B,C,H,W], or build it with placement 'causal'"
            )
        weighed, memory = self._weigh(current[None], state)
        spikes, v = self.lif.step(weighed[0], state.v if state else None, self._membrane())
        return spikes, LayerState(v, memory)

    def _weigh(self, current: Tensor, state: LayerState | None) -> tuple[Tensor, Memory]:
        memory = state.memory if state else ()
        return (current, memory) if self.attention is None else self.attention.weigh(current, memory)

    def _membrane(self) -> Membrane | None:
        attention = self.attention
        return attention.membrane if attention is not None and attention.on_membrane else None


class ConvLayer(nn.Module):
    """Convolution 3x3 with bias, keeping the size, then average pooling by `pool`; `size` is (H,W) of its input."""

    def __init__(
        self,
        channels: tuple[int, int],
        size: tuple[int, int],
        pool: int,
        neuron: Neuron,
        attention: Attention | None,
    ) -> None:
        super().__init__()
        self.size, self.out_size = size, (size[0] // pool, size[1] // pool)
        self.conv = nn.Conv2d(*channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels[1])
        self.pool = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        self.spiking = Spiking(neuron, attention)

    @property
    def neurons(self) -> int:
        return self.conv.out_channels * self.out_size[0] * self.out_size[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates per frame at full density, at the size before pooling."""
        return self.conv.weight.numel() * self.size[0] * self.size[1]

    def current(self, x: Tensor) -> Tensor:
        """[N,C,H,W] -> [N,C',H',W'], in the memory format of `x`."""
        pooled: Tensor = self.pool(self.norm(self.conv(x)))
        return pooled

    def forward(self, x: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """[T,B,C,H,W] -> (spikes [T,B,C',H',W'], state)."""
        fired: tuple[Tensor, LayerState] = self.spiking(self.current(x.flatten(0, 1)).unflatten(0, x.shape[:2]), state)
        return fired

    def step(self, x: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """[B,C,H,W] -> (spikes [B,C',H',W'], state)."""
        return self.spiking.step(self.current(x), state)


class FullLayer(nn.Module):
    """Linear map with bias over everything but time and batch."""

    def __init__(self, features: tuple[int, int], neuron: Neuron, attention: Attention | None) -> None:
        super().__init__()
        self.linear = nn.Linear(*features)
        self.norm = nn.BatchNorm1d(features[1])
        self.spiking = Spiking(neuron, attention)

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

    def forward(self, x: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """[T,B,...] -> (spikes [T,B,F], state)."""
        fired: tuple[Tensor, LayerState] = self.spiking(self.current(x.flatten(0, 1)).unflatten(0, x.shape[:2]), state)
        return fired

    def step(self, x: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """[B,...] -> (spikes [B,F], state)."""
        return self.spiking.step(self.current(x), state)
