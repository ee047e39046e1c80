"""Energy of one sample by operation counts: an estimate for comparing networks, not a measurement.

Rules (MA-SNN, TPAMI 2023, supplement table S1), 45 nm, 32-bit float, 4.6 pJ per MAC and 0.9 pJ per
accumulate:
- A spiking layer's weights cost accumulates: its dense count per frame · T · the firing rate of its *input*.
  Convolutions are counted at their size before pooling.
- The first layer sees numbers, not spikes: MACs, times the share of non-zero input pixels.
- Attention costs MACs: making the factors (dMAC1: all of a clip, once in `released`, at every step where the placement
  needs it) and multiplying them on (dMAC2, every step).
- What sparser spikes save (dAC) is in the rates. Neuron updates, folded batch norm, pooling and memory traffic are
  not counted.
- The ANN twin is the same network on the same T frames with dense real-valued activations: all MACs, no attention.

Knows no network: layers come as plain descriptions (`snn.counting.LayerCount` is one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from dvspipe.errors import UsageError

MAC_PJ = 4.6
AC_PJ = 0.9
_PJ_PER_UJ = 1e6

RULES = [
    f"45 nm, 32-bit float: {MAC_PJ} pJ per multiply-accumulate, {AC_PJ} pJ per accumulate"
    " (MA-SNN, TPAMI 2023, supplement S1).",
    "First layer: MACs x share of non-zero input pixels. Other layers: accumulates x firing rate of their input.",
    "Attention: MACs that make the gates (released: once per clip; else at every step) and that apply them (every step).",
    "Not counted: neuron updates, folded batch norm, pooling, memory traffic.",
    "ANN twin: the same network and T frames with dense activations, all MACs, no attention.",
]
PARTS = {
    "first_layer_uj": "first layer (MAC)",
    "accumulate_uj": "spiking layers (AC)",
    "gate_uj": "attention: making gates",
    "scale_uj": "attention: applying gates",
}  # of `breakdown`, as people call them


class LayerCosts(Protocol):
    """What the energy needs to know of a layer; `macs` and `scale_macs` per frame, `gate_macs` per clip."""

    @property
    def name(self) -> str: ...
    @property
    def macs(self) -> int: ...
    @property
    def gate_macs(self) -> int: ...
    @property
    def scale_macs(self) -> int: ...


def energy(
    layers: Sequence[LayerCosts], rates: Mapping[str, float], input_density: float, steps: int
) -> dict[str, Any]:
    """Energy of one sample of T = `steps` frames.

    `layers` in order, each fed by the one before; `rates` spikes per neuron and step of each layer's *output*;
    `input_density` the share of non-zero input pixels. Returns `energy_uj`, `energy_ann_uj`, `ratio_to_ann` (ANN /
    ours) and `breakdown`: `first_layer_uj`, `accumulate_uj`, `gate_uj`, `scale_uj` and `layers` (name -> µJ of its
    weights). Raises `UsageError` for a missing rate or one outside [0, 1].
    """
    inputs = _input_rates(layers, rates, input_density)
    weights = {
        layer.name: layer.macs * steps * rate * (MAC_PJ if number == 0 else AC_PJ) / _PJ_PER_UJ
        for number, (layer, rate) in enumerate(zip(layers, inputs))
    }
    first = weights[layers[0].name]
    breakdown: dict[str, Any] = {
        "first_layer_uj": first,
        "accumulate_uj": sum(weights.values()) - first,
        "gate_uj": sum(layer.gate_macs for layer in layers) * MAC_PJ / _PJ_PER_UJ,
        "scale_uj": sum(layer.scale_macs for layer in layers) * steps * MAC_PJ / _PJ_PER_UJ,
        "layers": weights,
    }
    ours = sum(weights.values()) + breakdown["gate_uj"] + breakdown["scale_uj"]
    ann = sum(layer.macs for layer in layers) * steps * MAC_PJ / _PJ_PER_UJ
    return {
        "energy_uj": ours,
        "energy_ann_uj": ann,
        "ratio_to_ann": ann / ours if ours else None,
        "breakdown": breakdown,
    }


def _input_rates(layers: Sequence[LayerCosts], rates: Mapping[str, float], input_density: float) -> list[float]:
    """Firing rate of each layer's input: the pixels' share for the first, the layer before for the others."""
    missing = [layer.name for layer in layers if layer.name not in rates]
    if missing or not layers:
        raise UsageError(
            f"no firing rate for layer {', '.join(missing) or '(no layers given)'}: known are {list(rates)}"
        )
    inputs = [input_density, *(rates[layer.name] for layer in layers[:-1])]
    for layer, rate in zip(layers, inputs):
        if not 0.0 <= rate <= 1.0:
            raise UsageError(f"input of layer '{layer.name}' has rate {rate}: a share must be between 0 and 1")
    return inputs
