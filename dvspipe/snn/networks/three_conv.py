"""The three-conv network of MA-SNN for event data (BICLab/Attention-SNN, DVSGestures/CNN/Networks/Att_SNN.py; ma-
snn.md §3.1).
"""

from __future__ import annotations

from functools import partial

from dvspipe.errors import UsageError
from dvspipe.snn.attention import build_attention
from dvspipe.snn.layers import ConvLayer, FullLayer
from dvspipe.snn.networks.network import Layer, Network
from dvspipe.snn.neurons import Neuron, make_neuron

CHANNELS = (64, 128, 128)
POOLS = (1, 2, 2)
HIDDEN = 256


class ThreeConv(Network):
    """Three convolutions, 64-128-128 channels with pools 1-2-2, a hidden layer of 256 and `classes` spiking outputs.

    `steps` is T of a clip (part of temporal attention's parameters), `size` (H,W) of a frame, `width` scales
    channels and hidden layer. At width 1, 32x32, 2 polarities and 11 classes: 2,324,065 parameters and 106,763 neurons.
    `attention` and the settings from `placement` on are `build_attention`'s. Raises `UsageError` for settings that do
    not fit.
    """

    def __init__(
        self,
        *,
        classes: int,
        steps: int,
        attention: str = "none",
        neuron: str | Neuron = "ma-snn",
        size: tuple[int, int] = (32, 32),
        in_channels: int = 2,
        width: float = 1.0,
        placement: str = "released",
        c_ratio: int = 8,
        t_ratio: int = 5,
        gate_gain: int = 1,
        relu: bool | None = None,
        attention_bins: int = 8,
    ) -> None:
        if min(size) < 4:
            raise UsageError(f"size (H,W) = {tuple(size)}: pooling twice by 2 needs at least 4x4 pixels")
        if classes < 1 or steps < 1 or in_channels < 1 or not width > 0:
            raise UsageError(f"{classes=}, {steps=}, {in_channels=}, {width=}: all must be positive")
        channels = [in_channels, *(max(1, round(count * width)) for count in CHANNELS)]
        hidden = max(1, round(HIDDEN * width))
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
            attention_bins=attention_bins,
        )
        layers: dict[str, Layer] = {}
        here = (int(size[0]), int(size[1]))
        for number, pool in enumerate(POOLS):
            conv = ConvLayer(
                (channels[number], channels[number + 1]), here, pool, kind, slot(channels=channels[number + 1])
            )
            layers[f"conv{number + 1}"], here = conv, conv.out_size
        widths = (channels[-1] * here[0] * here[1], hidden, classes)
        for name, before, after in zip(("fc1", "out"), widths, widths[1:]):
            layers[name] = FullLayer((before, after), kind, slot(channels=after, spatial=False))
        super().__init__(layers, (in_channels, int(size[0]), int(size[1])))
