"""The read-out of the image networks: one score per class and step, real-valued unless neurons follow."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.over_time import Probe
from dvspipe.snn.layers.parts import Part
from dvspipe.snn.layers.residual import NeuronLayer


class Logits(nn.Module):
    """Mean over what lies behind the features (H,W, if any), dropout, linear map to the classes.

    The published read-out maps the mean over T. The map is linear and one dropout mask serves all steps of a sample,
    so the mean of these scores over T is that read-out, and the scores of a step are what it would say of it alone.
    With `scaled_steps` = T > 0 the scores of every step are multiplied by a learned number that starts at 1 (ASNN).
    """

    def __init__(self, features: int, classes: int, dropout: float = 0.0, scaled_steps: int = 0) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(features, classes), dropout
        self.scale = nn.Parameter(torch.ones(scaled_steps)) if scaled_steps else None

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return self.scale is None

    def forward(self, x: Tensor, state: tuple[()] | None, probe: Probe | None = None) -> tuple[Tensor, tuple[()]]:
        """Spikes [T,B,F] or [T,B,F,H,W] -> (scores [T,B,K], nothing to carry)."""
        scores = self._scores(x)
        return (scores if self.scale is None else scores * self.scale[:, None, None].to(scores.dtype)), ()

    def step(self, x: Tensor, state: tuple[()] | None, probe: Probe | None = None) -> tuple[Tensor, tuple[()]]:
        """[B,F] or [B,F,H,W] -> (scores [B,K], nothing to carry)."""
        return self._scores(x[None])[0], ()

    def _scores(self, x: Tensor) -> Tensor:
        if x.ndim > 3:
            x = x.mean((3, 4))
        if self.training and self.dropout:
            x = x * F.dropout(torch.ones_like(x[0]), self.dropout)
        scores: Tensor = self.linear(x)
        return scores

    def parts(self) -> list[Part]:
        """Weights without neurons. Driven at the rate of the spikes, over whose pixels it takes the mean."""
        macs, classes = self.linear.weight.numel(), self.linear.out_features
        return [Part("fc", (self,), 0, macs, classes, kept=self.linear.in_features)]


def read_out(kit: Kit, features: int, classes: int, dropout: float = 0.0) -> dict[str, Any]:
    """The last layers of an image network: scores "out" and, where the kit says so, neurons "votes" that they drive."""
    layers: dict[str, Any] = {"out": Logits(features, classes, dropout, kit.steps if kit.step_scale else 0)}
    if kit.spiking_out:
        layers["votes"] = NeuronLayer((classes,), kit)
    return layers
