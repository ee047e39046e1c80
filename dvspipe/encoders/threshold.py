"""Threshold-quantised temporal codes: descending thresholds, one per step; a pixel spikes once, at the first it reaches.

From ASNN (arXiv 2408.12407; repository hhx0320/ASNN). Fault of the released file, fixed here: it sets the remainder
of pixels that fired to 0 and compares with the last threshold, exactly 0, by >=, so that *every* pixel spikes in the last
step. Here a pixel's step is computed once, from its integer level.

The equal-frequency thresholds assume normal pixels, which images are not: at T = 4 the steps take 29, 10, 12 and 49 % of
the pixels of scikit-learn's digits. Measure the spikes per step, or `fit` the thresholds.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import NormalDist

import torch
from torch import Tensor
from torch.nn import functional

from dvspipe.encoders.encoder import level
from dvspipe.encoders.one_spike import OneSpike

_FIT_VALUES = 2**24  # torch.quantile takes no more; evenly chosen images give the same quantiles


class Threshold(OneSpike):
    """Thresholds 1 - k/T, k = 1..T: a pixel spikes at the step of its integer level floor(x T), white and 1 - 1/T first.

    Tie rule: a pixel exactly on a threshold reaches it (see `level`). All spike, the last step takes those below 1/T. With
    `alone = False` there is one threshold more than steps, 1 - k/(T+1), and pixels that only reach the last, 0, are silent.
    """

    name = "threshold"

    def __init__(self, steps: int, alone: bool = True) -> None:
        super().__init__(steps, alone)
        self.levels = steps if alone else steps + 1

    def _when(self, image: Tensor) -> Tensor:
        return self.levels - 1 - level(image, self.levels)

    def _ranges(self) -> list[tuple[float, float]]:
        edges = [1 - k / self.levels for k in range(self.levels + 1)]
        bins = [(low, high) for high, low in pairwise(edges)]
        return [*bins, (0.0, 0.0)] if self.alone else bins


class EqualFrequency(Threshold):
    """Thresholds that give every step the same share of pixels, on sigmoid(layer norm(image)), taken over (C,H,W).

    Before `fit`: sigmoid(Φ⁻¹(1 - k/T)), right for normally distributed pixels (the released script searches them by
    Monte Carlo). `fit(images)` takes quantiles of training images instead; they live in buffers, so a checkpoint holds them.
    Decoding gives back `target(image)`, the median of each step; an image's own mean and contrast are not in the code.
    """

    name = "threshold-equal"
    thresholds: Tensor  # ascending [levels - 1]
    medians: Tensor  # ascending [levels]

    def __init__(self, steps: int, alone: bool = True) -> None:
        super().__init__(steps, alone)
        normal = torch.tensor([NormalDist().inv_cdf(share) for share in self._shares()])
        self.register_buffer("thresholds", torch.sigmoid(normal[1::2]))
        self.register_buffer("medians", torch.sigmoid(normal[::2]))

    def target(self, image: Tensor) -> Tensor:
        """sigmoid(layer norm(image)) in (0,1), what the thresholds see; 0.5 throughout for an even image."""
        return torch.sigmoid(functional.layer_norm(image, image.shape[1:]))

    def fit(self, images: Tensor) -> None:
        """Sets the thresholds to quantiles of training images [N,C,H,W] in [0,1]; never of the images to be tested.

        Raises as `forward` does. Of more than 16 million values evenly chosen images are taken.
        """
        every = -(-images.numel() // _FIT_VALUES)
        values = self.target(self._checked(images[::every].float())).flatten()
        shares = torch.tensor(self._shares(), device=values.device)
        quantiles = torch.quantile(values, shares).to(self.thresholds)
        self.thresholds.copy_(quantiles[1::2])
        self.medians.copy_(quantiles[::2])

    def _shares(self) -> list[float]:
        """1/2L, 2/2L, ...: in turn the median of a level and the threshold above it."""
        return [k / (2 * self.levels) for k in range(1, 2 * self.levels)]

    def _when(self, image: Tensor) -> Tensor:
        seen = self.target(image).contiguous()
        return self.levels - 1 - torch.bucketize(seen, self.thresholds.to(seen.dtype), out_int32=True, right=True)

    def _ranges(self) -> list[tuple[float, float]]:
        edges = [1.0, *reversed(self.thresholds.tolist()), 0.0]
        bins = [(low, high) for high, low in pairwise(edges)]
        return [*bins, (0.0, 0.0)] if self.alone else bins

    def _middles(self) -> list[float]:
        return [*reversed(self.medians.tolist()), 0.0][: self.steps + 1]

    @property
    def bound(self) -> float | None:
        """The farthest that a value can lie from its step's median."""
        pairs = zip(self._ranges(), self._middles())
        return max(max(high - middle, middle - low) for (low, high), middle in pairs)
