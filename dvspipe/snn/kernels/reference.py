"""The reference: a plain loop over Norse's own step. Slow, runs on any device and dtype; every fast kernel is held
to it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.snn.neurons import Neuron, fire_and_reset, integrate_adapted, norse_step


def lif_scan(
    x: Tensor, v0: Tensor, neuron: Neuron, leak: Tensor | None = None, rates: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Current `x` [T,B,...] from `v0` [B,...] -> (spikes [T,B,...] in `x`'s dtype, last v [B,...] in `v0`'s dtype).
    `leak` [] is a learned 1 - keep; `rates` [2,T] are learned keep and gain of every step.

    `unbind` and not `x[t]`: the backward of an index writes a full [T,...] tensor of zeros per step.
    """
    spikes, v = [], v0
    for current, rate in zip(x.unbind(0), [None] * len(x) if rates is None else rates.unbind(1)):
        fired, v = norse_step(current, v, neuron, leak) if rate is None else _adapted_step(current, v, neuron, *rate)
        spikes.append(fired)
    return (torch.stack(spikes) if spikes else torch.empty_like(x)), v


def _adapted_step(x: Tensor, v: Tensor, neuron: Neuron, keep: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    spikes, after = fire_and_reset(integrate_adapted(x, v, keep, gain, neuron.bias), neuron)
    return spikes.to(x.dtype), after
