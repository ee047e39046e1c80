"""Energy of one sample by operation counts: an estimate for comparing networks, not a measurement.

Rules (MA-SNN, TPAMI 2023, supplement table S1), 45 nm, 32-bit float, 4.6 pJ per MAC and 0.9 pJ per
accumulate:
- Weights that spikes drive cost accumulates: their dense count per frame · T · the firing rate of their *source*,
  the layer whose spikes they see. Convolutions are counted at their size before pooling.
- The first layer sees numbers, not spikes: MACs, times the share of non-zero input pixels.
- Weights that see real numbers further in cost MACs at full density: the 1x1 convolutions of an MS-ResNet's
  down-sampling shortcuts act on membrane sums. Published figures usually leave them out; `dense_uj` names them.
- Behind a maximum pool the rate is that of the pooled spikes, up to k² times the neurons'. Mean pools act on currents
  here, before the neurons.
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
INPUT, DENSE = "input", "dense"  # sources that are no layer

RULES = [
    f"45 nm, 32-bit float: {MAC_PJ} pJ per multiply-accumulate, {AC_PJ} pJ per accumulate"
    " (MA-SNN, TPAMI 2023, supplement S1).",
    "First layer: MACs x share of non-zero input pixels. Other layers: accumulates x firing rate of their input,"
    " or all MACs where that is real numbers (1x1 shortcuts of residual networks).",
    "Attention: MACs that make the gates (released: once per clip; else at every step) and that apply them (every step).",
    "Not counted: neuron updates, folded batch norm, pooling, memory traffic.",
    "ANN twin: the same network and T frames with dense activations, all MACs, no attention.",
]
PARTS = {
    "first_layer_uj": "first layer (MAC)",
    "accumulate_uj": "spiking layers (AC)",
    "dense_uj": "shortcuts on real numbers (MAC)",
    "gate_uj": "attention: making gates",
    "scale_uj": "attention: applying gates",
}  # of `breakdown`, as people call them


class LayerCosts(Protocol):
    """What the energy needs to know of a layer; `macs` and `scale_macs` per frame, `gate_macs` per clip.

    `source` drives the weights: the name of a layer with a rate, "input" (pixels) or "dense" (real numbers).
    """

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
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

    `rates` are spikes per neuron and step of the layers that have neurons; `input_density` is the share of non-zero
    input pixels. Returns `energy_uj`, `energy_ann_uj`, `ratio_to_ann` (ANN / ours) and `breakdown`: `first_layer_uj`,
    `accumulate_uj`, `dense_uj` (where there is any), `gate_uj`, `scale_uj` and `layers` (name -> µJ of its weights).
    Raises `UsageError` for a missing rate or one outside [0, 1].
    """
    if not layers:
        raise UsageError("no layers given: the energy of nothing is not a figure")
    known = {**rates, INPUT: input_density, DENSE: 1.0}
    by_kind, weights = dict.fromkeys((INPUT, "spikes", DENSE), 0.0), {}
    for layer in layers:
        kind = layer.source if layer.source in (INPUT, DENSE) else "spikes"
        price = AC_PJ if kind == "spikes" else MAC_PJ
        weights[layer.name] = layer.macs * steps * _rate(layer, known) * price / _PJ_PER_UJ
        by_kind[kind] += weights[layer.name]
    breakdown: dict[str, Any] = {
        "first_layer_uj": by_kind[INPUT],
        "accumulate_uj": by_kind["spikes"],
        **({"dense_uj": by_kind[DENSE]} if by_kind[DENSE] else {}),
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


def _rate(layer: LayerCosts, known: Mapping[str, float]) -> float:
    """Share of a layer's inputs that are not zero."""
    if layer.source not in known:
        raise UsageError(
            f"no firing rate for '{layer.source}', the input of layer '{layer.name}': known are {list(known)}"
        )
    rate = known[layer.source]
    if not 0.0 <= rate <= 1.0:
        raise UsageError(f"input of layer '{layer.name}' has rate {rate}: a share must be between 0 and 1")
    return rate
