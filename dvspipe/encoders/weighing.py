"""GAC's product sigmoid(MT · MSC) · S where MSC is the same at every step, without ever holding the gate of all steps.

As one expression it goes through memory about ten times, twice the cost of the gate's convolutions. Here a step's
values stay in cache, and the way back makes the gate again. Knows nothing about how scores are made.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Weigh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, time: Tensor, space: Tensor, spikes: Tensor) -> Tensor:
        ctx.save_for_backward(time, space, spikes)
        coded = torch.empty_like(spikes)
        for score, fired, out in zip(time, spikes, coded):
            torch.mul((score * space).sigmoid_(), fired, out=out)
        return coded

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        time, space, spikes = ctx.saved_tensors
        grad_time, grad_spikes = torch.empty_like(time), torch.empty_like(spikes)
        summed = torch.promote_types(space.dtype, torch.float32)  # half precision cannot sum many steps
        grad_space = torch.zeros_like(space, dtype=summed)
        for step, score in enumerate(time):
            gate = (score * space).sigmoid_()
            through = torch.mul(grad[step], gate, out=grad_spikes[step])
            slope = through * spikes[step]
            slope.addcmul_(slope, gate, value=-1)  # · (1 - gate): the derivative of the sigmoid
            grad_time[step] = (slope * space).sum((1, 2, 3), keepdim=True)
            grad_space += slope * score
        return grad_time, grad_space.to(space.dtype), grad_spikes


def weigh(time: Tensor, space: Tensor, spikes: Tensor) -> Tensor:
    """Scores MT [T,B,1,1,1] and MSC [B,C,H,W], spikes [T,B,C,H,W] -> sigmoid(MT · MSC) · spikes, all of one type."""
    coded: Tensor = _Weigh.apply(time, space, spikes)
    return coded
