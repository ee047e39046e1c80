"""A network's state as a flat row of named tensors and back: what formats need that know no trees.

Names are where a tensor lies: "conv1.v" is the potential of layer conv1, "conv1.memory.0" the first thing that its
attention remembers. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dvspipe.errors import UsageError
from dvspipe.snn.layers.row import Row
from dvspipe.snn.networks.network import Network


@dataclass(frozen=True)
class StatePart:
    """One tensor of the state: its `shape` for one recording, and which axis counts recordings side by side."""

    name: str
    shape: tuple[int, ...]
    batch_axis: int

    @property
    def meaning(self) -> str:
        """In words."""
        if ".memory." in self.name:
            what = "mean" if self.name.endswith(".0") else "maximum"
            return f"{what} of the layer's current at the steps before, oldest first"
        return "membrane potential after the last step and its reset"


def example(network: Network, batch: int) -> Any:
    """A state of zeros, which is rest, as the tree that the network wants. Raises UsageError where it holds more than
    tensors.
    """
    with torch.no_grad():
        _, state = network.step(torch.zeros(batch, *network.frame_shape))
    for name, part in zip(network.layers, state, strict=True):
        _check_tensors(name, part)
    return rebuilt(state, (torch.zeros_like(part) for part in flat(state)))


def state_parts(network: Network) -> list[StatePart]:
    """The parts of a live network's state, in the order of `flat`."""
    one, two = example(network, 1), example(network, 2)
    pairs = zip(_named(network.layers, one, ""), flat(two), strict=True)
    return [StatePart(name, tuple(part.shape), _differing(part, other)) for (name, part), other in pairs]


def flat(state: Any) -> list[Tensor]:
    """The tensors of a state, in order."""
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in state for tensor in flat(part)]


def rebuilt(like: Any, tensors: Iterator[Tensor]) -> Any:
    """A state of the form of `like` from the next of `tensors`."""
    if isinstance(like, Tensor):
        return next(tensors)
    parts = [rebuilt(part, tensors) for part in like]
    return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)


def _check_tensors(name: str, state: Any) -> None:
    if isinstance(state, tuple):
        for part in state:
            _check_tensors(name, part)
    elif not isinstance(state, Tensor):
        raise UsageError(
            f"layer '{name}' counts its steps, and a file of one step cannot: train with snn.head = 'spiking', or export "
            "safetensors"
        )


def _named(layer: Any, state: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        yield name, state
        return
    if isinstance(layer, Row):
        words, layers = list(layer), list(layer.values())
    else:
        words = list(getattr(state, "_fields", map(str, range(len(state)))))
        layers = [None] * len(words)
    for word, inner, part in zip(words, layers, state, strict=True):
        yield from _named(inner, part, f"{name}.{word}" if name else word)


def _differing(one: Tensor, two: Tensor) -> int:
    return next(axis for axis, (a, b) in enumerate(zip(one.shape, two.shape, strict=True)) if a != b)
