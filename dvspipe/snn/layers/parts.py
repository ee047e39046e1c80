"""What counting asks of a layer: its parts, each some weights and the neurons beside them. Knows no layer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dvspipe.snn.attention.slot import Attention

INPUT, DENSE = "input", "dense"


@dataclass(frozen=True)
class Part:
    """One row of `describe`; sizes and counts per frame.

    `name` under its layer, as the probe hears it ("" is the layer itself). `source` is the part whose spikes drive the
    weights: a name under the same layer, None for whatever comes before the layer, `DENSE` for real numbers. `leaving`
    is the name under the part of what it passes on, where that is not its neurons' spikes.
    `macs` at full density; `computed` the values that the weights give, before pooling; `kept` those that the way back
    needs, without what attention keeps, of which `bits` are zeros and ones alone (`kernels/spike_bits.py`), and beside them
    so many `places` of maxima, 64 bits in any precision. Attention
    acts on `attended` (C,H,W): where its placement says so inside the neurons (`in_neurons`), otherwise on a tensor of all
    steps at once.
    A gate that is no `Attention` says itself what it costs: `gate_macs` per clip, where what repeats is made once, and
    `gate_macs_every_step` where it is not; `scale_macs` per frame. `real`: what leaves is real numbers, not spikes, at the
    rate of the neurons; the weights after it then are driven `by_numbers`. `runs`: how often per clip the weights run, on
    real numbers (None: at every step); `macs` are then those of one run.
    """

    kind: str
    modules: tuple[nn.Module | None, ...]
    neurons: int
    macs: int
    computed: int
    kept: int
    attention: Attention | None = None
    attended: tuple[int, int, int] = (0, 1, 1)
    in_neurons: bool = False
    name: str = ""
    source: str | None = None
    leaving: str = ""
    gate_macs: int = 0
    gate_macs_every_step: int = 0
    scale_macs: int = 0
    real: bool = False
    by_numbers: bool = False
    places: int = 0
    bits: int = 0
    runs: int | None = None
