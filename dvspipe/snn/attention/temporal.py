"""Temporal attention (TA): one weight per time step. Sees the whole clip, so the number of steps is part of its
parameters.
"""

from __future__ import annotations

from torch import Tensor

from dvspipe.errors import ShapeError
from dvspipe.snn.attention.squeeze import Squeeze


class TemporalScore(Squeeze):
    """TA of MA-SNN §3.3 (BICLab/Attention-SNN, module/Attention.py): 2·T·(T // t_ratio) parameters."""

    def __init__(self, steps: int, t_ratio: int) -> None:
        super().__init__("T", steps, t_ratio)
        self.steps = steps

    def forward(self, mean: Tensor, maximum: Tensor) -> Tensor:
        """Mean and maximum [T,B] of each step -> score [T,B]. Raises `ShapeError` for another T."""
        if len(mean) != self.steps:
            raise ShapeError(
                f"temporal attention was built for T = {self.steps} steps, the frames [T,B,...] have T = {len(mean)}: "
                f"cut clips of {self.steps} bins, or build the network with steps = {len(mean)}"
            )
        return super().forward(mean.T, maximum.T).T
