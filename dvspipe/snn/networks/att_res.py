"""Att-Res-SNN: the MS-ResNets of MA-SNN for images (BICLab/Attention-SNN, Att_Res_SNN/models/resnet_2.py; ma-snn.md §6).

With attention "none" they are the plain MS-ResNets.
"""

from __future__ import annotations

from typing import Any, ClassVar

from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.logits import read_out
from dvspipe.snn.layers.residual import NeuronLayer, ResidualBlock
from dvspipe.snn.layers.row import Row
from dvspipe.snn.layers.stem import Stem, entering, half
from dvspipe.snn.networks.network import Layer, Network, check_positive

CHANNELS = (64, 128, 256, 512)
DROPOUT = 0.2


class AttRes(Network):
    """Stem, four stages of `BLOCKS` residual blocks, each stage at half the size of the one before, neurons, scores.

    `kit` has T of a clip or of an image's repetitions, neuron and attention; `size` (H,W) of a frame, `width` scales the
    channels, `block` says where attention acts (`ResidualBlock`). The scores [T,B,K] do not spike; their mean over T is
    the published read-out. Attention other than TA has no parameter that depends on T: weights of T = 1 load into any T.
    In placements `paper` and `causal` CA and SA weigh every step of the branch by itself, so that such a network runs
    live. Raises `UsageError` for settings that do not fit.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {"neuron": "ms-resnet"}
    HAS_STEM = True
    BLOCKS: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        kit: Kit,
        *,
        classes: int,
        size: tuple[int, int] = (224, 224),
        in_channels: int = 3,
        width: float = 1.0,
        block: str = "branch",
    ) -> None:
        check_positive(classes=classes, in_channels=in_channels, size=min(size), width=width)
        channels = [max(1, round(count * width)) for count in CHANNELS]
        shape, start = (in_channels, int(size[0]), int(size[1])), kit.threshold_gamma
        layers: dict[str, Layer] = entering(
            lambda kit: Stem((in_channels, channels[0]), shape[1:], kit, kernel=7, stride=2, gamma=start), kit
        )
        before, here = channels[0], half(shape[1:])
        for number, (after, count) in enumerate(zip(channels, self.BLOCKS), start=1):
            blocks: dict[str, Layer] = {}
            for index in range(count):
                made = ResidualBlock((before, after), here, 1 if index else 2, kit, block)
                blocks[str(index)], before, here = made, after, made.out_size
            layers[f"stage{number}"] = Row(blocks)
        layers["lif"] = NeuronLayer((before, *here), kit)
        super().__init__(layers | read_out(kit, before, classes, DROPOUT), shape)


class AttRes18(AttRes):
    """11,867,960 parameters with CSA at c_ratio 8, T = 1 and 1000 classes; 11,693,736 without attention."""

    BLOCKS = (2, 2, 2, 2)


class AttRes34(AttRes):
    """22,116,552 parameters with CSA as above; 21,801,896 without attention."""

    BLOCKS = (3, 4, 6, 3)


class AttRes104(AttRes):
    """78,369,598 parameters with CSA as above; 77,284,264 without attention. Basic blocks here too."""

    BLOCKS = (3, 8, 32, 8)
