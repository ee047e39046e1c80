"""A training step leaves nothing behind: as many tensors are alive after many steps as after few."""

from __future__ import annotations

import gc

import pytest
import torch

from dvspipe.snn.attention.choice import KNOWN, PLACEMENTS
from dvspipe.snn.layers.row import recompute_layers
from dvspipe.snn.networks import build_network

WHOLE_CLIP = ("TCJA",)  # in the released placement alone
CASES = [(variant, placement) for variant in KNOWN for placement in PLACEMENTS if variant not in WHOLE_CLIP] + [
    (variant, "released") for variant in WHOLE_CLIP
]


def alive() -> int:
    gc.collect()
    return sum(type(each) is torch.Tensor for each in gc.get_objects())


def grown(variant: str, placement: str, *, kernels: str, recompute: bool) -> int:
    """Tensors that four more steps left behind."""
    torch.manual_seed(0)
    settings = {"steps": 4, "classes": 3, "t_ratio": 2, "c_ratio": 2, "size": (8, 8), "width": 0.125}
    network = build_network("three-conv", attention=variant, placement=placement, kernels=kernels, **settings).train()
    recompute_layers(network, recompute)
    frames, counted = torch.rand(4, 2, *network.frame_shape), []
    for step in range(6):
        out, _ = network(frames)
        (out.mean(0) - 0.5).square().sum().backward()
        del out
        if step in (1, 5):
            counted.append(alive())
    return counted[1] - counted[0]


@pytest.mark.parametrize(("variant", "placement"), CASES)
def test_fast_kernels_free_what_they_kept(variant, placement):
    assert grown(variant, placement, kernels="auto", recompute=False) == 0


@pytest.mark.parametrize(("kernels", "recompute"), [("reference", False), ("auto", True), ("reference", True)])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_so_do_the_reference_and_layers_computed_again(placement, kernels, recompute):
    assert grown("TCSA", placement, kernels=kernels, recompute=recompute) == 0
