"""Att-Res-SNN: the MS-ResNets of MA-SNN for images (BICLab/Attention-SNN, Att_Res_SNN/models/resnet_2.py; ma-snn.md §6).

With attention "none" they are the plain MS-ResNets.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from dvspipe.errors import UsageError
from dvspipe.snn.attention import build_attention
from dvspipe.snn.layers.logits import Logits
from dvspipe.snn.layers.residual import NeuronLayer, ResidualBlock, Stem
from dvspipe.snn.layers.row import Row
from dvspipe.snn.networks.network import Layer, Network
from dvspipe.snn.neurons import Neuron, make_neuron

CHANNELS = (64, 128, 256, 512)
DROPOUT = 0.2


class AttRes(Network):
    """Stem, four stages of `BLOCKS` residual blocks, each stage at half the size of the one before, neurons, scores.

    `steps` is T of a clip or of an image's repetitions, `size` (H,W) of a frame, `width` scales the channels, `block`
    says where attention acts (`ResidualBlock`). The scores [T,B,K] do not spike; their mean over T is the published
    read-out. Attention other than TA has no parameter that depends on T: weights of T = 1 load into any T.
    `attention` and the settings from `placement` on are `build_attention`'s; in placements `paper` and `causal` CA and
    SA weigh every step of the branch by itself, so that such a network runs live. Raises `UsageError` for
    settings that do not fit.
    """

    BLOCKS: ClassVar[tuple[int, ...]]

    def __init__(
        self,
        *,
        classes: int,
        steps: int,
        attention: str = "none",
        neuron: str | Neuron = "ms-resnet",
        size: tuple[int, int] = (224, 224),
        in_channels: int = 3,
        width: float = 1.0,
        block: str = "branch",
        placement: str = "released",
        c_ratio: int = 8,
        t_ratio: int = 5,
        gate_gain: float = 1.0,
        relu: bool | None = None,
        gate_start: str = "random",
        attention_bins: int = 8,
    ) -> None:
        if classes < 1 or steps < 1 or in_channels < 1 or min(size) < 1 or not width > 0:
            raise UsageError(f"{classes=}, {steps=}, {in_channels=}, {size=}, {width=}: all must be positive")
        channels = [max(1, round(count * width)) for count in CHANNELS]
        kind = make_neuron(neuron)
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
        stem = Stem((in_channels, channels[0]), (int(size[0]), int(size[1])), kind.v_th)
        layers: dict[str, Layer] = {"stem": stem}
        before, here = channels[0], stem.size
        for number, (after, count) in enumerate(zip(channels, self.BLOCKS), start=1):
            blocks: dict[str, Layer] = {}
            for index in range(count):
                made = ResidualBlock(
                    (before, after), here, 1 if index else 2, kind, slot(channels=after), acts_on=block
                )
                blocks[str(index)], before, here = made, after, made.out_size
            layers[f"stage{number}"] = Row(blocks)
        layers["lif"] = NeuronLayer((before, *here), kind)
        layers["out"] = Logits(before, classes, DROPOUT)
        super().__init__(layers, (in_channels, int(size[0]), int(size[1])))


class AttRes18(AttRes):
    """11,867,960 parameters with CSA at c_ratio 8, T = 1 and 1000 classes; 11,693,736 without attention."""

    BLOCKS = (2, 2, 2, 2)


class AttRes34(AttRes):
    """22,116,552 parameters with CSA as above; 21,801,896 without attention."""

    BLOCKS = (3, 4, 6, 3)


class AttRes104(AttRes):
    """78,369,598 parameters with CSA as above; 77,284,264 without attention. Basic blocks here too."""

    BLOCKS = (3, 8, 32, 8)
