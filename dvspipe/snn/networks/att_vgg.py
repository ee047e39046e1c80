"""Att-VGG-SNN: VGGs with attention before batch norm, for images (ridgerchu/SNN_Attention_VGG; ma-snn.md §2.5)."""

from __future__ import annotations

from typing import Any, ClassVar

from dvspipe.errors import UsageError
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.attended import AttendedConv, HiddenLayer
from dvspipe.snn.layers.logits import read_out
from dvspipe.snn.networks.network import Layer, Network, check_positive

GRID = (8, 8)
HIDDEN = 1024
DROPOUT = 0.5


class AttVgg(Network):
    """Convolutions of `CHANNELS`, the spikes max-pooled by 2 after number `POOL_AFTER`, averaged to 8x8, a hidden layer
    of 1024, scores [T,B,K] that do not spike.

    `size` (H,W) of a frame is free: 32x32 as published, or an ImageNet crop. `width` scales channels and hidden
    layer. Published is attention CSA with c_ratio 16.
    The hidden layer has none. The released VGG-7 gives its head 512 channels where it has 128 and cannot run; here
    the head takes what there is. Raises `UsageError` for settings that do not fit.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {"neuron": "spikingjelly", "c_ratio": 16}
    CHANNELS: ClassVar[tuple[int, ...]]
    POOL_AFTER: ClassVar[int]

    def __init__(
        self,
        kit: Kit,
        *,
        classes: int,
        size: tuple[int, int] = (32, 32),
        in_channels: int = 3,
        width: float = 1.0,
    ) -> None:
        check_positive(classes=classes, in_channels=in_channels, width=width)
        here = (int(size[0]), int(size[1]))
        if min(here) < 2:
            raise UsageError(f"size (H,W) = {here}: at least 2x2 pixels")
        layers: dict[str, Layer] = {}
        before = in_channels
        for number, count in enumerate(self.CHANNELS, start=1):
            after, pool = max(1, round(count * width)), 2 if number == self.POOL_AFTER else 1
            conv = AttendedConv((before, after), here, pool, kit)
            layers[f"conv{number}"], before, here = conv, after, conv.out_size
        hidden = max(1, round(HIDDEN * width))
        layers["fc1"] = HiddenLayer(before, GRID, hidden, kit)
        super().__init__(layers | read_out(kit, hidden, classes, DROPOUT), (in_channels, int(size[0]), int(size[1])))


class AttVgg7(AttVgg):
    """64-64, pool, 128-128-128."""

    CHANNELS = (64, 64, 128, 128, 128)
    POOL_AFTER = 2


class AttVgg11(AttVgg):
    """64-128-256-256, pool, 512-512-512-512."""

    CHANNELS = (64, 128, 256, 256, 512, 512, 512, 512)
    POOL_AFTER = 4
