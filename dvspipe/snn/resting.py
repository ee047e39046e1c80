"""What a network's state becomes while no frames reach it: every potential leaks, what attention remembers moves on.

For bins that were dropped: cheaper than stepping through them, and the membrane's clock stays right. As if no current came
at all; what bias and batch norm's offset would add in those steps is left out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.snn.layers.spiking import LayerState
from dvspipe.snn.lif import LIF
from dvspipe.snn.networks.network import Network, NetworkState


@torch.no_grad()
def rested(network: Network, state: NetworkState | None, steps: int) -> NetworkState | None:
    """The state `steps` steps later without any input: v · keep^steps; recent steps that attention remembers become zeros.

    Where the neurons of a layer learned several leaks, the layer's mean counts.
    """
    if state is None or steps <= 0:
        return state
    return tuple(_rested(layer, before, steps) for layer, before in zip(network.layers.values(), state))


def _rested(layer: Any, before: Any, steps: int) -> Any:
    """A layer whose state is no potential says itself what becomes of it."""
    return layer.rested(before, steps) if hasattr(layer, "rested") else _decayed(before, _keep(layer) ** steps, steps)


def _keep(layer: nn.Module) -> float:
    kept = [_keep_of(module) for module in layer.modules() if isinstance(module, LIF)]
    return sum(kept) / len(kept) if kept else 0.0


def _keep_of(lif: LIF) -> float:
    if lif.neuron.adapt != "none":
        return float(lif.rates(1)[0])
    return 1.0 - float(lif.w.sigmoid()) if lif.w is not None else lif.neuron.keep


def _decayed(state: Any, share: float, steps: int) -> Any:
    """The same tree of tuples, its potentials multiplied by `share`."""
    if isinstance(state, LayerState):
        return LayerState(_decayed(state.v, share, steps), tuple(_moved_on(part, steps) for part in state.memory))
    if isinstance(state, Tensor):
        return state * share
    if isinstance(state, tuple):
        parts = [_decayed(part, share, steps) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return state


def _moved_on(memory: Tensor, steps: int) -> Tensor:
    """[bins,B] of the last steps, `steps` of silence later."""
    moved = torch.zeros_like(memory)
    if steps < len(memory):
        moved[: len(memory) - steps] = memory[steps:]
    return moved
