"""Burst code: a bright pixel sends a burst of many spikes in quick succession, from the first step on.

The idea is from Park et al. 2019, whose neurons make bursts by a reset that grows from spike to spike; for input pixels the
rule of Guo et al. 2021 (Frontiers in Neuroscience 15:638474) is customary and used here, on whole steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.encoders.encoder import SpikeCode, level
from dvspipe.errors import UsageError


class Burst(SpikeCode):
    """n = ceil(N x) spikes at steps 0, d, 2d, ... with d = ceil(longest - (longest - shortest) x); none at x = 0.

    `most` is N, by default T. `shortest` (1) and `longest` are the intervals of white and of black in steps; `longest` is
    by default all that T leaves to a burst of N spikes: with N = T the spikes stand side by side, with N = 5 in T = 16 steps
    a dim pixel's are 3 apart. The value is decoded from the count; the intervals only order the spikes in time.
    Raises `UsageError` where a burst would not fit in T steps.
    """

    name = "burst"

    def __init__(self, steps: int, most: int | None = None, shortest: int = 1, longest: int | None = None) -> None:
        super().__init__(steps)
        self.most = steps if most is None else most
        fits = (steps - 1) // (self.most - 1) if self.most > 1 else steps
        self.shortest, self.longest = shortest, fits if longest is None else longest
        if not (1 <= self.most <= steps and 1 <= shortest <= self.longest <= fits):
            raise UsageError(
                f"encoder 'burst': {self.most} spikes, {shortest} to {self.longest} steps apart, do not fit in T = {steps}: "
                f"burst.most must be 1 to T, and 1 <= shortest <= longest <= (T - 1) / (most - 1)"
            )

    @property
    def bound(self) -> float | None:
        """Half a spike of N."""
        return 0.5 / self.most

    def _spikes(self, image: Tensor) -> Tensor:
        count = level(image, self.most, upper=True)
        gap = (self.longest - (self.longest - self.shortest) * image).ceil().int()
        step = self._each_step(image)
        return (step % gap == 0) & (step < count * gap)

    def _decode(self, code: Tensor) -> Tensor:
        count = torch.count_nonzero(code, 0)
        return torch.where(count > 0, (count.to(code.dtype) - 0.5) / self.most, 0.0)
