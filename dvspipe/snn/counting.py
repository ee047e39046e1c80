"""What a network costs, counted from its layers alone: no data, no forward pass, also on the meta device.

Counts are per frame at full density; what sparse spikes save is `metrics/energy.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.layers import ConvLayer
from dvspipe.snn.networks.network import Layer, Network


@dataclass(frozen=True)
class LayerCount:
    """One layer. MACs are multiply-accumulates: `macs` of the weights per frame; of the attention, `gate_macs` to
    make the factors, per clip, and `scale_macs` to multiply them onto current or membrane, per frame and factor tensor.

    `gate_macs`: two passes (mean, maximum) through TA's and CA's squeeze network and one through SA's convolution for
    each time that a factor is made: in placement `released` once per clip; in `paper` CA and SA once per step, so T
    times; in `causal` TA too. T is the network's `steps`. Pooling is additions and comparisons, not counted.
    `scale_macs`: one product per element and per factor (T, C, S), as the paper's energy figures imply, although an
    implementation may merge some.
    """

    name: str
    kind: str
    parameters: int
    attention_parameters: int
    neurons: int
    macs: int
    gate_macs: int
    scale_macs: int


def trainable(module: nn.Module | None) -> int:
    """Trainable elements: no buffers, no frozen parameters."""
    return 0 if module is None else sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_layers(network: Network) -> list[LayerCount]:
    """One row per spiking layer, in order; names as the probe gives them."""
    return [_count(name, layer) for name, layer in network.layers.items()]


def count_network(network: Network) -> dict[str, Any]:
    """`params`, `attention_params`, `neurons`, `macs_per_frame` of the whole network and `layers`, one dict per
    layer.
    """
    layers = count_layers(network)
    return {
        "params": trainable(network),
        "attention_params": sum(layer.attention_parameters for layer in layers),
        "neurons": sum(layer.neurons for layer in layers),
        "macs_per_frame": sum(layer.macs for layer in layers),
        "layers": [vars(layer) for layer in layers],
    }


def _count(name: str, layer: Layer) -> LayerCount:
    attention = layer.spiking.attention
    conv = isinstance(layer, ConvLayer)
    return LayerCount(
        name=name,
        kind="conv" if conv else "fc",
        parameters=trainable(layer),
        attention_parameters=trainable(attention),
        neurons=layer.neurons,
        macs=layer.macs,
        gate_macs=_gate_macs(attention, layer.out_size if conv else (1, 1)),
        scale_macs=layer.neurons * _factors(attention),
    )


def _factors(attention: Attention | None) -> int:
    if attention is None:
        return 0
    return sum(part is not None for part in (attention.time, attention.channel, attention.space))


def _gate_macs(attention: Attention | None, size: tuple[int, int]) -> int:
    if attention is None:
        return 0
    times, planes = attention.gates_per_clip
    per_plane = 2 * trainable(attention.channel) + trainable(attention.space) * size[0] * size[1]
    return 2 * times * trainable(attention.time) + planes * per_plane


def training_memory_bytes(network: Network, steps: int, batch: int, bytes_per_value: int = 4) -> int:
    """Estimate of what one training step holds at its peak, for T = `steps`, B = `batch`.

    Activations kept for the way back (2 bytes per value under bfloat16 autocast, 4 otherwise), the two largest
    gradients in flight, and four float32 copies of the parameters (weights, gradients, Adam's two moments). Not the
    framework itself.
    """
    kept = [_kept_values(layer) for layer in network.layers.values()]
    sizes = [_conv_values(layer) for layer in network.layers.values()]
    channels, height, width = network.frame_shape
    per_frame = channels * height * width + sum(kept) + 2 * max(sizes)
    membrane = sum(_kept_by_membrane(layer) for layer in network.layers.values())
    return steps * batch * (per_frame * bytes_per_value + 4 * membrane) + 16 * trainable(network)


def _conv_values(layer: Layer) -> int:
    """Values per frame before pooling."""
    return layer.conv.out_channels * layer.size[0] * layer.size[1] if isinstance(layer, ConvLayer) else layer.neurons


def _kept_values(layer: Layer) -> int:
    """Per frame: batch norm's input, pooling's input, attention's inputs, the neuron's current, the spikes."""
    attention = layer.spiking.attention
    pooled = isinstance(layer, ConvLayer) and not isinstance(layer.pool, nn.Identity)
    kept = _conv_values(layer) * (2 if pooled else 1) + 2 * layer.neurons
    if attention is not None and not attention.on_membrane and _factors(attention):
        both = attention.space is not None and (attention.time is not None or attention.channel is not None)
        kept += layer.neurons * (2 if both else 1)
    return kept


def _kept_by_membrane(layer: Layer) -> int:
    """Per frame, float32 in any precision, where attention acts on the membrane: the potential before each factor and
    at the threshold, its distance to it, and the complement of the spikes.
    """
    attention = layer.spiking.attention
    if attention is None or not attention.on_membrane:
        return 0
    return layer.neurons * (3 + (attention.channel is not None) + (attention.space is not None))
