"""The reference: a plain loop over Norse's own step. Slow, runs on any device and dtype; every fast kernel is held
to it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.snn.neurons import Neuron, norse_step


def lif_scan(x: Tensor, v0: Tensor, neuron: Neuron, leak: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Current `x` [T,B,...] from `v0` [B,...] -> (spikes [T,B,...] in `x`'s dtype, last v [B,...] in `v0`'s dtype).
    `leak` [] is a learned 1 - keep.

    `unbind` and not `x[t]`: the backward of an index writes a full [T,...] tensor of zeros per step.
    """
    spikes, v = [], v0
    for current in x.unbind(0):
        fired, v = norse_step(current, v, neuron, leak)
        spikes.append(fired)
    return (torch.stack(spikes) if spikes else torch.empty_like(x)), v
