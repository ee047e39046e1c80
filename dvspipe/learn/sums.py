"""Loss and accuracy summed over batches of unequal size, and over processes: exact, no averages of averages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dvspipe.learn.losses import hard
from dvspipe.learn.world import World


class Sums:
    """`values` are the sum of losses, the number of right answers, the number of samples."""

    def __init__(self, readout: Callable[[Tensor], Tensor], values: Sequence[float] = (0.0, 0, 0)) -> None:
        self.readout, self.values = readout, list(values)

    def add(self, loss: Tensor, out: Tensor, label: Tensor, count: int) -> None:
        """The mean `loss` of outputs [T,B,K]; the first `count` of the B samples are counted: all, or none of them."""
        answers = self.readout(out.detach()).argmax(1)
        right = int((answers == hard(label)).sum()) if count else 0
        for place, value in enumerate((float(loss.detach()) * count, right, count)):
            self.values[place] += value

    def means(self, world: World, device: torch.device) -> tuple[float, float]:
        """(loss, accuracy) over the samples of all processes."""
        loss, right, count = self.values
        if world.size > 1:
            total = torch.tensor(self.values, dtype=torch.float64, device=device)
            torch.distributed.all_reduce(total)
            loss, right, count = total.tolist()
        return loss / max(1, count), right / max(1, count)
