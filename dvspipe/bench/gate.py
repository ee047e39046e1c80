"""Equal work, checked before any time is taken: same currents in, same spikes and input gradients out.

A threshold amplifies rounding: where a membrane comes within 1e-5 of it (or of the edge of a rectangle), another order of
operations may decide the other way, and everything that neuron does afterwards differs. Neurons with such a step in the
sequence are left out of the comparison, their share is limited; all the others must be equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dvspipe.snn.kernels import reference
from dvspipe.snn.neurons import Neuron

NEAR = 1e-5
MOST_TIES = 0.05  # share of neurons
GRADIENTS = {torch.float32: 1e-5, torch.bfloat16: 0.1}
SPIKES = {torch.float32: 0.0, torch.bfloat16: 0.01}
RULE = (
    "Equal work, checked before timing on the same currents: spikes equal and input gradients within 1e-5 in the Euclidean "
    "norm; left out are neurons with a step within 1e-5 of the threshold. In bfloat16 a library may hold its membrane in it: "
    "then up to 1 % of the spikes may differ, and gradients of the neurons without such a spike by up to 10 %."
)

Sequence = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`equal`, and what was found in words."""

    equal: bool
    words: str


def check_neurons(neurons: Sequence, current: Tensor, neuron: Neuron, seed: int = 0) -> Verdict:
    """Compares `neurons(current [T,B,...])` with the reference loop of `neuron` from rest."""
    expected, gradient = _run(lambda x: _reference(x, neuron), current, seed)
    found, found_gradient = _run(neurons, current, seed)
    tied = ties(current, neuron)
    if (share := float(tied.float().mean())) > MOST_TIES:
        return Verdict(False, f"{share:.1%} of the neurons come near the threshold: too many to tell")
    differs = (found != expected) & ~tied
    wrong, same = float(differs.float().mean()), ~(tied | differs.any(0))
    if wrong > SPIKES[current.dtype]:
        return Verdict(False, f"not equal work: {wrong:.2%} of the spikes differ")
    error = _relative(found_gradient[:, same], gradient[:, same])
    if not error < GRADIENTS[current.dtype]:
        return Verdict(False, f"not equal work: input gradients differ by {error:.1e}")
    return Verdict(True, f"{wrong:.2%} of the spikes differ, its membrane is bfloat16" if wrong else "")


@torch.no_grad()
def ties(current: Tensor, neuron: Neuron) -> Tensor:
    """[B,...]: whether a neuron's membrane comes within `NEAR` of where rounding decides."""
    v = torch.zeros(current.shape[1:], device=current.device)
    tied = torch.zeros_like(v, dtype=torch.bool)
    for x in current.unbind(0):
        u = neuron.keep * v + neuron.gain * x.float() + neuron.bias
        away = (u - neuron.v_th).abs()
        tied |= away < NEAR
        if neuron.surrogate == "rectangle":
            tied |= (away - neuron.surrogate_scale).abs() < NEAR
        v = torch.where(u >= neuron.v_th, torch.full_like(u, neuron.v_reset), u)
    return tied


def _reference(x: Tensor, neuron: Neuron) -> Tensor:
    return reference.lif_scan(x, torch.zeros(x.shape[1:], device=x.device), neuron)[0]


def _run(neurons: Sequence, current: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """(spikes, gradient of the input) for random gradients of the spikes."""
    x = current.detach().clone().requires_grad_()
    spikes = neurons(x)
    given = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
    spikes.backward(given.to(spikes.dtype))
    assert x.grad is not None
    return spikes.detach().float(), x.grad.float()


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp_min(1e-30))


def check_close(found: Tensor, expected: Tensor, what: str, tolerance: float = 1e-5) -> Verdict:
    """Whether two real tensors agree in the Euclidean norm."""
    error = _relative(found.float(), expected.float())
    return Verdict(True, "") if error < tolerance else Verdict(False, f"not equal work: {what} differs by {error:.1e}")
