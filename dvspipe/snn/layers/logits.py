"""The non-spiking read-out of the image networks: one real-valued score per class and step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvspipe.snn.layers.over_time import Probe
from dvspipe.snn.layers.parts import Part


class Logits(nn.Module):
    """Mean over what lies behind the features (H,W, if any), dropout, linear map to the classes.

    The published read-out maps the mean over T. The map is linear and one dropout mask serves all steps of a sample,
    so the mean of these scores over T is that read-out, and the scores of a step are what it would say of it alone.
    """

    live = True

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(features, classes), dropout

    def forward(self, x: Tensor, state: tuple[()] | None, probe: Probe | None = None) -> tuple[Tensor, tuple[()]]:
        """Spikes [T,B,F] or [T,B,F,H,W] -> (scores [T,B,K], nothing to carry)."""
        if x.ndim > 3:
            x = x.mean((3, 4))
        if self.training and self.dropout:
            x = x * F.dropout(torch.ones_like(x[0]), self.dropout)
        return self.linear(x), ()

    def step(self, x: Tensor, state: tuple[()] | None, probe: Probe | None = None) -> tuple[Tensor, tuple[()]]:
        """[B,F] or [B,F,H,W] -> (scores [B,K], nothing to carry)."""
        scores, _ = self(x[None], state)
        return scores[0], ()

    def parts(self) -> list[Part]:
        """Weights without neurons. Driven at the rate of the spikes, over whose pixels it takes the mean."""
        macs, classes = self.linear.weight.numel(), self.linear.out_features
        return [Part("fc", (self.linear,), 0, macs, classes, kept=self.linear.in_features)]
