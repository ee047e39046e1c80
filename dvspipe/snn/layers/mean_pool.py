"""Mean pooling that keeps nothing for the way back: torch's keeps its whole input, of which it only needs the size."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import Function


class MeanPool2d(nn.AvgPool2d):
    """The mean of every `size` x `size` pixels of [N,C,H,W]; what is left over at the edges is left out, as torch does."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """[N,C,H,W] -> [N,C,H//size,W//size]."""
        if not x.requires_grad or x.shape[2] % self.size or x.shape[3] % self.size:
            return super().forward(x)
        pooled: Tensor = _MeanPool.apply(x, self.size)
        return pooled


class _MeanPool(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        ctx.size = size
        return F.avg_pool2d(x, size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        shared = grad / (ctx.size * ctx.size)  # before it is repeated: a fraction of the work
        return F.interpolate(shared, scale_factor=ctx.size, mode="nearest"), None
