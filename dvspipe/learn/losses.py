"""Losses over outputs [T,B,K] and labels, each one number, and the activity that a loss may hold down.

A label is a class, [B] int64; or the share of every class, [B,K] float, as mixing two images makes it; or the class of
every step, [T,B] int64, -1 where nothing happens, for losses that look at every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dvspipe.decision.readout import full_precision, rate
from dvspipe.errors import UsageError, nearest
from dvspipe.metrics.spikes import POOLED

TET_SHARE, TET_MEAN = 1e-3, 1.0  # lambda and phi as released


class Loss(Protocol):
    """(outputs [T,B,K], label [B], [B,K] or [T,B]) -> one number that gradients flow through."""

    def __call__(self, out: Tensor, label: Tensor) -> Tensor: ...


def mse_rate(out: Tensor, label: Tensor) -> Tensor:
    """Mean squared error of the mean output spike rate against one-hot (MA-SNN, released code) or soft labels."""
    scores = rate(out)
    target = label if label.ndim == 2 else F.one_hot(label, scores.shape[1])
    return F.mse_loss(scores, target.to(scores.dtype))


def ce_rate(out: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the mean output spike rate, scaled to span [0, 10] so that a full rate can be confident."""
    return F.cross_entropy(10 * rate(out), label, label_smoothing=smoothing)


def ce(out: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the mean scores over time (GAC, MS-ResNet)."""
    return F.cross_entropy(rate(out), label, label_smoothing=smoothing)


def tet(
    out: Tensor, label: Tensor, smoothing: float = 0.0, *, share: float = TET_SHARE, mean: float = TET_MEAN
) -> Tensor:
    """(1 - l) · mean over t of CE(out[t], label) + l · MSE(out, phi), l = `share`, phi = `mean`: every step has to be right
    by itself, and no output may run away (Deng et al., ICLR 2022; Gus-Lab/temporal_efficient_training).
    """
    out = full_precision(out)
    labels = label.expand(len(out), *label.shape).flatten(0, 1)
    right = F.cross_entropy(out.flatten(0, 1), labels, label_smoothing=smoothing)
    return (1 - share) * right + share * F.mse_loss(out, torch.full_like(out, mean))


def first_spike_ce(out: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of minus the time of the first spike, in steps: the right class is to spike before the others.

    With p_first[t] = s[t] · Π_{u<t} (1 - s[u]) the expected time is Σ t · p_first[t] + T · Π (1 - s), T standing for
    never. That sum is the mean number of steps survived, Σ_t Π_{u<=t} (1 - s[u]), computed as such. Of spikes it is
    exact, and a surrogate carries the gradient on, to the steps up to the first spike. Raises `UsageError` for
    outputs that are not spikes (or shares of votes) in [0, 1].
    """
    low, high = full_precision(out.detach()).aminmax()
    if low < 0 or high > 1:
        raise UsageError(
            f"loss 'first-spike' on outputs from {float(low):g} to {float(high):g}: it needs spikes in [0, 1]; give the "
            "network an output that spikes, or choose another loss"
        )
    return F.cross_entropy(-survived(out), label, label_smoothing=smoothing)


def survived(out: Tensor) -> Tensor:
    """Output spikes in [0, 1], [T,B,K] -> steps [B,K] before the first spike, T if none; differentiable."""
    silent, steps = None, []
    for spikes in full_precision(out).unbind(0):  # torch's cumprod goes a slow way back wherever it meets a 0
        silent = 1 - spikes if silent is None else silent * (1 - spikes)
        steps.append(silent)
    return torch.stack(steps).sum(0)


def evidence(out: Tensor, label: Tensor, steps: float) -> Tensor:
    """Mean squared error, at every step, of leaky evidence against one-hot, or zeros where nothing happens (label -1).

    e[t] = a·e[t-1] + (1 - a)·out[t] with a = exp(-1 / steps), so what is asked for is what a live decision is made of:
    right soon, steady, and silent in pauses. The first `steps` steps are left out, for evidence cannot be there yet. Our
    own; close to van Rossum's distance between spike trains, whose kernel this is.
    """
    out = full_precision(out)
    first = min(len(out) - 1, round(steps))
    gathered = (_leaky(len(out), steps, out) @ out.flatten(1)).view_as(out)[first:]
    target = label[first:] if _of_steps(label) else label
    if not target.is_floating_point():
        target = F.one_hot(target.clamp_min(0), out.shape[2]) * (target >= 0)[..., None]
    return F.mse_loss(gathered, target.to(out.dtype).expand_as(gathered))


def _leaky(count: int, steps: float, like: Tensor) -> Tensor:
    """[count,count] weights (1 - a)·a^(t - s) of step s in the evidence at step t, 0 for later ones."""
    age = torch.arange(count, device=like.device)
    age = (age[:, None] - age[None, :]).to(like.dtype)
    keep = math.exp(-1.0 / steps)
    return ((1 - keep) * keep ** age.clamp_min(0)) * (age >= 0)


def _of_steps(label: Tensor) -> bool:
    """Whether a label [T,B] tells of every step."""
    return label.ndim == 2 and not label.is_floating_point()


def hard(label: Tensor) -> Tensor:
    """The class [B] int64 of a label [B]; the largest share of soft ones [B,K]; of steps [T,B] one that occurs."""
    if _of_steps(label):
        return label.amax(0).clamp_min(0)
    return label.argmax(1) if label.ndim == 2 else label


class Activity:
    """Give it to a network as `probe=`: spikes per neuron and step, NASAR, as a number that gradients flow through."""

    def __init__(self) -> None:
        self._spikes: list[Tensor] = []
        self._places = 0

    def __call__(self, name: str, spikes: Tensor) -> None:
        """One layer's spikes [T,B,...]; what a maximum pool makes of them is no neuron's."""
        if name.endswith(POOLED):
            return
        self._spikes.append(spikes.sum(dtype=torch.float32))
        self._places += spikes.numel()

    def nasar(self) -> Tensor:
        """Over every layer seen, each weighted by its neurons."""
        return torch.stack(self._spikes).sum() / self._places


LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse-rate": mse_rate,
    "ce-rate": ce_rate,
    "ce": ce,
    "tet": tet,
    "first-spike": first_spike_ce,
    "evidence": evidence,
}


def make_loss(
    name: str,
    smoothing: float = 0.0,
    evidence_steps: float = 6.0,
    tet_share: float = TET_SHARE,
    tet_mean: float = TET_MEAN,
) -> Loss:
    """One of `LOSSES`; `smoothing` in [0, 1) gives every class that share, spread evenly, of the label; `evidence_steps` is
    the time constant of "evidence", `tet_share` and `tet_mean` are lambda and phi of "tet".

    Raises `UsageError` for an unknown name, and for smoothing out of range or of a loss without cross-entropy.
    """
    if name not in LOSSES:
        raise UsageError(f"unknown loss '{name}'{nearest(name, list(LOSSES))}: known are {', '.join(LOSSES)}")
    if not 0.0 <= smoothing < 1.0:
        raise UsageError(f"smoothing = {smoothing}: the share of the label that is spread must be in [0, 1)")
    own: dict[str, dict[str, float]] = {
        "evidence": {"steps": evidence_steps},
        "tet": {"share": tet_share, "mean": tet_mean},
    }
    loss = partial(LOSSES[name], **own.get(name, {}))
    if not smoothing:
        return loss
    if name in ("mse-rate", "evidence"):
        raise UsageError(
            f"smoothing = {smoothing} with loss '{name}': it compares rates, not probabilities; set smoothing to 0, or "
            f"choose one of {', '.join(other for other in LOSSES if other not in ('mse-rate', 'evidence'))}"
        )
    return partial(loss, smoothing=smoothing)
