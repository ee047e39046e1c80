"""What a network costs, counted from its parts alone: no data, no forward pass, also on the meta device.

Counts are per frame at full density; what sparse spikes save is `metrics/energy.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from dvspipe.snn.attention.constant import ConstantAttention
from dvspipe.snn.attention.factors import FactorAttention
from dvspipe.snn.attention.paper import PaperAttention
from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.layers.parts import DENSE, INPUT, Part
from dvspipe.snn.lif import LIF
from dvspipe.snn.networks.network import Network

PER_STEP = ("computed", "kept", "bits", "places")  # sizes of a part that a clip has at every step


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
    numbers at the rate of the source drive the weights, as behind GAC. `runs`: the weights run so often per clip, on real
    numbers (None: at every step), and `macs` are those of one run: the head of a hybrid network.
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
    runs: int | None = None


def trainable(module: nn.Module | None) -> int:
    """Trainable elements: no buffers, no frozen parameters."""
    return 0 if module is None else sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_layers(network: Network) -> list[LayerCount]:
    """One row per part of a layer, in order; where it has neurons, the name is the one that the probe hears."""
    return [_count(part) for part in network.layers.parts()]


def count_network(network: Network) -> dict[str, Any]:
    """`params`, `attention_params`, `neurons`, `macs_per_frame` of the whole network and `layers`, one dict per
    row; where there is a head that runs once per window, `head_macs_per_clip`, which are not in `macs_per_frame`.
    """
    layers = count_layers(network)
    heads = sum(layer.macs * layer.runs for layer in layers if layer.runs is not None)
    return {
        "params": trainable(network),
        "attention_params": sum(layer.attention_parameters for layer in layers),
        "neurons": sum(layer.neurons for layer in layers),
        "macs_per_frame": sum(layer.macs for layer in layers if layer.runs is None),
        **({"head_macs_per_clip": heads} if heads else {}),
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
        runs=part.runs,
    )


def training_memory_bytes(
    network: Network,
    steps: int,
    batch: int,
    bytes_per_value: int = 4,
    repeats: bool = False,
    fused: bool = True,
    recompute: bool = False,
) -> int:
    """What one training step holds at its peak, for T = `steps`, B = `batch`; the framework itself not included.

    Goes the way back through the parts: what is still kept of activations (2 bytes per value under bfloat16 autocast,
    4 otherwise), the weights' gradients so far, and the gradients in flight: two of the neurons' size, then two behind the
    weights, when the part's own neurons have been let go. Beside them the weights' two moments of Adam in float32, and
    autocast's copy of the weights. `repeats`: every step is the same frame, so what comes before the first neurons runs
    once. `fused`: on the CPU, where compiled kernels keep less. It is what a process grows by that gives freed memory
    back; one that keeps it (`learn/memory.py`) grows by up to twice as much, where the system lets it. `recompute`: between
    the ways only what leaves a part is kept, and the rest of it is there again on the way back.
    """
    parts, frames = _once(network.layers.parts(), steps, repeats), steps * batch
    bits = fused and not recompute  # layers that are computed again keep what comes in as it is
    kept = {part.name: _kept(part, steps, batch, bytes_per_value, fused, bits) for part in parts}
    held, gradients = _entered(network, steps, batch, bytes_per_value, repeats) + sum(kept.values()), 0
    again = kept
    if recompute:
        again = {part.name: kept[part.name] - _leaving(part, steps, batch, bytes_per_value) for part in parts}
        held -= sum(again.values())
    peak = held
    for part in reversed(parts):
        own, computed = kept[part.name], part.computed * frames * bytes_per_value
        here = held + again[part.name] if recompute else held
        gradients += 4 * _parameters(part)
        firing, weighing = 2 * part.neurons * frames * bytes_per_value, min(own, computed) - own + 2 * computed
        peak = max(peak, here + gradients + max(firing, weighing))
        held -= own - again[part.name] if recompute else own
    weights = sum(_parameters(part) for part in parts)
    copies = 2 * weights if bytes_per_value < 4 else 0
    largest = max(parameter.numel() for parameter in network.parameters())
    return 8 * weights + max(peak + copies, 4 * weights + 8 * largest)  # Adam makes two copies of one tensor at a time


def _leaving(part: Part, steps: int, batch: int, bytes_per_value: int) -> int:
    """Spikes (or, of a part without neurons, what it computed), and the potentials before and after the clip."""
    return batch * (steps * (part.neurons or part.computed) * bytes_per_value + 8 * part.neurons)


def kept_bytes(
    network: Network,
    steps: int,
    batch: int,
    bytes_per_value: int = 4,
    repeats: bool = False,
    fused: bool = True,
    bits: bool = True,
) -> int:
    """What is held between the way forth and back: input, activations and the neurons' states; spikes, as far as they are
    nothing else, as `bits`.
    """
    parts = _once(network.layers.parts(), steps, repeats)
    held = _entered(network, steps, batch, bytes_per_value, repeats)
    return held + sum(_kept(part, steps, batch, bytes_per_value, fused, bits) for part in parts)


def _entered(network: Network, steps: int, batch: int, bytes_per_value: int, repeats: bool) -> int:
    """The input, once where every step is the same frame."""
    channels, height, width = network.frame_shape
    return (1 if repeats else steps) * batch * channels * height * width * bytes_per_value


def _once(parts: list[Part], steps: int, repeats: bool) -> list[Part]:
    """The parts, where `repeats` with those before the first neurons as if each step had 1/T of their values: weights run
    once there, the neurons' current is kept once, and so is a shortcut around them.
    """
    if not repeats or steps == 1:
        return parts
    first = next((place for place, part in enumerate(parts) if part.neurons), len(parts))
    block = parts[first].name.rpartition(".")[0] if first < len(parts) else ""
    found = []
    for place, part in enumerate(parts):
        if place < first or (block and part.source == DENSE and part.name.rpartition(".")[0] == block):
            part = replace(part, **{each: getattr(part, each) // steps for each in PER_STEP})
        elif place == first:
            part = replace(part, kept=part.kept - min(part.kept, part.neurons * (steps - 1) // steps))
        found.append(part)
    return found


def _kept(part: Part, steps: int, batch: int, bytes_per_value: int, fused: bool, bits: bool) -> int:
    """Potentials are float32 in any precision: those before and after the clip and, where attention acts on the
    membrane without a kernel of its own, at every step the potential before each factor and at the threshold, its
    distance to it, and the complement of the spikes.
    """
    attention, (channels, height, width) = part.attention, part.attended
    per_frame, potentials = part.kept * bytes_per_value, 2 * part.neurons
    if bits:
        per_frame -= part.bits * bytes_per_value - part.bits // 8
    if attention is not None and fused and _fuses(part):
        per_frame += channels * height * width * _kept_fused(attention) * bytes_per_value
    elif attention is not None and attention.on_membrane and part.in_neurons:
        potentials += steps * part.neurons * (3 + attention.kept)
    elif attention is not None:
        per_frame += channels * height * width * attention.kept * bytes_per_value
    return batch * (steps * (per_frame + 8 * part.places) + 4 * potentials)


def _fuses(part: Part) -> bool:
    """Whether the compiled kernels of `snn/kernels` run attention and neurons as one."""
    neurons = [each for module in part.modules if module is not None for each in module.modules()]
    constant = all(each.constant for each in neurons if isinstance(each, LIF))
    return part.in_neurons and constant and isinstance(part.attention, FactorAttention | ConstantAttention)


def _kept_fused(attention: Attention) -> int:
    """Tensors of the neurons' size that such a kernel keeps beside current and spikes: the weighed current, where a factor of
    time is multiplied on before a kernel of the membrane.
    """
    on_current_too = isinstance(attention, PaperAttention) and attention.time is not None
    return 1 if on_current_too else 0


def _parameters(part: Part) -> int:
    return sum(trainable(module) for module in part.modules)
