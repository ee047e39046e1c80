"""Bins in blocks give what single steps give, for networks that carry state and for those that need a whole clip."""

import numpy as np
import pytest
import torch

from dvspipe.decision.blocks import Blocks, ClipBatches, in_blocks
from dvspipe.decision.stepping import stepper
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import make_neuron
from dvspipe.snn.resting import rested

BINS, T = 75, 6


@pytest.fixture(params=["none", "causal", "released"])
def network(request):
    torch.manual_seed(0)
    asked = {"attention": "none"} if request.param == "none" else {"attention": "TCSA", "placement": request.param}
    asked |= {"classes": 4, "steps": T, "size": (16, 16), "width": 0.1, "t_ratio": 2, "c_ratio": 2}
    network = build_network("three-conv", neuron=make_neuron("ma-snn"), **asked).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(3)  # untrained, its outputs would be silent
    return network


@pytest.fixture
def frames():
    return np.random.default_rng(0).poisson(1.0, (BINS, 2, 16, 16)).astype(np.int32)


def test_blocks_equal_steps_however_they_are_cut(network, frames):
    one, many = stepper(network, T, rested), in_blocks(network, T)
    assert isinstance(many, Blocks if network.live else ClipBatches) and many.mode == one.mode
    single = np.stack([one.score(frame) for frame in frames])
    assert single.std() > 0
    for cuts in ([], [1], [3, 40, 74]):
        many.reset()
        found = np.concatenate([many.outputs(part) for part in np.split(frames, cuts)])
        np.testing.assert_allclose(found, single, atol=1e-5)


def test_reset_starts_at_rest(network, frames):
    many = in_blocks(network, T)
    first = many.outputs(frames[:20])
    many.outputs(frames[20:])
    many.reset()
    np.testing.assert_array_equal(many.outputs(frames[:20]), first)
