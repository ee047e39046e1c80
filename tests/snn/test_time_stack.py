"""The 3-D stem: it is torch's Conv3d, looks where it says, and runs live exactly where it looks only back."""

import pytest
import torch
from torch import nn

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.counting import count_network
from dvspipe.snn.layers.time_stack import TimeStack
from dvspipe.snn.networks import build_network
from dvspipe.snn.resting import rested

STEPS, BATCH, BINS = 6, 3, 3
SETTINGS = {"classes": 4, "steps": STEPS, "width": 0.25, "size": (12, 12), "stem_bins": BINS}


def build(stem, **changes):
    torch.manual_seed(0)
    network = build_network("three-conv", stem=stem, **{**SETTINGS, **changes})
    for name in ("conv1", "conv2", "conv3", "fc1", "out"):  # let every layer fire well
        nn.init.constant_(network.layers[name].norm.bias, 0.3)
    network.train()(frames())
    return network.eval().double()


def frames(steps=STEPS):
    torch.manual_seed(1)
    return torch.poisson(torch.full((steps, BATCH, 2, 12, 12), 0.4))


@pytest.mark.parametrize(("causal", "bins"), [(True, 2), (True, 3), (True, 4), (False, 3), (False, 5)])
def test_with_the_convolution_behind_it_it_is_a_3d_convolution(causal, bins):
    torch.manual_seed(0)
    conv, x = nn.Conv3d(2, 5, (bins, 3, 3), padding=(0, 1, 1)).double(), frames().double()
    flat = nn.Conv2d(2 * bins, 5, 3, padding=1).double()
    flat.load_state_dict({"weight": conv.weight.permute(0, 2, 1, 3, 4).flatten(1, 2), "bias": conv.bias})
    ours, _ = TimeStack(bins, causal)(x, None)
    ours = flat(ours.flatten(0, 1)).unflatten(0, (STEPS, BATCH))
    ahead = 0 if causal else bins // 2
    padded = nn.functional.pad(x.permute(1, 2, 0, 3, 4), (0, 0, 0, 0, bins - 1 - ahead, ahead))
    torch.testing.assert_close(ours, conv(padded).permute(2, 0, 1, 3, 4))


@pytest.mark.parametrize("causal", [True, False])
def test_only_a_causal_one_is_blind_to_the_future(causal):
    x, stack = frames(), TimeStack(BINS, causal)
    other = x.clone()
    other[4] += 2
    changed = [not torch.equal(a, b) for a, b in zip(stack(x, None)[0], stack(other, None)[0])]
    assert changed == [step in ((4, 5) if causal else (3, 4, 5)) for step in range(STEPS)]
    assert stack.live == causal and build("conv3d-causal" if causal else "conv3d").live == causal


def test_steps_equal_the_whole_sequence():
    network, x, state, steps = build("conv3d-causal"), frames().double(), None, []
    with torch.no_grad():
        whole, last = network(x)
        first, between = network(x[:2])
        rest, _ = network(x[2:], between)
        for frame in x:
            out, state = network.step(frame, state)
            steps.append(out)
    assert whole.any() and torch.equal(torch.stack(steps), whole) and torch.equal(torch.cat((first, rest)), whole)
    assert torch.equal(state[0].bins, last[0].bins) and torch.equal(state[0].bins, x[-2:])


def test_bins_that_were_dropped_leave_silence():
    network, x = build("conv3d-causal"), frames().double()
    with torch.no_grad():
        _, state = network(x)
    one, many = rested(network, state, 1)[0].bins, rested(network, state, 5)[0].bins
    assert torch.equal(one[0], x[-1]) and not one[1].any() and many.shape == one.shape and not many.any()
    after_none = build("conv3d")
    with torch.no_grad():
        assert rested(after_none, after_none(x)[1], 3)[0] == ()


def test_counts():
    with torch.device("meta"):
        flat, deep = (
            count_network(build_network("three-conv", **SETTINGS, stem=stem)) for stem in ("conv2d", "conv3d")
        )
    assert deep["params"] - flat["params"] == (BINS - 1) * 9 * 2 * 16
    assert deep["macs_per_frame"] - flat["macs_per_frame"] == (BINS - 1) * 9 * 2 * 16 * 144
    assert deep["neurons"] == flat["neurons"] and [each["source"] for each in deep["layers"]][:2] == ["input", "conv1"]


@pytest.mark.parametrize("stem", ["conv3d", "conv3d-causal"])
def test_it_trains(stem):
    network = build(stem).float().train()
    out, _ = network(frames().int())
    out.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_bad_input_is_named():
    with pytest.raises(UsageError, match="did you mean 'conv3d'"):
        build("conv3")
    with pytest.raises(UsageError, match=r"stem_bins = 4.*odd"):
        build("conv3d", stem_bins=4)
    with pytest.raises(UsageError, match="sees bins that are still to come"):
        build("conv3d").step(frames()[0])
    with pytest.raises(UsageError, match=r"'lenet' has no place for stem = 'conv3d'.*three-conv"):
        build_network("lenet", classes=3, steps=4, stem="conv3d")
    network = build("conv3d-causal")
    _, state = network(frames().double())
    with pytest.raises(ShapeError, match="state of the stem"):
        network(frames()[:, :1].double(), state)
