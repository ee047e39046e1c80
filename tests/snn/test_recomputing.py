"""Layers computed again on the way back: the same training, bit for bit, in less memory."""

from __future__ import annotations

import pytest
import torch

from dvspipe.bench.peak import peak_mb
from dvspipe.snn.layers.row import recompute_layers
from dvspipe.snn.networks import build_network

NETWORKS = [
    ("three-conv", {"attention": "TCSA", "size": (8, 8), "width": 0.25}),
    ("three-conv", {"attention": "TCSA", "placement": "causal", "norm": "tdbn", "size": (8, 8), "width": 0.25}),
    ("five-conv-a", {"size": (32, 32), "width": 0.1}),  # dropout draws
    ("ms-resnet-18-cifar", {"attention": "CSA", "size": (16, 16), "width": 0.1, "in_channels": 2}),
    ("spikformer", {"dim": 16, "depth": 1, "heads": 2, "size": (32, 32), "in_channels": 2}),
]


def trained(name, settings, recompute, steps=3):
    """Weights, buffers, outputs and drawn numbers after a few steps of plain gradient descent."""
    torch.manual_seed(0)
    network = build_network(name, steps=6, classes=4, t_ratio=2, c_ratio=2, **settings).train()
    recompute_layers(network, recompute)
    frames = (torch.rand(6, 3, *network.frame_shape) < 0.3).float()
    outs = []
    for _ in range(steps):
        out, _ = network(frames)
        grads = torch.autograd.grad((out.mean(0) - 0.5).square().sum(), list(network.parameters()), allow_unused=True)
        with torch.no_grad():
            for weight, grad in zip(network.parameters(), grads):
                weight -= 0.1 * (torch.zeros_like(weight) if grad is None else grad)
        outs.append(out.detach())
    return [*network.state_dict().values(), *outs, torch.rand(3)]


@pytest.mark.parametrize(("name", "settings"), NETWORKS, ids=lambda each: each if isinstance(each, str) else None)
def test_the_same_training_bit_for_bit(name, settings):
    kept, again = trained(name, settings, False), trained(name, settings, True)
    assert all(torch.equal(here, there) for here, there in zip(kept, again))


def test_less_memory():
    peaks = []
    for recompute in (False, True):
        network = build_network("ms-resnet-18-cifar", steps=4, classes=4, width=0.25).train()
        recompute_layers(network, recompute)
        frames = torch.rand(4, 8, *network.frame_shape)
        peaks.append(peak_mb(lambda: network(frames)[0].sum().backward()))  # noqa: B023  (called at once)
    assert peaks[1] < 0.5 * peaks[0]


def test_without_gradients_and_with_a_probe_nothing_is_different():
    torch.manual_seed(0)
    network = build_network("three-conv", steps=6, classes=4, size=(8, 8), width=0.25).train()
    recompute_layers(network, True)
    heard, frames = [], torch.rand(6, 2, *network.frame_shape)
    network(frames, probe=lambda name, spikes: heard.append(name))[0].sum().backward()
    assert len(heard) == len(set(heard)) == 5
    with torch.no_grad():
        assert network(frames)[0].shape == (6, 2, 4)
