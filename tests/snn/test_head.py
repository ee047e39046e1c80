"""The hybrid network: the head sees sums of spikes, once per window; the same live; gradients go through the sum."""

import pytest
import torch

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.counting import count_layers, count_network
from dvspipe.snn.layers.head import AnnHead
from dvspipe.snn.networks import build_network
from dvspipe.snn.resting import rested

STEPS, BATCH, FEATURES, CLASSES = 6, 3, (2, 3, 3), 4
SETTINGS = {"classes": CLASSES, "steps": STEPS, "width": 0.25, "size": (12, 12)}


def head(window=None):
    torch.manual_seed(0)
    return AnnHead(FEATURES, 5, CLASSES, STEPS, window).double()


def spikes(steps=STEPS):
    torch.manual_seed(1)
    return (torch.rand(steps, BATCH, *FEATURES) < 0.4).double()


def network(**changes):
    torch.manual_seed(0)
    made = build_network("three-conv", head="ann", **SETTINGS, **changes)
    for name in ("conv1", "conv2", "conv3"):  # let every layer fire well
        torch.nn.init.constant_(made.layers[name].norm.bias, 0.3)
    made.train()(frames())
    return made.eval()


def frames():
    torch.manual_seed(2)
    return torch.poisson(torch.full((STEPS, BATCH, 2, 12, 12), 0.4))


@pytest.mark.parametrize("window", [None, 1, 2, 3, 6])
def test_it_says_what_a_plain_network_says_of_the_sums(window):
    ours, x = head(window), spikes()
    length = window or STEPS
    out, after = ours(x, None)
    sums = x.flatten(2).unflatten(0, (STEPS // length, length)).sum(1)
    weights = {name: value.detach() for name, value in ours.named_parameters()}
    hidden = (sums / length @ weights["hidden.weight"].T + weights["hidden.bias"]).clamp_min(0)
    plain = hidden @ weights["out.weight"].T + weights["out.bias"]
    torch.testing.assert_close(out[length - 1 :: length], length * plain)
    torch.testing.assert_close(out.mean(0), plain.mean(0))
    assert int((out != 0).any(2).any(1).sum()) == STEPS // length
    assert after.steps == 0 and not after.spikes.any()


@pytest.mark.parametrize("window", [2, 3, 6])
def test_any_cut_of_the_sequence_gives_the_same(window):
    ours, x = head(window), spikes(12)
    with torch.no_grad():
        whole, last = ours(x, None)
        for cut in range(1, 12):
            first, between = ours(x[:cut], None)
            second, after = ours(x[cut:], between)
            torch.testing.assert_close(torch.cat((first, second)), whole)
            assert after.steps == last.steps and torch.equal(after.spikes, last.spikes)


@pytest.mark.parametrize("window", [None, 2])
def test_steps_equal_the_whole_sequence(window):
    made, x, state, steps = network(window=window).double(), frames().double(), None, []
    with torch.no_grad():
        whole, _ = made(x)
        for frame in x:
            out, state = made.step(frame, state)
            steps.append(out)
    torch.testing.assert_close(torch.stack(steps), whole)
    assert made.live and not made.spiking_out and whole.any()


def test_gradients_reach_the_backbone_through_the_sum():
    made = network().train()
    out, _ = made(frames())
    torch.nn.functional.cross_entropy(out.mean(0), torch.tensor([0, 1, 2])).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in made.parameters())
    assert made.layers["conv1"].conv.weight.grad.any()
    one, _ = made(frames()[:, :1])  # a last batch of one clip
    assert one.shape == (STEPS, 1, CLASSES)


def test_half_precision_sums_exactly():
    made, seen = network(), {}
    with torch.autocast("cpu", torch.bfloat16):
        out, state = made(frames()[:-1], probe=seen.__setitem__)
    assert state[-1].spikes.dtype == torch.float32 and out.shape[0] == STEPS - 1
    assert torch.equal(state[-1].spikes, seen["conv3"].float().sum(0).flatten(1))


def test_counts_say_what_runs_once():
    with torch.device("meta"):
        made = build_network("three-conv", head="ann", window=2, **SETTINGS)
    counts, layers = count_network(made), {each.name: each for each in count_layers(made)}
    features, hidden = 32 * 3 * 3, 64
    macs = features * hidden + hidden * CLASSES
    assert counts["head_macs_per_clip"] == 3 * macs and layers["head.hidden"].runs == 3
    assert counts["macs_per_frame"] == sum(layers[name].macs for name in ("conv1", "conv2", "conv3"))
    assert layers["head.hidden"].source == "conv3" and layers["head.out"].source == "dense"
    assert layers["head.hidden"].neurons == 0 and layers["head.hidden"].parameters == features * hidden + hidden
    assert counts["params"] == sum(each["parameters"] for each in counts["layers"])


def test_dropped_bins_are_silence():
    ours, x = head(3), spikes(4)
    _, state = ours(x, None)
    kept, lost = ours.rested(state, 1), ours.rested(state, 2)
    assert (state.steps, kept.steps, lost.steps) == (1, 2, 0)
    assert torch.equal(kept.spikes, x[3].flatten(1)) and not lost.spikes.any()
    made = network(window=2)
    with torch.no_grad():
        _, whole = made(frames()[:3])
    assert rested(made, whole, 1)[-1].steps == 0


def test_bad_input_is_named():
    with pytest.raises(UsageError, match=r"window = 4.*T = 6"):
        head(4)
    with pytest.raises(UsageError, match="did you mean 'ann'"):
        build_network("three-conv", head="an", **SETTINGS)
    with pytest.raises(UsageError, match=r"'lenet' has no place for head = 'ann'"):
        build_network("lenet", classes=3, steps=4, head="ann")
    _, state = head()(spikes(), None)
    with pytest.raises(ShapeError, match="state of the head"):
        head()(spikes()[:, :1], state)
