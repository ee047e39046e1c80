"""Read-outs: output spikes per step -> one score per class. Knows no thresholds and no time constants."""

from __future__ import annotations

import torch
from torch import Tensor


def rate(out: Tensor) -> Tensor:
    """Mean output spike rate over time: [T,B,K] -> [B,K] (MA-SNN, ma-snn code: sum of output spikes / T)."""
    return out.float().mean(0)


def cumulative_rate(out: Tensor) -> Tensor:
    """Mean output spike rate up to and including every step: [T,B,K] -> [T,B,K]."""
    steps = out.new_ones(out.shape[0], dtype=out.float().dtype).cumsum(0)
    return out.float().cumsum(0) / steps[:, None, None]


def confidence(scores: Tensor) -> Tensor:
    """The answer's share of all output spikes: scores [B,K] -> [B] in 0..1; 0 where no output neuron fired."""
    total = scores.sum(1)
    return torch.where(total > 0, scores.max(1).values / total.clamp_min(1e-12), torch.zeros_like(total))


def strict_majority(correct: Tensor) -> Tensor:
    """A segment is right only if more than half of its clips are: bool [N, clips] -> bool [N] (MA-SNN, process.py)."""
    return correct.float().mean(1) > 0.5
