"""tdBN in networks: where two branches meet before neurons each has 1/sqrt(2) of the threshold, everywhere else all of it."""

import pytest
import torch
from torch import nn

from dvspipe.snn.layers.norms import ThresholdNorm
from dvspipe.snn.networks import build_network

SETTINGS = {"classes": 3, "steps": 2, "width": 0.125, "size": (8, 8), "neuron": "stbp", "norm": "tdbn"}
ROOT = 2**-0.5


def factors(network):
    """alpha of every norm, by its place."""
    made = build_network(network, **SETTINGS)
    v_th = 0.5
    return {
        name.removeprefix("layers."): module.factor / v_th
        for name, module in made.named_modules()
        if isinstance(module, ThresholdNorm)
    }


@pytest.mark.parametrize("network", ["resnet-18-cifar", "ms-resnet-18-cifar", "sew-resnet-18-cifar"])
def test_alpha_is_that_of_what_meets(network):
    found = factors(network)
    meets = [name for name in found if ".weights2." in name or ".shortcut." in name]
    assert len(meets) >= 9 and any(".shortcut." in name for name in meets)
    added = 1.0 if network.startswith("sew") else ROOT  # the branches of SEW have neurons of their own
    assert {name: alpha for name, alpha in found.items() if alpha != pytest.approx(1)} == (
        {} if added == 1 else pytest.approx(dict.fromkeys(meets, ROOT))
    )


def test_a_sum_of_two_branches_has_the_spread_of_the_threshold():
    """What alpha is for: independent branches of variance (v_th / sqrt 2)² each add up to v_th²."""
    torch.manual_seed(0)
    block = build_network("resnet-18-cifar", **SETTINGS).layers["stage2"]["0"].double().train()
    assert not isinstance(block.shortcut, nn.Identity)
    one = block.weights2(torch.randn(512, block.weights2[0].in_channels, *block.out_size, dtype=torch.float64))
    other = block.shortcut(torch.randn(512, block.weights1[0].in_channels, *block.size, dtype=torch.float64))
    spread = (one + other).std((0, 2, 3), unbiased=False)
    torch.testing.assert_close(spread, torch.full_like(spread, 0.5), rtol=0.05, atol=0)
