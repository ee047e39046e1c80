"""Spikformer for small images (Zhou et al., ICLR 2023, arXiv 2209.15425; ZK-Zhou/spikformer, cifar10/model.py)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

from dvspipe.errors import UsageError
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.entry import FirstNeurons
from dvspipe.snn.layers.logits import read_out
from dvspipe.snn.layers.row import Layer
from dvspipe.snn.layers.stem import Size, Stem, entering
from dvspipe.snn.layers.tokens import PatchConv, Position, TokenBlock, start_linear
from dvspipe.snn.networks.network import Network, check_positive

PATCH = 4  # pixels of a token's side
SHARES = (8, 4, 2, 1)  # of `dim` that the convolutions have: dim/8, ...


class Spikformer(Network):
    """Four convolutions make tokens of 4x4 pixels with `dim` features, a fifth tells where they are, `depth` blocks of
    spiking self-attention, scores [T,B,K] of the mean over tokens.

    `kit` has T, neuron, norm, attention and what an encoder puts behind the stem; `size` (H,W) of an image (a rest below 4
    pixels makes a token too), `width` scales `dim`. Attention of MA-SNN weighs the currents of the convolutions; an
    encoder's own neurons behind the stem (GAC) take the place of the first and have none. The defaults are
    Spikformer-4-384: 9,324,730 parameters with 10 classes, published as 9.32 M; the released code holds 6,144 more in layer
    norms that it never calls. Raises `UsageError` for settings that do not fit.
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
        dim: int = 384,
        depth: int = 4,
        heads: int = 12,
        mlp_ratio: float = 4.0,
    ) -> None:
        check_positive(classes=classes, in_channels=in_channels, width=width, dim=dim, depth=depth, mlp_ratio=mlp_ratio)
        shape, features = (in_channels, int(size[0]), int(size[1])), _features(dim, width, heads)
        if min(shape[1:]) < PATCH:
            raise UsageError(f"size (H,W) = {shape[1:]}: a token is {PATCH}x{PATCH} pixels, so at least that many")
        layers, here = _patches(kit, shape, features)
        hidden = max(1, round(features * mlp_ratio))
        for number in range(1, depth + 1):
            layers[f"block{number}"] = TokenBlock((features, *here), heads, hidden, kit)
        end = read_out(kit, features, classes)
        start_linear(end["out"].linear)
        super().__init__(layers | end, shape)


def _features(dim: int, width: float, heads: int) -> int:
    """`dim` times `width`, where heads and convolutions can share it out. Raises `UsageError` otherwise."""
    features = round(dim * width)
    if heads < 1 or features < 1 or features % heads or features % SHARES[0]:
        raise UsageError(
            f"dim = {dim} at width = {width:g} makes {features} features: that must be a multiple of heads = {heads} "
            f"(at least 1) and, for the convolutions that make the tokens, of {SHARES[0]}"
        )
    return features


def _patches(kit: Kit, shape: tuple[int, int, int], features: int) -> tuple[dict[str, Layer], Size]:
    """The layers that make tokens, and the (H,W) of tokens they give; the last two convolutions pool."""
    channels, size = [features // share for share in SHARES], shape[1:]
    layers: dict[str, Layer] = entering(lambda kit: Stem((shape[0], channels[0]), size, kit), kit)
    if kit.front is None:
        layers["lif1"] = FirstNeurons((channels[0], *size), kit)
    for number, pair in enumerate(pairwise(channels), start=2):
        layers[f"conv{number}"] = conv = PatchConv(pair, size, kit, pools=number > 2)
        size = conv.out_size
    layers["position"] = Position(features, size, kit)
    return layers, size
