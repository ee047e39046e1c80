"""The read-out of a hybrid network: an accumulator of spikes, and a plain (ANN) head that looks at it once per window.

Kugele et al., DAGM 2021 (arXiv 2112.03423): a spiking backbone takes events step by step, its spikes are summed over a
window, and a conventional network answers for the sum; trained end to end, the surrogate gradient going through the sum.
Our head is linear, ReLU, linear. Knows no backbone.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dvspipe.errors import ShapeError, UsageError, nearest
from dvspipe.snn.layers.over_time import Probe
from dvspipe.snn.layers.parts import DENSE, Part
from dvspipe.snn.neurons import membrane_dtype

HEADS = ("spiking", "ann")


class Accumulated(NamedTuple):
    """Spikes summed so far [B,F], and over how many steps of the present window."""

    spikes: Tensor
    steps: int


class AnnHead(nn.Module):
    """Spikes [T,B,...] of a layer of `shape` -> scores [T,B,K]: at the last step of every window `window` times what the
    head says of the window's sum, 0 at all others. So the mean over T is the mean of what the head said, a network
    that runs live says the same at the same steps, and the head's work is done once a window.

    Raises `UsageError` unless T = `steps` is a whole number of windows.
    """

    live = True

    def __init__(
        self, shape: tuple[int, ...], hidden: int, classes: int, steps: int, window: int | None = None
    ) -> None:
        super().__init__()
        self.window, self.steps = steps if window is None else window, steps
        if self.window < 1 or steps % self.window:
            raise UsageError(
                f"window = {self.window}: the steps that the head looks at together must divide T = {steps}"
            )
        self.hidden, self.out = nn.Linear(prod(shape), hidden), nn.Linear(hidden, classes)

    def forward(self, x: Tensor, state: Accumulated | None, probe: Probe | None = None) -> tuple[Tensor, Accumulated]:
        """[T,B,...] -> (scores [T,B,K], what the window at the end holds)."""
        spikes = x.flatten(2)
        total, passed = self._before(spikes, state)
        ends = range(self.window - passed, len(x) + 1, self.window)  # steps after which a window is full
        parts = spikes.tensor_split(list(ends))
        sums = [part.sum(0, dtype=total.dtype) for part in parts]
        sums[0] = sums[0] + total
        if not ends:
            return x.new_zeros(len(x), x.shape[1], self.out.out_features), Accumulated(sums[0], passed + len(x))
        scores = self.window * self._answer(torch.stack(sums[:-1]))
        silent = scores.new_zeros(len(x), *scores.shape[1:])
        out = silent.index_copy(0, torch.tensor(ends, device=x.device) - 1, scores)
        return out, Accumulated(sums[-1], len(parts[-1]))

    def step(self, x: Tensor, state: Accumulated | None, probe: Probe | None = None) -> tuple[Tensor, Accumulated]:
        """[B,...] -> (scores [B,K], what the window holds)."""
        said, after = self.forward(x[None], state, probe)
        return said[0], after

    def _answer(self, sums: Tensor) -> Tensor:
        """Sums [N,B,F] of windows -> [N,B,K]. As rates, so that the weights' start suits any window."""
        scores: Tensor = self.out(torch.relu(self.hidden(sums / self.window)))
        return scores

    def _before(self, spikes: Tensor, state: Accumulated | None) -> Accumulated:
        if state is None:
            return Accumulated(torch.zeros_like(spikes[0], dtype=membrane_dtype(spikes)), 0)
        if state.spikes.shape != spikes.shape[1:]:
            raise ShapeError(
                f"state of the head, sums [B,F] = {list(state.spikes.shape)}, does not fit spikes [B,F] = "
                f"{list(spikes.shape[1:])}: pass what an earlier call with the same batch size returned, or None"
            )
        return state

    def rested(self, state: Accumulated, steps: int) -> Accumulated:
        """After `steps` without any spike. What the head would have said at a window's end meanwhile is lost."""
        ended, passed = divmod(state.steps + steps, self.window)
        return Accumulated(torch.zeros_like(state.spikes) if ended else state.spikes, passed)

    def parts(self) -> list[Part]:
        """Two, each once per window: the weights on sums of spikes, and those on what they make of them."""
        hidden, classes, runs = self.out.in_features, self.out.out_features, self.steps // self.window
        first, last = self.hidden.weight.numel(), self.out.weight.numel()
        return [
            Part("head", (self.hidden,), 0, first, hidden, 0, name="hidden", runs=runs),
            Part("head", (self.out,), 0, last, classes, 0, name="out", source=DENSE, runs=runs),
        ]


def check_head(head: str) -> None:
    """Raises `UsageError` unless it is one of `HEADS`."""
    if head not in HEADS:
        raise UsageError(f"unknown head '{head}'{nearest(head, list(HEADS))}: known are {', '.join(HEADS)}")
