"""Read-outs: outputs per step, spikes or real-valued scores -> one score per class. Knows no thresholds and no time
constants.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dvspipe.errors import UsageError


def rate(out: Tensor) -> Tensor:
    """Mean output spike rate over time: [T,B,K] -> [B,K] (MA-SNN, ma-snn code: sum of output spikes / T)."""
    return full_precision(out).mean(0)


def cumulative_rate(out: Tensor) -> Tensor:
    """Mean output spike rate up to and including every step: [T,B,K] -> [T,B,K]."""
    out = full_precision(out)
    return out.cumsum(0) / out.new_ones(len(out)).cumsum(0)[:, None, None]


def full_precision(out: Tensor) -> Tensor:
    """As float32, or float64 where it is: half precision cannot sum many steps."""
    return out.to(torch.promote_types(out.dtype, torch.float32))


def first_spike(out: Tensor) -> Tensor:
    """Who spikes first wins: outputs [T,B,K] -> scores [B,K] (time-to-first-spike decoding).

    The score is the number of steps left at a class's first spike, T for one in the first step, plus less than 1 that
    breaks ties: the sum of what it fired, compared within the sample. A class that never spikes has 0. A spike is an
    output above 0, so this asks for a network whose outputs spike.
    """
    fired = full_precision(out).clamp_min(0)
    total = fired.sum(0)
    return len(out) - _first_steps(out) + total / (1 + total.amax(1, keepdim=True))


def first_spike_step(out: Tensor) -> Tensor:
    """When `first_spike` can decide: outputs [T,B,K] -> step [B] of the first spike of any class, from 0; T if none."""
    return _first_steps(out).amin(1)


def _first_steps(out: Tensor) -> Tensor:
    """[T,B,K] -> step [B,K] of every first spike, from 0; T if none."""
    return (out > 0).cummax(0).values.logical_not().sum(0)


def confidence(scores: Tensor, spikes: bool = True) -> Tensor:
    """How sure an answer is: scores [B,K] -> [B] in 0..1.

    Of spike rates, the answer's share of all output spikes, 0 where no output neuron fired. Of real-valued scores
    (`spikes` False), its softmax probability. Which of the two is the network's to say, not the values': a batch without
    a negative score would be read otherwise than the next one. Raises `UsageError` for spike rates below 0.
    """
    if not spikes:
        return scores.softmax(1).amax(1)
    if (scores < 0).any():
        raise UsageError(
            f"confidence of spike rates: the smallest is {float(scores.min()):g}, but no rate is below 0; real-valued "
            "scores need `spikes=False`"
        )
    total = scores.sum(1)
    return torch.where(total > 0, scores.max(1).values / total.clamp_min(1e-12), torch.zeros_like(total))


def strict_majority(correct: Tensor) -> Tensor:
    """A segment is right only if more than half of its clips are: bool [N, clips] -> bool [N] (MA-SNN, process.py)."""
    return correct.float().mean(1) > 0.5


READOUTS: dict[str, Callable[[Tensor], Tensor]] = {"mean": rate, "first-spike": first_spike}
