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
- The plain (ANN) head of a hybrid network sees sums of spikes, once per window: all its MACs, at each of its `runs`. The sums
  themselves are additions, not counted, like pooling.
- Behind a gate that lets real numbers through (GAC), weights multiply: MACs at the rate of the neurons.
- A static image has a code instead of frames (`Code`): its analog steps cost the first layer MACs, its steps of spikes
  accumulates. Where all steps are one image, what repeats can be made once, and published figures leave GAC's
  convolutions out altogether: `COUNTINGS` tells the three, side by side. An ANN sees an image once.
- What sparser spikes save (dAC) is in the rates. Neuron updates, folded batch norm, pooling and memory traffic are
  not counted.
- The ANN twin is the same network on the same T frames with dense real-valued activations: all MACs, no attention.

Knows no network: layers come as plain descriptions (`snn.counting.LayerCount` is one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dvspipe.errors import UsageError

MAC_PJ = 4.6
AC_PJ = 0.9
_PJ_PER_UJ = 1e6
INPUT, DENSE = "input", "dense"  # sources that are no layer
HEAD = "head"  # what runs once per window, whatever its source

RULES = [
    f"45 nm, 32-bit float: {MAC_PJ} pJ per multiply-accumulate, {AC_PJ} pJ per accumulate"
    " (MA-SNN, TPAMI 2023, supplement S1).",
    "First layer: MACs x share of non-zero input pixels. Other layers: accumulates x firing rate of their input,"
    " or all MACs where that is real numbers (1x1 shortcuts of residual networks).",
    "ANN head of a hybrid network: all MACs, once per window of accumulated spikes.",
    "Attention: MACs that make the gates (released: once per clip; else at every step) and that apply them (every step).",
    "Not counted: neuron updates, folded batch norm, pooling, memory traffic.",
    "ANN twin: the same network and T frames (of an image: one look at it) with dense activations, all MACs, no attention.",
]
COUNTINGS = ("every step", "once", "gate excluded")
PARTS = {
    "first_layer_uj": "first layer (MAC)",
    "accumulate_uj": "spiking layers (AC)",
    "dense_uj": "shortcuts on real numbers (MAC)",
    "head_uj": "ANN head (MAC)",
    "gate_uj": "attention: making gates",
    "scale_uj": "attention: applying gates",
}  # of `breakdown`, as people call them


class LayerCosts(Protocol):
    """What the energy needs to know of a layer; `macs` and `scale_macs` per frame, `gate_macs` per clip; with
    `runs`, `macs` are those of one of so many runs per clip.

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
    @property
    def gate_macs_every_step(self) -> int: ...
    @property
    def by_numbers(self) -> bool: ...
    @property
    def runs(self) -> int | None: ...


@dataclass(frozen=True)
class Code:
    """What the first layer sees of a static image: per step the share of values that are not zero and whether they are
    real numbers; `repeats`: every step is the same image.
    """

    density: Sequence[float]
    analog: Sequence[bool]
    repeats: bool


def energy(
    layers: Sequence[LayerCosts],
    rates: Mapping[str, float],
    input_density: float | Code,
    steps: int,
    counting: str = "once",
) -> dict[str, Any]:
    """Energy of one sample of T = `steps` frames, or of an image's code.

    `rates` are spikes per neuron and step of the layers that have neurons; `input_density` is the share of non-zero
    input pixels. `counting` is one of `COUNTINGS`: "every step" makes everything anew at every step, "once" makes what
    repeats once (of images alone), "gate excluded" leaves the attention's cost out too. Returns `energy_uj`,
    `energy_ann_uj`, `ratio_to_ann` (ANN / ours) and `breakdown`: `first_layer_uj`, `accumulate_uj`, `dense_uj` and
    `head_uj` (where there is any), `gate_uj`, `scale_uj` and `layers` (name -> µJ of its weights). Raises `UsageError` for a
    missing rate, one outside [0, 1], or an unknown counting.
    """
    if not layers:
        raise UsageError("no layers given: the energy of nothing is not a figure")
    if counting not in COUNTINGS:
        raise UsageError(f"unknown counting '{counting}': known are {', '.join(COUNTINGS)}")
    known = {**rates, DENSE: 1.0}
    first = next((layer.name for layer in layers if layer.source == INPUT), "")
    entry = _entry_pj(input_density, f"input of layer '{first}'", steps, once=counting != "every step")
    by_kind, weights = dict.fromkeys((INPUT, "spikes", DENSE, HEAD), 0.0), {}
    for layer in layers:
        kind = _kind(layer)
        price = AC_PJ if kind == "spikes" else MAC_PJ
        if kind == HEAD:
            per_mac = (layer.runs or 0) * price
        else:
            per_mac = entry if kind == INPUT else steps * _rate(layer, known) * price
        weights[layer.name] = layer.macs * per_mac / _PJ_PER_UJ
        by_kind[kind] += weights[layer.name]
    gates = {"every step": [layer.gate_macs_every_step for layer in layers], "gate excluded": [0]}
    making = sum(gates.get(counting, [layer.gate_macs for layer in layers]))
    scaling = 0 if counting == "gate excluded" else sum(layer.scale_macs for layer in layers) * steps
    breakdown: dict[str, Any] = {
        "first_layer_uj": by_kind[INPUT],
        "accumulate_uj": by_kind["spikes"],
        **({"dense_uj": by_kind[DENSE]} if by_kind[DENSE] else {}),
        **({"head_uj": by_kind[HEAD]} if by_kind[HEAD] else {}),
        "gate_uj": making * MAC_PJ / _PJ_PER_UJ,
        "scale_uj": scaling * MAC_PJ / _PJ_PER_UJ,
        "layers": weights,
    }
    ours = sum(weights.values()) + breakdown["gate_uj"] + breakdown["scale_uj"]
    passes = 1 if isinstance(input_density, Code) else steps
    ann = sum(layer.macs * (passes if layer.runs is None else layer.runs) for layer in layers) * MAC_PJ / _PJ_PER_UJ
    return {
        "energy_uj": ours,
        "energy_ann_uj": ann,
        "ratio_to_ann": ann / ours if ours else None,
        "breakdown": breakdown,
    }


def _kind(layer: LayerCosts) -> str:
    """What drives a layer's weights: pixels, spikes, real numbers at every step, or real numbers once per window."""
    if layer.runs is not None:
        return HEAD
    if layer.source == INPUT:
        return INPUT
    return DENSE if layer.source == DENSE or layer.by_numbers else "spikes"


def _entry_pj(entry: float | Code, what: str, steps: int, once: bool) -> float:
    """What one MAC of the first layer costs over all steps of a sample, pJ."""
    if not isinstance(entry, Code):
        return _share(entry, what) * steps * MAC_PJ
    prices = [MAC_PJ if real else AC_PJ for real in entry.analog]
    per_step = [_share(share, what) * price for share, price in zip(entry.density, prices)]
    return per_step[0] if entry.repeats and once else sum(per_step)


def _share(rate: float, what: str) -> float:
    if not 0.0 <= rate <= 1.0:
        raise UsageError(f"{what} has rate {rate}: a share must be between 0 and 1")
    return rate


def _rate(layer: LayerCosts, known: Mapping[str, float]) -> float:
    """Share of a layer's inputs that are not zero."""
    if layer.source not in known:
        raise UsageError(
            f"no firing rate for '{layer.source}', the input of layer '{layer.name}': known are {list(known)}"
        )
    return _share(known[layer.source], f"input of layer '{layer.name}'")
