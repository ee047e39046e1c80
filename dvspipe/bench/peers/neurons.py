"""What a peer's neurons offer to a bench. Knows no library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.snn.neurons import Neuron, make_neuron

# Rule: keep 0.3, threshold 0.3, reset to 0, not detached. The triangle is the surrogate that every library has, the
# rectangle is MA-SNN's own.
TRIANGLE = make_neuron("ma-snn-paper", surrogate="triangle", surrogate_scale=1.0)
RECTANGLE = make_neuron("ma-snn-paper")
NEURONS = {"triangle": TRIANGLE, "rectangle": RECTANGLE}


class Neurons(nn.Module):
    """A layer of some library's neurons: whole sequences from rest, or single steps that carry on."""

    def forward(self, x: Tensor) -> Tensor:
        """Current [T,B,...] -> spikes [T,B,...] in the current's dtype; starts at rest."""
        raise NotImplementedError

    def step(self, x: Tensor) -> Tensor:
        """Current [B,...] of one step -> spikes [B,...]; the state stays inside, as these libraries keep it."""
        raise NotImplementedError

    def reset(self) -> None:
        """Back to rest."""
        raise NotImplementedError


@dataclass(frozen=True)
class Peer:
    """`make(neuron)` gives its neurons; `detaches`: the gradient does not flow through its reset, so it does less work
    backward and is checked against a neuron that does the same.
    """

    make: Callable[[Neuron], Neurons]
    detaches: bool = False
    note: str = ""

    def reference(self, neuron: Neuron) -> Neuron:
        """What its spikes and gradients are to be equal to."""
        return replace(neuron, detach_reset=True) if self.detaches else neuron


class PlainNeurons(Neurons):
    """A loop over time in plain torch, as one writes it without any library; the membrane is float32 unless `dtype` is
    another.
    """

    v: Any

    def __init__(self, neuron: Neuron, fire: Callable[[Tensor], Tensor], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.neuron, self.fire, self.dtype = neuron, fire, dtype
        self.reset()

    def forward(self, x: Tensor) -> Tensor:
        """One step after the other; `unbind`, because the backward of an index writes a full [T,...] of zeros a step."""
        self.reset()
        return torch.stack([self.step(current) for current in x.unbind(0)])

    def step(self, x: Tensor) -> Tensor:
        """u = keep·v + x; fires at the threshold; v = 0 where it fired."""
        u = x.to(self.dtype) if self.v is None else self.neuron.keep * self.v + x
        spikes = self.fire(u - self.neuron.v_th)
        self.v = u * (1.0 - spikes)
        return spikes.to(x.dtype)

    def reset(self) -> None:
        """Back to rest."""
        self.v = None
