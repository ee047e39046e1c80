"""Binary rank code, ASNN's "embedding": T steps carry 2^T - 1 levels, as bits that the network must learn to weigh.

From ASNN (repository hhx0320/ASNN). Fault of the released file, fixed here: it takes the thresholds 1 - k/T with k up to
2^T - 1, so that from the T-th on they are 0 or negative, every pixel passes and planes hold counts above 1. Meant are
1 - k/L, L = 2^T - 1. (Its "mix embedding" of 4 bits then needs T = 5: `Hybrid` counts its analog step itself.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from dvspipe.encoders.encoder import SpikeCode, level


class Rank(SpikeCode):
    """Levels numbered 1 (brightest) to L = 2^T - 1 (darkest); step t is bit t of the number, least significant first.

    A pixel spikes 1 to T times, black at every step. Tie rule: see `level`. `alone = False`: an analog step comes before.
    """

    name = "rank"
    beside_analog: ClassVar[Mapping[str, Any]] = {"alone": False}

    def __init__(self, steps: int, alone: bool = True) -> None:
        super().__init__(steps, least=2 if alone else 1, most=16)
        self.levels = 2**steps - 1

    @property
    def bound(self) -> float | None:
        """Half a level."""
        return 0.5 / self.levels

    def _spikes(self, image: Tensor) -> Tensor:
        number = self.levels - level(image, self.levels)
        return (number >> self._each_step(image)) & 1

    def _decode(self, code: Tensor) -> Tensor:
        bits = 2 ** self._each_step(code)
        number = (torch.where(code != 0, bits, 0)).sum(0)
        return ((self.levels - number).to(code.dtype) + 0.5) / self.levels
