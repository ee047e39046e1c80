"""What the codes have in common in which a pixel spikes at most once and its value is *when*.

Trap for all of them: behind a leaky neuron the early spike of a bright pixel has decayed most when the answer is read (with
leak 1/2 by 2^-(T-1)). Compare with a leak near 1, or let the neuron learn its leak per step.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from dvspipe.encoders.encoder import SpikeCode


class OneSpike(SpikeCode):
    """A subclass gives the step of every pixel (T or more: silent) and the values that share a step.

    `alone = False`: an analog step comes before (`Hybrid`), so a single step is enough.
    """

    beside_analog: ClassVar[Mapping[str, Any]] = {"alone": False}

    def __init__(self, steps: int, alone: bool = True, most: int = 2**15) -> None:
        super().__init__(steps, least=2 if alone else 1, most=most)
        self.alone = alone

    @property
    def bound(self) -> float | None:
        """Half of the widest range of values that share a step."""
        return max((high - low) / 2 for low, high in self._ranges())

    @abstractmethod
    def _when(self, image: Tensor) -> Tensor:
        """Step of every pixel's spike, 0-based [B,C,H,W]."""

    @abstractmethod
    def _ranges(self) -> list[tuple[float, float]]:
        """(lowest, highest) pixel value of steps 0..T-1 and, last, of silent pixels."""

    def _middles(self) -> list[float]:
        return [(low + high) / 2 for low, high in self._ranges()]

    def _spikes(self, image: Tensor) -> Tensor:
        return self._each_step(image) == self._when(image)

    def _decode(self, code: Tensor) -> Tensor:
        fired = code != 0
        when = torch.where(fired.any(0), fired.to(torch.uint8).argmax(0), self.steps)
        return torch.tensor(self._middles(), device=code.device, dtype=code.dtype)[when]
