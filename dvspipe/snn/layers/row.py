"""Layers in a row: the way through a network, or through a stage of one. Knows what a layer must offer, not what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from torch import Tensor, nn

from dvspipe.errors import ShapeError
from dvspipe.snn.layers.over_time import Probe, under
from dvspipe.snn.layers.parts import DENSE, Part
from dvspipe.snn.layers.recomputing import recomputed

State = tuple[Any, ...]
Call = Callable[[Tensor, Any, Probe | None], tuple[Tensor, Any]]


class Layer(Protocol):
    """Something [T,B,...] goes through, with a state that it alone understands. It tells the probe the spikes of all its
    neurons, under the names of its `parts`.
    """

    @property
    def live(self) -> bool:
        """Whether `step` gives what a whole call gives."""
        ...

    def __call__(self, x: Tensor, state: Any, probe: Probe | None = None) -> tuple[Tensor, Any]: ...

    def step(self, x: Tensor, state: Any, probe: Probe | None = None) -> tuple[Tensor, Any]: ...

    def parts(self) -> list[Part]:
        """What it is made of, for counting."""
        ...


class Row(nn.ModuleDict):
    """Named layers, each fed by the one before; itself a layer. With `recompute` they keep only their inputs for the way
    back, rows among them seeing to that themselves.
    """

    def __init__(self, layers: Mapping[str, Layer]) -> None:
        super().__init__(layers)
        self.recompute = False

    @property
    def live(self) -> bool:
        """Whether every layer is."""
        return all(layer.live for layer in self.values())

    def forward(self, x: Tensor, state: State | None, probe: Probe | None = None) -> tuple[Tensor, State]:
        """[T,B,...] -> ([T,B,...], state of every layer). Raises `ShapeError` for a state of another row."""
        calls = [
            partial(recomputed, layer) if self.recompute and not isinstance(layer, Row) else partial(layer)
            for layer in self.values()
        ]
        return self._run(x, state, probe, calls)

    def step(self, x: Tensor, state: State | None, probe: Probe | None = None) -> tuple[Tensor, State]:
        """[B,...] of one step -> ([B,...], state)."""
        return self._run(x, state, probe, [layer.step for layer in self.values()])

    def parts(self) -> list[Part]:
        """Those of all layers in order, named "layer.part", each with the name of its source where it has one here."""
        found: list[Part] = []
        for name, layer in self.items():
            last = found[-1] if found else None
            before = last and _given(last)
            for part in layer.parts():
                source = _under(name, part.source) if part.source not in (None, DENSE) else part.source or before
                numbers = part.by_numbers or (part.source is None and last is not None and last.real)
                found.append(replace(part, name=_under(name, part.name), source=source, by_numbers=numbers))
        return found

    def _run(self, x: Tensor, state: State | None, probe: Probe | None, calls: Sequence[Call]) -> tuple[Tensor, State]:
        if state is not None and len(state) != len(self):
            raise ShapeError(
                f"state of {len(state)} layers does not fit this network of {len(self)}: "
                "pass what an earlier call of the same network returned"
            )
        after = []
        for name, call, before in zip(self, calls, state or (None,) * len(self)):
            x, layer_state = call(x, before, under(probe, name))
            after.append(layer_state)
        return x, tuple(after)


def recompute_layers(network: nn.Module, recompute: bool) -> None:
    """Whether the training of a network keeps only its layers' inputs for the way back."""
    for module in network.modules():
        if isinstance(module, Row):
            module.recompute = recompute


def _given(last: Part) -> str:
    """The source that `last` is to the layer after it: the name of its rate, if it has one."""
    has_rate = last.neurons or last.leaving or not last.real
    return _under(last.name, last.leaving) if has_rate else DENSE


def _under(name: str, inner: str | None) -> str:
    return f"{name}.{inner}" if inner else name
