"""One step of one layer's neurons and attention for one sample, compiled, in buffers made once; and what they carry.

Feature maps are rows [P,C], features one row [1,F] (`kernels.sparse`). Knows no weights of layers and no network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dvspipe.errors import ShapeError
from dvspipe.snn.attention.causal import CausalAttention
from dvspipe.snn.attention.constant import ConstantAttention
from dvspipe.snn.attention.paper import PaperAttention
from dvspipe.snn.attention.released import ReleasedAttention
from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.kernels import gated, gated_loops, sparse_loops
from dvspipe.snn.kernels.constants import constants_of
from dvspipe.snn.kernels.sparse import Rows, Size
from dvspipe.snn.layers.spiking import LayerState, Spiking
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import Neuron

KNOWN = (PaperAttention, CausalAttention, ReleasedAttention, ConstantAttention)


@dataclass(frozen=True, slots=True)
class Carried:
    """What a layer carries: `state` as every network knows it; the same memory as rows, its potential `v` [P,C], and the mean
    and the maximum [n,1] of the last n steps that attention over time looks at. Of those the state has n - 1, all that the
    next step needs.
    """

    state: LayerState
    v: Rows
    recent: tuple[Rows, ...]


def known(spiking: Spiking) -> bool:
    """Whether `SparseNeurons` runs these neurons with this attention."""
    attention, lif = spiking.attention, spiking.lif
    settled = (
        type(lif) is LIF and lif.kernels == "auto" and (lif.neuron.adapt == "none" or lif.neuron.constrain == "sigmoid")
    )
    return settled and spiking.live and (attention is None or type(attention) in KNOWN)


class SparseNeurons:
    """Steps the neurons of `spiking`, `channels` maps of `size` (H,W) or, with size None, that many features."""

    def __init__(self, spiking: Spiking, channels: int, size: Size | None) -> None:
        attention, self.channels, self.size = spiking.attention, channels, size
        pixels = 1 if size is None else size[0] * size[1]
        self.spikes: Rows = np.zeros((pixels, channels), np.float32)
        like = torch.zeros(0)
        self.keep, self.gain, *self.rest = constants_of(like, _settled(spiking.lif))
        self.factor = np.float32(attention.factor if isinstance(attention, ConstantAttention) else 1.0)
        self.relu = attention is not None and attention.relu
        self.time = attention.time if isinstance(attention, CausalAttention) else None
        self.space = attention.space if isinstance(attention, PaperAttention) else None
        self.gate_gain = 1.0 if attention is None else attention.gain
        self.squeeze = () if self.time is None else tuple(map(_copied, (self.time.w0.weight, self.time.w1.weight)))
        self.found, self.by_channel = np.zeros(2, np.float32), np.zeros((2, channels), np.float32)
        self._weigh_with(attention, size)

    def _weigh_with(self, attention: Attention | None, size: Size | None) -> None:
        self.gates: Any = None
        if isinstance(attention, PaperAttention) and attention.on_membrane and size is not None:
            own = (gated.channel_weights(attention), gated.space_weights(attention))
            weights = ((own[0][0].copy(), own[0][1].copy()), own[1].copy())
            self.gates = (*weights, np.float32(attention.gain), attention.relu)
            self.scratch = gated_loops.scratch_for(self.spikes, size, weights[1].shape[1])

    def at_rest(self) -> Carried:
        """The state before the first step."""
        v, bins = np.zeros_like(self.spikes), 0 if self.time is None else self.time.bins
        recent = tuple(np.zeros((bins, 1), np.float32) for _ in range(2 if bins else 0))
        return Carried(LayerState(self.as_tensor(v), tuple(torch.from_numpy(part)[1:] for part in recent)), v, recent)

    def adopted(self, state: LayerState | None) -> Carried:
        """A copy of a state that came from elsewhere. Raises `ShapeError` for one that does not fit."""
        own = self.at_rest()
        if state is None:
            return own
        pairs = [(own.state.v, state.v), *zip(own.state.memory, state.memory)]
        for mine, given in pairs:
            if mine.shape != given.shape:
                raise ShapeError(
                    f"state [B,...] = {list(given.shape)} does not fit {list(mine.shape)}: pass what an earlier step of the "
                    "same network and batch of 1 returned"
                )
            mine.copy_(given)
        return own

    def step(self, current: Rows, carried: Carried) -> Rows:
        """Current [P,C] -> spikes [P,C], to be read before the next call; `carried` goes on in place."""
        factor = self.factor if self.time is None else self._time_weight(current, carried)
        if self.gates is None:
            constants = (self.keep, self.gain, *self.rest)
            sparse_loops.fire(current, carried.v, self.spikes, constants, factor, self.relu)
        else:
            constants = (self.keep, np.float32(self.gain * factor), *self.rest)
            gated_loops.gated_step(current, carried.v, self.spikes, constants, *self.gates, self.scratch)
            self._tell_space()
        return self.spikes

    def _time_weight(self, current: Rows, carried: Carried) -> np.float32:
        sparse_loops.statistics(current, self.by_channel, self.found)
        if self.time is not None and self.time._forward_hooks:  # who listens hears the module itself
            self.time(*torch.from_numpy(self.found).view(2, 1, 1), carried.state.memory)
        score = sparse_loops.recent_score(self.found, *carried.recent, *self.squeeze)
        return np.float32(self.gate_gain / (1.0 + math.exp(-score)))

    def _tell_space(self) -> None:
        """Space's scores are made for who listens, once more: the kernel keeps none."""
        if self.space is not None and self.space._forward_hooks:
            self.space(*torch.from_numpy(self.scratch[1])[:, None])

    def as_tensor(self, rows: Rows) -> Tensor:
        """The same memory as [1,C,H,W], channels_last, or [1,F]."""
        if self.size is None:
            return torch.from_numpy(rows)
        return torch.from_numpy(rows).view(1, *self.size, self.channels).permute(0, 3, 1, 2)


def _copied(weight: Tensor) -> Rows:
    return np.array(weight.detach().numpy(), np.float32)


@torch.no_grad()
def _settled(lif: LIF) -> Neuron:
    """The neuron with what it has learned as its constants."""
    neuron = lif.neuron
    if neuron.adapt != "none":
        keep, gain = (float(each) for each in lif.rates(1, torch.float64))
    elif lif.w is not None:
        leak = float(lif.w.double().sigmoid())
        keep, gain = 1.0 - leak, leak if neuron.decays_input else neuron.gain
    else:
        return neuron
    return replace(neuron, keep=keep, gain=gain, learn_leak=False, adapt="none")
