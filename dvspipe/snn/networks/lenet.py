"""The small LeNet of ASNN (arXiv 2408.12407; repository hhx0320/ASNN, ASNNGIT/lenet_spiking.py; hybrid-coding.md §5)."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any, ClassVar

from torch import nn

from dvspipe.errors import UsageError
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.entry import FirstNeurons, Pool, check_pool
from dvspipe.snn.layers.logits import read_out
from dvspipe.snn.layers.row import Layer
from dvspipe.snn.layers.spiking import ConvLayer, FullLayer
from dvspipe.snn.layers.stem import Size, Stem, entering
from dvspipe.snn.networks.network import Network, check_positive

CHANNELS = (32, 48, 64)
HIDDEN = 256
LEAST = 8  # pixels that survive three halvings


class BiasedStem(Stem):
    """A stem whose convolution has a bias, as all of this network have; its norm takes it away again."""

    def __init__(self, channels: tuple[int, int], size: Size, kit: Kit) -> None:
        super().__init__(channels, size, kit)
        self.weights[0] = nn.Conv2d(*channels, 3, padding=1)


class LeNet(Network):
    """Three times convolution 3x3, norm, neurons, pooling by 2; a hidden full layer with norm and neurons; scores [T,B,K].

    `kit` has T, neuron, norm, attention and what an encoder puts behind the stem; published are neuron "asnn" adapted to
    the steps without constraint, batch statistics of every step by itself, and `step_scale`. `size` (H,W) of an image,
    `width` scales channels and hidden layer. `pool` is "max" (published), the maximum of spikes, or "mean", that of
    currents before the neurons: a maximum over neurons that fire once each may fire several times, which breaks codes
    of a single spike. Attention weighs every layer's current. An encoder's own neurons behind the stem (GAC) take the
    place of the first and have no attention; pooling, of whatever they give, follows them.
    331,380 parameters with 100 classes and plain neurons. Raises `UsageError` for settings that do not fit.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {"neuron": "spikingjelly"}
    HAS_STEM = True

    def __init__(
        self,
        kit: Kit,
        *,
        classes: int,
        size: Size = (32, 32),
        in_channels: int = 3,
        width: float = 1.0,
        pool: str = "max",
    ) -> None:
        check_positive(classes=classes, in_channels=in_channels, width=width)
        check_pool(pool)
        shape = (in_channels, int(size[0]), int(size[1]))
        if min(shape[1:]) < LEAST:
            raise UsageError(f"size (H,W) = {shape[1:]}: pooling by 2·2·2 needs at least {LEAST}x{LEAST} pixels")
        channels = [max(1, round(count * width)) for count in CHANNELS]
        layers, here = _entry(kit, shape, channels[0], pool)
        mean, maximum = (2, 1) if pool == "mean" else (1, 2)
        for number, pair in enumerate(pairwise(channels), start=2):
            layers[f"conv{number}"] = conv = ConvLayer(pair, here, mean, kit, max_pool=maximum)
            here = conv.out_size
        hidden = max(1, round(HIDDEN * width))
        layers["fc1"] = FullLayer((channels[-1] * prod(here), hidden), kit)
        super().__init__(layers | read_out(kit, hidden, classes), shape)


def _entry(kit: Kit, shape: tuple[int, int, int], channels: int, pool: str) -> tuple[dict[str, Layer], Size]:
    """Stem, first neurons and pooling, and the (H,W) they give."""
    layers: dict[str, Layer] = entering(lambda kit: BiasedStem((shape[0], channels), shape[1:], kit), kit)
    current = (channels, *shape[1:])
    if kit.front is None:
        first = FirstNeurons(current, kit, pool)
        return layers | {"lif1": first}, first.out_size
    pooled = Pool(current, pool, layers["code"].parts()[-1].real)
    return layers | {"pool1": pooled}, pooled.out_size
