"""What a network of many steps teaches one of few: step-wise distillation (HSD).

Zhong et al., ACM MM 2024 (arXiv 2409.12507; repository hsw0929/HSD):
    L = CE(mean_t o[t], y) + weight · tau² · (1/T) Σ_t KL( softmax(q / tau) || softmax(o[t] / tau) )
q is the teacher's mean score over its own time, tau the temperature; KL is the mean over samples *and* classes, as in the
released code. The first term is the recipe's loss. There the teacher is the very object that learns; here it is another
run's network, frozen, with its own T. Knows neither runs nor recipes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvspipe.decision.readout import full_precision, rate
from dvspipe.errors import ShapeError

Term = Callable[[Tensor], Tensor]


def stepwise_distillation(out: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """The second term without its weight: scores [T,B,K] of every step and the teacher's [B,K] -> one number.

    Raises `ShapeError` where they are of different classes or samples.
    """
    out = full_precision(out)
    if taught.shape != out.shape[1:]:
        raise ShapeError(
            f"a teacher's scores [B,K] = {list(taught.shape)} and a pupil's [T,B,K] = {list(out.shape)}: both must answer "
            "for the same samples and classes"
        )
    wanted = (taught.to(out.dtype) / temperature).softmax(1).expand_as(out)
    return temperature**2 * F.kl_div((out / temperature).log_softmax(2), wanted, reduction="none").mean()


def fewer_bins(frames: Tensor, group: int, steps: int) -> Tensor:
    """Frames [T,B,C,H,W] of a teacher -> those of its pupil: the first `steps` sums of `group` bins in a row."""
    kept = frames[: group * steps]
    return kept if group == 1 else kept.unflatten(0, (steps, group)).sum(1, dtype=kept.dtype)


class Teacher:
    """A frozen network that gives a lesson on every batch of *its* frames: `group` of its bins are one of the pupil's, who
    sees the first `steps` of those (None: both see the same, as with images).
    """

    def __init__(
        self,
        network: nn.Module,
        temperature: float = 2.0,
        weight: float = 1.0,
        group: int = 1,
        steps: int | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.temperature, self.weight, self.group, self.steps = temperature, weight, group, steps

    @torch.no_grad()
    def scores(self, frames: Tensor) -> Tensor:
        """Its mean scores [B,K] over its own T."""
        self.network.to(frames.device)
        out, _ = self.network(frames)
        return rate(out)

    def lesson(self, frames: Tensor) -> tuple[Tensor, Term]:
        """A batch of the teacher's -> (the pupil's frames, what to add to its loss: a function of its outputs [T,B,K])."""
        taught = self.scores(frames)
        own = frames if self.steps is None else fewer_bins(frames, self.group, self.steps)
        return own, lambda out: self.weight * stepwise_distillation(out, taught, self.temperature)
