"""A live network's single step in plain tensor operators, which a tracer can follow: no kernels, no surrogate gradients.

Same layers, same weights, same state; only what fires, and what remembers, is written out anew. Knows no file format.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dvspipe.export.constants import constants_of
from dvspipe.snn.attention.slot import Memory
from dvspipe.snn.attention.temporal import RecentScore
from dvspipe.snn.folding import folded
from dvspipe.snn.layers.spiking import LayerState, Spiking
from dvspipe.snn.lif import LIF, Membrane
from dvspipe.snn.networks.network import Network


class PlainNeurons(nn.Module):
    """Neurons as `LIF.step` has them: current [B,...] and potential [B,...] -> (spikes, potential after the reset)."""

    live = True

    def __init__(self, lif: LIF) -> None:
        super().__init__()
        self.constants = constants_of(lif)

    def step(self, x: Tensor, v: Tensor, membrane: Membrane | None = None) -> tuple[Tensor, Tensor]:
        """As `LIF.step`, with a potential in any case."""
        own = self.constants
        u = own.keep * v + (x if own.gain == 1.0 else own.gain * x)
        u = u + own.bias if own.bias else u
        u = u if membrane is None else membrane(u)
        fired = u > own.fires_at if own.strict else u >= own.fires_at
        after = own.v_reset if own.subtract is None else u - own.subtract
        return fired.to(u.dtype), torch.where(fired, after, u)


class PlainSpiking(nn.Module):
    """Attention and neurons as `Spiking.step` has them."""

    live = True

    def __init__(self, spiking: Spiking) -> None:
        super().__init__()
        self.attention, self.lif = spiking.attention, PlainNeurons(spiking.lif)

    def step(self, current: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """As `Spiking.step`, with a state in any case."""
        attention, memory = self.attention, state.memory
        if attention is None:
            spikes, v = self.lif.step(current, state.v)
            return spikes, LayerState(v, memory)
        weighed, memory = attention.weigh(current[None], memory)
        spikes, v = self.lif.step(weighed[0], state.v, attention.membrane if attention.on_membrane else None)
        return spikes, LayerState(v, memory)


class PlainRecent(nn.Module):
    """`RecentScore` of a single step: mean and maximum [1,B] and memory, two [bins-1,B] -> (score [1,B], memory)."""

    def __init__(self, score: RecentScore) -> None:
        super().__init__()
        self.w0, self.w1 = score.w0, score.w1

    def forward(self, mean: Tensor, maximum: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Oldest step first, as the weights were trained."""
        history = [torch.cat(pair) for pair in zip(memory, (mean, maximum))]
        hidden = [self.w0(part.T).relu() for part in history]
        score: Tensor = self.w1(hidden[0] + hidden[1])
        return score.T, tuple(part[1:] for part in history)


def plain(network: Network) -> Network:
    """A copy for inference made of the parts above, batch norm folded; of it only `step`, with a whole state, runs."""
    made: Network = folded(network)
    _replace(made)
    return made


def _replace(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, Spiking):
            child = PlainSpiking(child)
            setattr(module, name, child)
        elif isinstance(child, LIF):
            setattr(module, name, PlainNeurons(child))
        elif isinstance(child, RecentScore):
            setattr(module, name, PlainRecent(child))
        _replace(child)
