"""What a network costs, counted from its parts alone: no data, no forward pass, also on the meta device.

Counts are per frame at full density; what sparse spikes save is `metrics/energy.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from dvspipe.snn.layers.parts import INPUT, Part
from dvspipe.snn.networks.network import Network


@dataclass(frozen=True)
class LayerCount:
    """Some weights and the neurons beside them. MACs are multiply-accumulates: `macs` of the weights per frame; of
    the attention, `gate_macs` to make the factors, per clip, and `scale_macs` to multiply them on, per frame.

    `source` names what drives the weights: the row whose spikes do, "input" for the frames, "dense" for real numbers
    such as the membrane sum that the down-sampling shortcut of an MS-ResNet sees. In a row of event layers this is the row
    before; in an MS-ResNet, where neurons come before weights, a row drives itself.
    `gate_macs` is what the attention says of itself, for each time that a factor is made: in placement `released` TA,
    CA and SA once per clip; in `paper` CA and SA once per step, so T times; in `causal` TA too. T is the network's
    `steps`. Pooling is additions and comparisons, not counted. `scale_macs`: one product per element and per factor,
    as the paper's energy figures imply, although an implementation may merge some. `gate_macs_every_step` is what the
    gates of a clip cost where nothing is computed once that repeats (GAC's convolutions as released). `by_numbers`: real
    numbers at the rate of the source drive the weights, as behind GAC.
    """

    name: str
    kind: str
    source: str
    parameters: int
    attention_parameters: int
    neurons: int
    macs: int
    gate_macs: int
    scale_macs: int
    gate_macs_every_step: int = 0
    by_numbers: bool = False


def trainable(module: nn.Module | None) -> int:
    """Trainable elements: no buffers, no frozen parameters."""
    return 0 if module is None else sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_layers(network: Network) -> list[LayerCount]:
    """One row per part of a layer, in order; where it has neurons, the name is the one that the probe hears."""
    return [_count(part) for part in network.layers.parts()]


def count_network(network: Network) -> dict[str, Any]:
    """`params`, `attention_params`, `neurons`, `macs_per_frame` of the whole network and `layers`, one dict per
    row.
    """
    layers = count_layers(network)
    return {
        "params": trainable(network),
        "attention_params": sum(layer.attention_parameters for layer in layers),
        "neurons": sum(layer.neurons for layer in layers),
        "macs_per_frame": sum(layer.macs for layer in layers),
        "layers": [vars(layer) for layer in layers],
    }


def _count(part: Part) -> LayerCount:
    attention, (channels, height, width) = part.attention, part.attended
    made = attention.gate_macs((height, width)) if attention else 0
    return LayerCount(
        name=part.name,
        kind=part.kind,
        source=part.source or INPUT,
        parameters=_parameters(part),
        attention_parameters=trainable(attention),
        neurons=part.neurons,
        macs=part.macs,
        gate_macs=part.gate_macs + made,
        scale_macs=part.scale_macs + (channels * height * width * attention.factors if attention else 0),
        gate_macs_every_step=part.gate_macs_every_step + made,
        by_numbers=part.by_numbers,
    )


def training_memory_bytes(network: Network, steps: int, batch: int, bytes_per_value: int = 4) -> int:
    """Estimate of what one training step holds at its peak, for T = `steps`, B = `batch`.

    Goes the way back through the parts: what is still kept of activations (2 bytes per value under bfloat16 autocast,
    4 otherwise), the weights' gradients so far, the two gradients in flight. Beside them the weights and Adam's two
    moments in float32, and autocast's copy of the weights. Not the framework itself. Against the peak of torch's own
    allocations on a CPU it is 0.91 to 1.14; the process grows by up to half as much again there (malloc, oneDNN).
    """
    parts, frames = network.layers.parts(), steps * batch
    held, gradients = kept_bytes(network, steps, batch, bytes_per_value), 0
    peak = held
    for part in reversed(parts):
        gradients += 4 * _parameters(part)
        peak = max(peak, held + gradients + 2 * part.computed * frames * bytes_per_value)
        held -= _kept(part, steps, batch, bytes_per_value)
    weights = sum(_parameters(part) for part in parts)
    copies = 2 * weights if bytes_per_value < 4 else 0
    largest = max(parameter.numel() for parameter in network.parameters())
    return 12 * weights + max(peak + copies, 4 * weights + 8 * largest)  # Adam makes two copies of one tensor at a time


def kept_bytes(network: Network, steps: int, batch: int, bytes_per_value: int = 4) -> int:
    """Estimate of what is held between the way forth and back: input, activations and the neurons' states."""
    channels, height, width = network.frame_shape
    entered = steps * batch * channels * height * width * bytes_per_value
    return entered + sum(_kept(part, steps, batch, bytes_per_value) for part in network.layers.parts())


def _kept(part: Part, steps: int, batch: int, bytes_per_value: int) -> int:
    """Potentials are float32 in any precision: those before and after the clip and, where attention acts on the
    membrane, at every step the potential before each factor and at the threshold, its distance to it, and the
    complement of the spikes.
    """
    attention, (channels, height, width) = part.attention, part.attended
    per_frame, potentials = part.kept * bytes_per_value, 2 * part.neurons
    if attention is not None and attention.on_membrane and part.in_neurons:
        potentials += steps * part.neurons * (3 + attention.kept)
    elif attention is not None:
        per_frame += channels * height * width * attention.kept * bytes_per_value
    return batch * (steps * per_frame + 4 * potentials)


def _parameters(part: Part) -> int:
    return sum(trainable(module) for module in part.modules)
