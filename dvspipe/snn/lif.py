"""A population of spiking neurons as a module; it holds no potential: state goes in and comes out.

Knows which path runs it: the whole-sequence kernels for `forward`, Norse's own step for `step`, and a loop over the
parts of that step where something acts on the membrane between integration and threshold, or, for `step`, where a neuron
adapts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.kernels import check_kernels, lif_scan
from dvspipe.snn.neurons import (
    Neuron,
    adapted_rates,
    fire_and_reset,
    integrate,
    integrate_adapted,
    membrane_dtype,
    norse_step,
)

Membrane = Callable[[Tensor], Tensor]
Rates = tuple[Tensor, Tensor]


class LIF(nn.Module):
    """One kind of neuron, any number of them.

    Its constants are buffers, so that a checkpoint says for which neuron its weights were trained; loading them into
    another neuron is an error. The arithmetic takes them from `neuron`, in full precision whatever the module's dtype.
    A learned leak is the parameter `w` instead, one for all: 1 - keep = sigmoid(w).

    A neuron that adapts has the parameters `leak` and `gain`, [T] with "steps" or [] with "shared": how far keep and
    gain are from the neuron's own (`rates` gives both), 0 at the start. `steps` is T, which only "steps" needs:
    `UsageError` without it. `kernels` is "auto", the device's fast ones, or "reference", Norse's own step whatever the
    device, to check the fast ones against; it changes no parameter.
    """

    w: nn.Parameter | None

    def __init__(self, neuron: Neuron, steps: int | None = None, kernels: str = "auto") -> None:
        super().__init__()
        self.neuron, self.steps, self.kernels = neuron, steps, check_kernels(kernels)
        for name, value in self._constants().items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))
        learns = neuron.learn_leak and neuron.adapt == "none"
        start = math.log((1.0 - neuron.keep) / neuron.keep) if learns else 0.0
        self.register_parameter("w", nn.Parameter(torch.tensor(start)) if learns else None)
        if neuron.adapt != "none":
            shape = () if self.live else (_checked(steps),)
            self.leak, self.gain = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape))

    @property
    def live(self) -> bool:
        """Whether one step can run without knowing which one it is."""
        return self.neuron.adapt != "steps"

    @property
    def constant(self) -> bool:
        """Whether compiled kernels that fuse neurons with what is around them may stand for these: nothing is learned, and
        spikes have the gradient that the neuron names.
        """
        return type(self) is LIF and self.kernels == "auto" and self.w is None and self.neuron.adapt == "none"

    def forward(self, x: Tensor, v: Tensor | None = None, membrane: Membrane | None = None) -> tuple[Tensor, Tensor]:
        """Whole sequence: current [T,B,...] and `v` [B,...] (None: at rest, 0) -> (spikes [T,B,...], last v
        [B,...]). `membrane` is applied to the potential [B,...] of every step before it meets the threshold.

        Raises `ShapeError` when `v` does not fit, or T where every step has parameters of its own.
        """
        if not self.live and len(x) != self.steps:
            raise ShapeError(
                f"current [T,B,...] = {list(x.shape)} has T = {len(x)}, but these neurons learned one leak and gain for "
                f"each of T = {self.steps} steps: give them {self.steps} steps, or build and train them for {len(x)}"
            )
        if membrane is None or not len(x):
            adapted = None if self.neuron.adapt == "none" else torch.stack(self.rates(len(x), membrane_dtype(x)))
            return lif_scan(x, v, self.neuron, self._leak(x), adapted, self.kernels)
        spikes, rates = [], self._each_rates(x, len(x))
        for current, rate in zip(x.unbind(0), rates):  # the backward of an index would write a full [T,...] per step
            fired, v = self._step(current, v, membrane, rate)
            spikes.append(fired)
        assert v is not None
        return torch.stack(spikes), v

    def step(self, x: Tensor, v: Tensor | None = None, membrane: Membrane | None = None) -> tuple[Tensor, Tensor]:
        """One step by Norse: current [B,...] and `v` [B,...] -> (spikes [B,...], new v [B,...]).

        Raises `ShapeError` when `v` does not fit, `UsageError` unless `live`.
        """
        if not self.live:
            raise UsageError(
                "neurons with adapt = 'steps' have a leak and a gain for every step, and one step does not know which it "
                "is: call them on the whole sequence [T,B,...], or build them with adapt = 'shared'"
            )
        return self._step(x, v, membrane, self._each_rates(x, 1)[0])

    def rates(self, steps: int, dtype: torch.dtype = torch.float32) -> Rates:
        """(keep [T], gain [T]) of a neuron that adapts, at its `steps` steps."""
        # Spread over time before the sigmoid: torch computes a row of numbers by other code than a single one, and equal
        # parameters, shared or per step, are to come out equal to the bit.
        leak, gain = (learned.to(dtype).expand(steps) for learned in (self.leak, self.gain))
        return adapted_rates(leak, gain, self.neuron)

    def _each_rates(self, x: Tensor, steps: int) -> list[Rates | None]:
        """`rates` step by step in the membrane's precision; None where they are the neuron's own."""
        if self.neuron.adapt == "none":
            return [None] * steps
        keep, gain = self.rates(steps, membrane_dtype(x))
        return list(zip(keep.unbind(0), gain.unbind(0)))

    def _step(
        self, x: Tensor, v: Tensor | None, membrane: Membrane | None, rates: Rates | None
    ) -> tuple[Tensor, Tensor]:
        if v is None:
            v = torch.zeros_like(x, dtype=membrane_dtype(x))
        elif v.shape != x.shape:
            raise ShapeError(
                f"state [B,...] = {list(v.shape)} does not fit the current [B,...] = {list(x.shape)} of a step: "
                "pass the state that came out of the same network and batch size, or None to start at rest"
            )
        v = v.to(membrane_dtype(x))
        if rates is not None:
            u = integrate_adapted(x, v, *rates, self.neuron.bias)
        elif membrane is None:
            return norse_step(x, v, self.neuron, self._leak(x))
        else:
            u = integrate(x, v, self.neuron, self._leak(x))
        spikes, after = fire_and_reset(u if membrane is None else membrane(u), self.neuron)
        return spikes.to(x.dtype), after

    def _leak(self, x: Tensor) -> Tensor | None:
        """The learned 1 - keep, in the membrane's precision."""
        return None if self.w is None else self.w.to(membrane_dtype(x)).sigmoid()

    def _constants(self) -> dict[str, float]:
        """Those that are not learned, and where or within what those that adapt start."""
        neuron = self.neuron
        threshold = {"bias": neuron.bias, "v_th": neuron.v_th}
        if neuron.adapt != "none":
            # Names of their own per constraint: parameters mean another thing under the other one and must not load.
            gain = {"gain_max": 2.0 * neuron.gain} if neuron.constrain == "sigmoid" else {"gain_start": neuron.gain}
            return {"keep": neuron.keep, **gain, **threshold}
        if not neuron.learn_leak:
            return {"keep": neuron.keep, "gain": neuron.gain, **threshold}
        return threshold if neuron.decays_input else {"gain": neuron.gain, **threshold}

    def extra_repr(self) -> str:
        return str(self.neuron)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Torch's hook, to compare before copying: the constants belong to the architecture, not to the weights."""
        errors: list[str] = rest[-1]
        for name, own in self._constants().items():
            loaded = state_dict.get(prefix + name)
            if loaded is None or loaded.numel() != 1:  # torch names those
                continue
            # 1 % leaves room for a checkpoint that was stored in half precision.
            if not math.isclose(loaded.item(), own, rel_tol=0.01, abs_tol=1e-6):
                errors.append(f"{prefix}{name} is {loaded.item():g} in the checkpoint, {own:g} here: another neuron")
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _checked(steps: int | None) -> int:
    if steps is None or steps < 1:
        raise UsageError(
            f"steps = {steps} with adapt = 'steps': a leak and a gain per step need T, at least 1; pass LIF(neuron, steps=T)"
        )
    return steps
