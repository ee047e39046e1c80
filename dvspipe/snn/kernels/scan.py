"""Which kernel runs a sequence. The one place that knows which devices have a fast one.

A device's module offers `lif_scan(x, v0, neuron, leak)` and `takes(x)`; everything else runs on the reference.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from dvspipe.errors import ShapeError
from dvspipe.snn.kernels import cpu, reference
from dvspipe.snn.neurons import Neuron, membrane_dtype

_FAST: dict[str, ModuleType] = {"cpu": cpu}  # "cuda": the Triton kernels' place


def lif_scan(x: Tensor, v0: Tensor | None, neuron: Neuron, leak: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """T steps of `neuron` over the current `x` [T,B,...], from stored potential `v0` [B,...] (None: at rest, 0).

    Returns (spikes [T,B,...] in `x`'s dtype and memory format, last v [B,...] float32, or float64 for float64).
    `leak` [] in the membrane's dtype is a learned 1 - keep (None: the neuron's constant); where the neuron
    `decays_input`, it is the gain too. Gradients flow to `x`, `v0` and `leak`. Raises `ShapeError` when `v0` does not
    fit `x`.
    """
    if v0 is None:
        v0 = torch.zeros_like(x[0] if len(x) else x.new_empty(x.shape[1:]), dtype=membrane_dtype(x))
    elif v0.shape != x.shape[1:]:
        raise ShapeError(
            f"state [B,...] = {list(v0.shape)} does not fit the current [T,B,...] = {list(x.shape)}: "
            "pass the state that came out of the same network and batch size, or None to start at rest"
        )
    fast = _FAST.get(x.device.type)
    kernel = fast if fast is not None and fast.takes(x) else reference
    spikes, v = kernel.lif_scan(x, v0.to(membrane_dtype(x)), neuron, leak)
    return spikes, v
