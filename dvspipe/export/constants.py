"""What a trained population of neurons does in one step, as plain numbers; what it learned is read out as it is now.

    u = keep · v + gain · x + bias;   a spike where u >= fires_at (> when strict);   then v = v_reset, or u - subtract

Knows no file format.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dvspipe.snn.lif import LIF
from dvspipe.snn.representation import RateLIF


@dataclass(frozen=True)
class StepConstants:
    """In double precision. `subtract` is None where a spike sets the potential to `v_reset`."""

    keep: float
    gain: float
    bias: float
    fires_at: float
    strict: bool
    v_reset: float
    subtract: float | None


@torch.no_grad()
def constants_of(lif: LIF) -> StepConstants:
    """Of a population that is `live`."""
    neuron, (keep, gain) = lif.neuron, _rates(lif)
    v_th, share = (float(lif.v_th), float(lif.fire_at)) if isinstance(lif, RateLIF) else (neuron.v_th, 1.0)
    subtract = v_th if neuron.reset == "subtract" else None
    return StepConstants(keep, gain, neuron.bias, share * v_th, neuron.strict, neuron.v_reset, subtract)


def _rates(lif: LIF) -> tuple[float, float]:
    neuron = lif.neuron
    if neuron.adapt != "none":
        keep, gain = lif.rates(1, torch.float64)
        return float(keep[0]), float(gain[0])
    if lif.w is None:
        return neuron.keep, neuron.gain
    leak = float(lif.w.double().sigmoid())
    return 1.0 - leak, leak if neuron.decays_input else neuron.gain
