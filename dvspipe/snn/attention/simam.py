"""SimAM: parameter-free attention (Yang et al., ICML 2021; ZjjConan/SimAM, networks/attentions/simam_module.py).

    g = sigmoid(d / (4·(Σd / (H·W - 1) + λ)) + 1/2),  d = (x - mean over H,W)²,  λ = 1e-4

So an element weighs more the further it is from the mean of its plane.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.snn.attention.per_step import StepAttention

LAMBDA = 1e-4


class SimpleAttention(StepAttention):
    """One weight per element; nothing to learn."""

    @property
    def kept(self) -> int:
        """Difference, square, gate and the element itself."""
        return 4

    def gate_macs(self, size: tuple[int, int]) -> int:
        """4 per element and step, as MA-SNN's Table 5 counts it (25.56 M in the three-conv network at T = 60)."""
        return 4 * self.steps * self.channels * size[0] * size[1]

    def _score(self, x: Tensor) -> Tensor:
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # a variance of half-precision numbers says little
        distance = (x - x.mean((2, 3), keepdim=True)).square()
        others = max(x.shape[2] * x.shape[3] - 1, 1)
        return distance / (4 * (distance.sum((2, 3), keepdim=True) / others + LAMBDA)) + 0.5
