"""Temporal attention (TA): one weight per time step, from the whole clip or from the last few steps."""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.attention.squeeze import Squeeze
from dvspipe.snn.kernels import recent_loops


class TemporalScore(Squeeze):
    """TA of MA-SNN §3.3 (BICLab/Attention-SNN, module/Attention.py): 2·T·(T // t_ratio) parameters.

    Sees the whole clip, so the number of steps is part of its parameters.
    """

    def __init__(self, steps: int, t_ratio: int) -> None:
        super().__init__("T", steps, "t_ratio", t_ratio)
        self.steps = steps

    def forward(self, mean: Tensor, maximum: Tensor) -> Tensor:
        """Mean and maximum [T,B] of each step -> score [T,B]. Raises `ShapeError` for another T."""
        if len(mean) != self.steps:
            raise ShapeError(
                f"temporal attention was built for T = {self.steps} steps, the frames [T,B,...] have T = {len(mean)}: "
                f"cut clips of {self.steps} bins, or build the network with steps = {len(mean)}"
            )
        return super().forward(mean.T, maximum.T).T


class RecentScore(Squeeze):
    """TA that looks only back: the same squeeze over the last `bins` steps, n, and one score, for the present step;
    (n + 1)·(n // t_ratio) parameters. Our own form; the paper has none.
    """

    def __init__(self, bins: int, t_ratio: int) -> None:
        if bins < 1:
            raise UsageError(f"attention_bins = {bins}: causal attention needs at least the present bin, so 1 or more")
        super().__init__("attention_bins", bins, "t_ratio", t_ratio, outputs=1)
        self.bins = bins

    def forward(  # type: ignore[override]  # the memory in and out is what sets it apart
        self, mean: Tensor, maximum: Tensor, memory: tuple[Tensor, ...] = ()
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Mean and maximum [T,B] of each step, and those of the `bins` - 1 steps before as `memory` (two
        [bins-1,B]; empty: zeros) -> (score [T,B], memory). Raises `ShapeError` for another memory.
        """
        shape = (self.bins - 1, mean.shape[1])
        if memory and [tuple(part.shape) for part in memory] != [shape, shape]:
            raise ShapeError(
                f"the state's attention memory {[list(part.shape) for part in memory]} does not fit two of "
                f"[attention_bins - 1,B] = {list(shape)}: pass the state that came out of the same network and batch"
            )
        before = memory or (mean.new_zeros(shape),) * 2
        history = [torch.cat(pair) for pair in zip(before, (mean, maximum))]
        if not torch.is_grad_enabled() and mean.dtype == torch.float32 and mean.device.type == "cpu":
            score = self._compiled(history, mean)
        else:
            oldest_first = (part.unfold(0, self.bins, 1) for part in history)
            score = super().forward(*oldest_first)[..., 0]
        return score, tuple(part[len(mean) :] for part in history)

    def _compiled(self, history: list[Tensor], like: Tensor) -> Tensor:
        """The same without gradients, in one pass."""
        score = torch.empty(like.shape)
        weights = (self.w0.weight.detach().float().numpy(), self.w1.weight.detach().float().numpy())
        recent_loops.recent_scores(history[0].numpy(), history[1].numpy(), *weights, score.numpy())
        return score
