"""Weighted phase code (Kim et al. 2018): the bits of the pixel value, one per step.

The code is only half of the method: the *receiver* must weigh the spikes by 2^-k, or they are bit planes of equal standing.
A leaky neuron does worse: it discounts what came early, with the bits in the paper's order the most significant ones. Hence
the two forms here. `order = "lsb"` (default) sends the least significant bit first: with a leak of 1/2 per step the membrane
after step T is the weighted sum, of itself. `weigh = true` multiplies the receiver's weights on, in any order. SpikingJelly's
WeightedPhaseEncoder is `order = "msb"` without weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.encoders.encoder import SpikeCode
from dvspipe.errors import UsageError, nearest

ORDERS = ("lsb", "msb")


class Phase(SpikeCode):
    """T bits of floor(x 2^T), at most 2^T - 1; `order` says which comes first.

    `weigh`: a spike of the bit worth 2^-k is T · 2^-k / (1 - 2^-T) instead of 1, so that the mean over the steps is the
    quantised pixel floor(x 2^T) / (2^T - 1), and white drives a network on average as hard as under direct coding. Still
    spikes: a receiver folds the factor of the step into its weights.
    """

    name = "phase"

    def __init__(self, steps: int, order: str = "lsb", weigh: bool = False) -> None:
        super().__init__(steps, most=16)
        if order not in ORDERS:
            known = list(ORDERS)
            raise UsageError(f"encoder 'phase': unknown order '{order}'{nearest(str(order), known)}: known are {known}")
        self.order, self.weigh = order, weigh

    @property
    def bound(self) -> float | None:
        """Half of the last bit."""
        return 0.5 / 2**self.steps

    def _encode(self, image: Tensor) -> Tensor:
        spikes = super()._encode(image)
        if not self.weigh:
            return spikes
        return spikes * (self._worth(image) * (self.steps / (2**self.steps - 1))).to(image.dtype)

    def _spikes(self, image: Tensor) -> Tensor:
        number = (image * 2**self.steps).int().clamp_(max=2**self.steps - 1)
        return (number & self._worth(image)) != 0

    def _decode(self, code: Tensor) -> Tensor:
        number = torch.where(code != 0, self._worth(code), 0).sum(0)
        return (number.to(code.dtype) + 0.5) / 2**self.steps

    def _worth(self, like: Tensor) -> Tensor:
        """What a spike at each step stands for: 2^0..2^(T-1) in this order, [T,1,1,1,1]."""
        worth = 2 ** self._each_step(like)
        return worth if self.order == "lsb" else worth.flip(0)
