"""Residual spiking networks for images: the MS-ResNets that GAC builds on, SEW-ResNets and plain spiking ResNets.

Those for CIFAR share one plan, so that comparing them compares blocks: the "ResNet-18" of bollossom/GAC,
CODE/CIFAR/models/MS_ResNet.py, with [3,3,2] blocks of 128, 256 and 512 channels. For ImageNet every family has its
published plan: MS-ResNets (CODE/ImageNet of the same repository; Ariande1/MS-ResNet for 104) do not pool and halve the
size in all four stages; SEW and plain ones (fangwei123456/Spike-Element-Wise-ResNet) are torchvision's, with a maximum
pool instead of the first stage's stride.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from torch import nn

from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.logits import read_out
from dvspipe.snn.layers.residual import NeuronLayer, ResidualBlock
from dvspipe.snn.layers.row import Row
from dvspipe.snn.layers.sew import SILENT_IDENTITY, PlainBlock, SewBlock, SpikePool
from dvspipe.snn.layers.stem import DeepStem, Size, Stem, entering, half
from dvspipe.snn.networks.network import Layer, Network, check_positive

MakeBlock = Callable[[tuple[int, int], Size, int, Kit], Any]


@dataclass(frozen=True)
class Plan:
    """`channels` of the stem and of every stage; of the stages the count of `blocks` and the `strides`. `size` (H,W) of
    the images it is for; of the stem `kernel` and `stride`, or three convolutions where it is `deep`, and whether spikes
    behind it `pool`.
    """

    size: Size
    kernel: int
    stride: int
    channels: tuple[int, ...]
    blocks: tuple[int, ...]
    strides: tuple[int, ...]
    deep: bool = False
    pool: bool = False

    def scaled(self, width: float) -> Plan:
        """With all channels times `width`, at least 1."""
        return replace(self, channels=tuple(max(1, round(count * width)) for count in self.channels))

    def entry(self, kit: Kit, shape: tuple[int, int, int], gamma: float = 1.0) -> tuple[dict[str, Layer], Size]:
        """Stem and what the kit puts behind it for frames of `shape` (C,H,W); (H,W) of what they give."""
        stem = DeepStem if self.deep else partial(Stem, kernel=self.kernel, stride=self.stride)
        channels, size = (shape[0], self.channels[0]), shape[1:]
        layers = entering(lambda kit: stem(channels, size, kit, gamma=gamma), kit)
        return layers, half(size) if self.stride == 2 else size

    def stages(self, kit: Kit, size: Size, make: MakeBlock) -> tuple[dict[str, Row], Size]:
        """One row of blocks per stage, for maps of `size`; (H,W) of what they give."""
        layers: dict[str, Row] = {}
        pairs = zip(self.channels, self.channels[1:])
        for number, (channels, count, stride) in enumerate(zip(pairs, self.blocks, self.strides, strict=True), start=1):
            blocks: dict[str, Layer] = {}
            for index in range(count):
                first = index == 0
                made = make(channels if first else (channels[1],) * 2, size, stride if first else 1, kit)
                blocks[str(index)], size = made, made.out_size
            layers[f"stage{number}"] = Row(blocks)
        return layers, size


CIFAR = Plan((32, 32), 3, 1, (64, 128, 256, 512), (3, 3, 2), (1, 2, 2))
IMAGENET_18 = Plan((224, 224), 7, 2, (64, 64, 128, 256, 512), (2, 2, 2, 2), (2, 2, 2, 2))
IMAGENET_34 = replace(IMAGENET_18, blocks=(3, 4, 6, 3))
IMAGENET_104 = replace(IMAGENET_18, blocks=(3, 8, 32, 8), deep=True)
POOLED_18 = replace(IMAGENET_18, strides=(1, 2, 2, 2), pool=True)
POOLED_34 = replace(IMAGENET_34, strides=(1, 2, 2, 2), pool=True)


class MsResNet(Network):
    """Membrane potential passes between the blocks: stem, stages, neurons, scores [T,B,K] that do not spike.

    `kit` has T of an image's code, neuron, norm, attention (on a block's branch before the sum) and what an encoder puts
    behind the stem; `size` (H,W) of an image (None: the plan's), `width` scales the channels. `GAMMA` is where norms
    start (None: the neurons' threshold), the last one of a block at `SECOND_GAMMA` of it; `FAN_OUT`, whether the
    convolutions start as Kaiming's fan-out mode has it and not as torch does; `POOLED`, how a shortcut gets to its
    size. Raises `UsageError` for settings that do not fit.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {"neuron": "ms-resnet"}
    HAS_STEM = True
    PLAN: ClassVar[Plan] = IMAGENET_18
    GAMMA: ClassVar[float | None] = None
    SECOND_GAMMA: ClassVar[float] = 0.0
    FAN_OUT: ClassVar[bool] = True
    POOLED: ClassVar[bool] = False
    DROPOUT: ClassVar[float] = 0.0

    def __init__(
        self, kit: Kit, *, classes: int, size: Size | None = None, in_channels: int = 3, width: float = 1.0
    ) -> None:
        plan, shape = _fitting(self.PLAN, classes, size, in_channels, width)
        gamma = kit.threshold_gamma if self.GAMMA is None else self.GAMMA
        block = partial(ResidualBlock, gamma=gamma, second_gamma=self.SECOND_GAMMA, pooled=self.POOLED)
        layers, here = plan.entry(kit, shape, gamma)
        stages, here = plan.stages(kit, here, block)
        end = {"lif": NeuronLayer((plan.channels[-1], *here), kit)}
        super().__init__(layers | stages | end | read_out(kit, plan.channels[-1], classes, self.DROPOUT), shape)
        if self.FAN_OUT:
            _start_fan_out(self)


class MsResNet18Cifar(MsResNet):
    """12,502,090 parameters with 10 classes; the neurons are GAC's of its code for CIFAR, with threshold 1."""

    DEFAULTS: ClassVar[dict[str, Any]] = {"neuron": "gac"}
    PLAN, GAMMA, SECOND_GAMMA, FAN_OUT = CIFAR, 1.0, 1.0, False


class MsResNet18(MsResNet):
    """11,693,736 parameters with 1000 classes; 11,824,824 with GAC at T = 4 and k = 4."""


class MsResNet34(MsResNet):
    """21,801,896 parameters with 1000 classes; 21,932,984 with GAC at T = 4 and k = 4."""

    PLAN = IMAGENET_34


class MsResNet104(MsResNet):
    """77,350,504 parameters with 1000 classes, as Ariande1/MS-ResNet: three convolutions in the stem, pooled shortcuts."""

    PLAN, FAN_OUT, POOLED, DROPOUT = IMAGENET_104, False, True, 0.2


class PlainResNet(Network):
    """Spikes pass between the blocks: neurons behind the stem and after every addition. Settings as those of `MsResNet`.

    What an encoder puts behind the stem takes the place of the first neurons. Attention acts on the current of a block's
    last neurons. On the plans for ImageNet a branch starts with its last norm at 0.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {"neuron": "spikingjelly"}
    HAS_STEM = True
    PLAN: ClassVar[Plan] = CIFAR

    def __init__(
        self, kit: Kit, *, classes: int, size: Size | None = None, in_channels: int = 3, width: float = 1.0
    ) -> None:
        plan, shape = _fitting(self.PLAN, classes, size, in_channels, width)
        block = partial(PlainBlock, second_gamma=0.0 if plan.pool else 1.0)
        super().__init__(_spiking(plan, kit, shape, block) | read_out(kit, plan.channels[-1], classes), shape)
        if plan.pool:
            _start_fan_out(self)


class ResNet18Cifar(PlainResNet):
    """12,502,090 parameters with 10 classes, those of `MsResNet18Cifar`."""


class ResNet18(PlainResNet):
    """11,689,512 parameters with 1000 classes, torchvision's."""

    PLAN = POOLED_18


class ResNet34(PlainResNet):
    """21,797,672 parameters with 1000 classes, torchvision's."""

    PLAN = POOLED_34


class SewResNet(Network):
    """Spikes of branch and shortcut meet in `connect`: ADD, AND or IAND (`SewBlock`). Else as `PlainResNet`.

    A branch starts with its last norm at 0 only where its silence makes a block the identity: not with AND.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {"neuron": "spikingjelly"}
    HAS_STEM = True
    PLAN: ClassVar[Plan] = CIFAR

    def __init__(
        self,
        kit: Kit,
        *,
        classes: int,
        size: Size | None = None,
        in_channels: int = 3,
        width: float = 1.0,
        connect: str = "ADD",
    ) -> None:
        plan, shape = _fitting(self.PLAN, classes, size, in_channels, width)
        silent = plan.pool and connect in SILENT_IDENTITY
        block = partial(SewBlock, connect=connect, second_gamma=0.0 if silent else 1.0)
        super().__init__(_spiking(plan, kit, shape, block) | read_out(kit, plan.channels[-1], classes), shape)
        if plan.pool:
            _start_fan_out(self)


class SewResNet18Cifar(SewResNet):
    """12,502,090 parameters with 10 classes, those of `MsResNet18Cifar`."""


class SewResNet18(SewResNet):
    """11,689,512 parameters with 1000 classes, torchvision's."""

    PLAN = POOLED_18


class SewResNet34(SewResNet):
    """21,797,672 parameters with 1000 classes, torchvision's."""

    PLAN = POOLED_34


def _fitting(
    plan: Plan, classes: int, size: Size | None, in_channels: int, width: float
) -> tuple[Plan, tuple[int, int, int]]:
    """The plan with channels scaled, and (C,H,W) of an image. Raises `UsageError` unless all are positive."""
    height, width_px = plan.size if size is None else size
    check_positive(classes=classes, in_channels=in_channels, size=min(height, width_px), width=width)
    return plan.scaled(width), (in_channels, int(height), int(width_px))


def _spiking(plan: Plan, kit: Kit, shape: tuple[int, int, int], block: MakeBlock) -> dict[str, Layer]:
    """Everything before the read-out of a network whose blocks pass on spikes."""
    layers, here = plan.entry(kit, shape)
    if kit.front is None:
        layers["lif"] = NeuronLayer((plan.channels[0], *here), kit)
    *_, entered = layers.values()
    real = entered.parts()[-1].real
    if plan.pool:
        layers["pool"] = SpikePool((plan.channels[0], *here), real)
        here = half(here)
    stages, _ = plan.stages(kit, here, block)
    for made in stages["stage1"].values():
        real = made.real = real and isinstance(made, SewBlock) and isinstance(made.shortcut, nn.Identity)
    return layers | stages


def _start_fan_out(module: nn.Module) -> None:
    """Every convolution outside attention, whose weights have a start of their own."""
    for child in module.children():
        if isinstance(child, Attention):
            continue
        if isinstance(child, nn.Conv2d) and not child.weight.is_meta:  # there is nothing to draw
            nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")
        _start_fan_out(child)
