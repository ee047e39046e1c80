"""Spatial attention (SA): one weight per pixel, from the mean and the maximum over whatever planes the placement
merges.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpatialScore(nn.Module):
    """SA of MA-SNN §3.3: 2·kernel² parameters; the paper says 7x7, the released code 3x3.

    Mean and maximum [B,H,W] -> score [B,H,W].
    """

    def __init__(self, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, mean: Tensor, maximum: Tensor) -> Tensor:
        score: Tensor = self.conv(torch.stack((mean, maximum), dim=1))
        return score[:, 0]
