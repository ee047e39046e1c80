"""What a call leaves in memory for the way back, as torch's graph tells it."""

from contextlib import nullcontext

import pytest
import torch


@pytest.fixture
def kept_by_autograd(monkeypatch):
    """(module, inputs) -> bytes that its call keeps: weights not counted, spikes as they are and not as bits."""
    monkeypatch.setattr("dvspipe.snn.networks.network.spikes_as_bits", nullcontext)

    def kept_by(module, *inputs):
        own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
        kept = {}

        def keep(tensor):
            if tensor.untyped_storage().data_ptr() not in own:
                kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor.detach()

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = module(*inputs)  # noqa: F841  what is kept lives as long as its result
            return sum(kept.values())

    return kept_by
