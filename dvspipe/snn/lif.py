"""A population of spiking neurons as a module; it holds no potential: state goes in and comes out.

Knows which path runs it: the whole-sequence kernels for `forward`, Norse's own step for `step`, and a loop over the
parts of that step where something acts on the membrane between integration and threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.errors import ShapeError
from dvspipe.snn.kernels import lif_scan
from dvspipe.snn.neurons import Neuron, fire_and_reset, integrate, membrane_dtype, norse_step

Membrane = Callable[[Tensor], Tensor]

_CONSTANTS = ("keep", "gain", "bias", "v_th")


class LIF(nn.Module):
    """One kind of neuron, any number of them.

    Its constants are buffers, so that a checkpoint says for which neuron its weights were trained; loading them into
    another neuron is an error. The arithmetic takes them from `neuron`, in full precision whatever the module's dtype.
    A learned leak is the parameter `w` instead, one for all: 1 - keep = sigmoid(w).
    """

    w: nn.Parameter | None

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        self.neuron = neuron
        for name in self._constants():
            self.register_buffer(name, torch.tensor(getattr(neuron, name), dtype=torch.float32))
        start = math.log((1.0 - neuron.keep) / neuron.keep) if neuron.learn_leak else 0.0
        self.register_parameter("w", nn.Parameter(torch.tensor(start)) if neuron.learn_leak else None)

    def forward(self, x: Tensor, v: Tensor | None = None, membrane: Membrane | None = None) -> tuple[Tensor, Tensor]:
        """Whole sequence: current [T,B,...] and `v` [B,...] (None: at rest, 0) -> (spikes [T,B,...], last v
        [B,...]). `membrane` is applied to the potential [B,...] of every step before it meets the threshold.
        """
        if membrane is None or not len(x):
            return lif_scan(x, v, self.neuron, self._leak(x))
        spikes = []
        for current in x.unbind(0):  # the backward of an index would write a full [T,...] of zeros per step
            fired, v = self.step(current, v, membrane)
            spikes.append(fired)
        assert v is not None
        return torch.stack(spikes), v

    def step(self, x: Tensor, v: Tensor | None = None, membrane: Membrane | None = None) -> tuple[Tensor, Tensor]:
        """One step by Norse: current [B,...] and `v` [B,...] -> (spikes [B,...], new v [B,...]).

        Raises `ShapeError` when `v` does not fit.
        """
        if v is None:
            v = torch.zeros_like(x, dtype=membrane_dtype(x))
        elif v.shape != x.shape:
            raise ShapeError(
                f"state [B,...] = {list(v.shape)} does not fit the current [B,...] = {list(x.shape)} of a step: "
                "pass the state that came out of the same network and batch size, or None to start at rest"
            )
        v = v.to(membrane_dtype(x))
        if membrane is None:
            return norse_step(x, v, self.neuron, self._leak(x))
        spikes, after = fire_and_reset(membrane(integrate(x, v, self.neuron, self._leak(x))), self.neuron)
        return spikes.to(x.dtype), after

    def _leak(self, x: Tensor) -> Tensor | None:
        """The learned 1 - keep, in the membrane's precision."""
        return None if self.w is None else self.w.to(membrane_dtype(x)).sigmoid()

    def _constants(self) -> tuple[str, ...]:
        """Names of those that are not learned."""
        learned = {"keep"} if self.neuron.learn_leak else set()
        if self.neuron.learn_leak and self.neuron.decays_input:
            learned.add("gain")
        return tuple(name for name in _CONSTANTS if name not in learned)

    def extra_repr(self) -> str:
        return str(self.neuron)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Torch's hook, to compare before copying: the constants belong to the architecture, not to the weights."""
        errors: list[str] = rest[-1]
        for name in self._constants():
            loaded, own = state_dict.get(prefix + name), getattr(self.neuron, name)
            # 1 % leaves room for a checkpoint that was stored in half precision.
            if loaded is not None and not math.isclose(loaded.item(), own, rel_tol=0.01, abs_tol=1e-6):
                errors.append(f"{prefix}{name} is {loaded.item():g} in the checkpoint, {own:g} here: another neuron")
        super()._load_from_state_dict(state_dict, prefix, *rest)
