"""Att-VGG-SNN: VGGs with attention before batch norm, for images (ridgerchu/SNN_Attention_VGG; ma-snn.md §2.5)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from dvspipe.errors import UsageError
from dvspipe.snn.attention import build_attention
from dvspipe.snn.layers.attended import AttendedConv, HiddenLayer
from dvspipe.snn.layers.logits import Logits
from dvspipe.snn.networks.network import Layer, Network
from dvspipe.snn.neurons import Neuron, make_neuron

GRID = (8, 8)
HIDDEN = 1024
DROPOUT = 0.5


class AttVgg(Network):
    """Convolutions of `CHANNELS`, the spikes max-pooled by 2 after number `POOL_AFTER`, averaged to 8x8, a hidden layer
    of 1024, scores [T,B,K] that do not spike.

    `size` (H,W) of a frame is free: 32x32 as published, or an ImageNet crop. `width` scales channels and hidden
    layer. `attention` and the settings from `placement` on are `build_attention`'s; published is CSA with c_ratio 16.
    The hidden layer has none. The released VGG-7 gives its head 512 channels where it has 128 and cannot run; here
    the head takes what there is. Raises `UsageError` for settings that do not fit.
    """

    CHANNELS: ClassVar[tuple[int, ...]]
    POOL_AFTER: ClassVar[int]

    def __init__(
        self,
        *,
        classes: int,
        steps: int,
        attention: str = "none",
        neuron: str | Neuron = "spikingjelly",
        size: tuple[int, int] = (32, 32),
        in_channels: int = 3,
        width: float = 1.0,
        placement: str = "released",
        c_ratio: int = 16,
        t_ratio: int = 5,
        gate_gain: float = 1.0,
        relu: bool | None = None,
        gate_start: str = "random",
        attention_bins: int = 8,
    ) -> None:
        if classes < 1 or steps < 1 or in_channels < 1 or min(size) < 2 or not width > 0:
            raise UsageError(
                f"{classes=}, {steps=}, {in_channels=}, {size=}, {width=}: positive, and at least 2x2 pixels"
            )
        kind, here = make_neuron(neuron), (int(size[0]), int(size[1]))
        slot = partial(
            build_attention,
            attention,
            placement=placement,
            steps=steps,
            c_ratio=c_ratio,
            t_ratio=t_ratio,
            gate_gain=gate_gain,
            relu=relu,
            gate_start=gate_start,
            attention_bins=attention_bins,
        )
        layers: dict[str, Layer] = {}
        before = in_channels
        for number, count in enumerate(self.CHANNELS, start=1):
            after, pool = max(1, round(count * width)), 2 if number == self.POOL_AFTER else 1
            conv = AttendedConv((before, after), here, pool, kind, slot(channels=after))
            layers[f"conv{number}"], before, here = conv, after, conv.out_size
        hidden = max(1, round(HIDDEN * width))
        layers["fc1"] = HiddenLayer(before, GRID, hidden, kind)
        layers["out"] = Logits(hidden, classes, DROPOUT)
        super().__init__(layers, (in_channels, int(size[0]), int(size[1])))


class AttVgg7(AttVgg):
    """64-64, pool, 128-128-128."""

    CHANNELS = (64, 64, 128, 128, 128)
    POOL_AFTER = 2


class AttVgg11(AttVgg):
    """64-128-256-256, pool, 512-512-512-512."""

    CHANNELS = (64, 128, 256, 256, 512, 512, 512, 512)
    POOL_AFTER = 4
