"""Latency codes (time to first spike): bright pixels spike early, at a time linear or logarithmic in the value.

Both rules are SpikingJelly's LatencyEncoder; its documentation states the condition on the logarithm's constant as
t_f(1) = T-1, the code has t_f(0) = T-1, as here. Values outside [0,1] are refused, where a normalised image would ask for
steps that do not exist. A black pixel spikes at the *last* step, not never, unless `silent_zero` masks exact zeros (also the
corners a rotation fills in).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from dvspipe.encoders.one_spike import OneSpike


class Latency(OneSpike):
    """Step t_f = (T-1)(1-x), rounded half to even, 0-based: x = 0.5 at T = 4 spikes at step 2.

    `silent_zero`: pixels that are exactly 0 never spike.
    """

    name = "latency"

    def __init__(self, steps: int, silent_zero: bool = False, alone: bool = True) -> None:
        super().__init__(steps, alone)
        self.silent_zero = silent_zero

    def _when(self, image: Tensor) -> Tensor:
        when = self._time(image).round().int()
        return torch.where(image == 0, self.steps, when) if self.silent_zero else when

    def _time(self, image: Tensor) -> Tensor:
        """Spike time in steps, before rounding."""
        return (self.steps - 1) * (1 - image)

    def _value(self, time: float) -> float:
        """The pixel value that spikes at `time`."""
        return 1 - time / (self.steps - 1)

    def _ranges(self) -> list[tuple[float, float]]:
        if self.steps == 1:
            return [(0.0, 1.0), (0.0, 0.0)]
        cuts = [0.0, *(step + 0.5 for step in range(self.steps - 1)), self.steps - 1.0]
        return [(self._value(later), self._value(sooner)) for sooner, later in pairwise(cuts)] + [(0.0, 0.0)]


class LatencyLog(Latency):
    """Step t_f = T-1 - ln(a x + 1) with a = e^(T-1) - 1, rounded half to even: white at step 0, black at step T-1.

    Dark pixels are told apart finely and bright ones hardly: at T = 8 everything from 0.61 up spikes at step 0.
    """

    name = "latency-log"

    def __init__(self, steps: int, silent_zero: bool = False, alone: bool = True) -> None:
        OneSpike.__init__(self, steps, alone, most=64)  # e^(T-1) must stay a number in single precision
        self.silent_zero = silent_zero
        self.scale = math.expm1(self.steps - 1)

    def _time(self, image: Tensor) -> Tensor:
        return self.steps - 1 - torch.log1p(self.scale * image)

    def _value(self, time: float) -> float:
        return math.expm1(self.steps - 1 - time) / self.scale
