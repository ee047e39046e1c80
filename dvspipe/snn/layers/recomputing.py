"""Layers that keep nothing but their input between the way forth and back, and compute the rest again: half to a quarter of
the memory of a training step for a third more time.

The second time is exactly the first: random states are brought back, and running statistics learn from the first alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from dvspipe.snn.layers.over_time import Probe


def recomputed(layer: nn.Module, x: Tensor, state: Any, probe: Probe | None = None) -> tuple[Tensor, Any]:
    """`layer(x, state, probe)`, whose insides are let go and computed again when gradients come back.

    A probe would hear everything twice, and without gradients nothing is kept anyway: then it is an ordinary call.
    """
    if probe is not None or not torch.is_grad_enabled():
        called: tuple[Tensor, Any] = layer(x, state, probe)
        return called

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_stand_still(layer)

    out: tuple[Tensor, Any] = checkpoint(layer, x, state, use_reentrant=False, context_fn=contexts)
    return out


@contextmanager
def _statistics_stand_still(layer: nn.Module) -> Iterator[None]:
    norms = [module for module in layer.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before):
            norm.momentum, norm.num_batches_tracked = momentum, count
