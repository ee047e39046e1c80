"""Watching a network: what is shown is what happened, and nothing is left behind."""

import numpy as np
import pytest
import torch

from dvspipe.snn.networks import build_network
from dvspipe.snn.watching import watch

STEPS = 6


def network(name="three-conv", attention="TCSA", placement="released", **more):
    torch.manual_seed(1)
    settings = {
        "classes": 4,
        "steps": STEPS,
        "size": (32, 32),
        "in_channels": 2,
        "width": 0.1,
        "c_ratio": 2,
        "t_ratio": 2,
    }
    return build_network(name, attention=attention, placement=placement, **settings | more)


@pytest.fixture
def frames():
    return torch.randint(0, 4, (STEPS, 1, 2, 32, 32), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["three-conv", "five-conv-a", "five-conv-b", "att-vgg-7", "att-res-18"])
def test_heat_maps_are_the_mean_of_the_spikes(name, frames):
    size = 64 if name.startswith("five") else 32
    frames = 20 * frames.repeat_interleave(size // 32, 3).repeat_interleave(size // 32, 4)  # loud, so that all fire
    attention = "TCSA" if name == "three-conv" else "none"
    net, heard = network(name, attention, "paper", size=(size, size), width=0.25).eval(), {}
    seen = watch(net, frames)
    out, _ = net(frames, probe=heard.__setitem__)
    assert torch.equal(seen.out, out[:, 0].float())
    heard = {layer: spikes for layer, spikes in heard.items() if not layer.endswith(".pooled")}
    assert set(seen.rates) == set(heard)
    assert set(seen.spikes) == {layer for layer, spikes in heard.items() if spikes.ndim == 5}
    assert seen.spikes
    for layer, spikes in heard.items():
        counts = spikes[:, 0].detach().numpy()
        np.testing.assert_allclose(seen.rates[layer], counts.reshape(STEPS, -1).mean(1), atol=1e-6)
        if layer in seen.spikes:
            np.testing.assert_allclose(seen.spikes[layer], counts.mean((0, 1)), atol=1e-6)
    assert any(spikes.any() for spikes in seen.spikes.values())


@pytest.mark.parametrize(
    ("placement", "channel", "space"),
    [("released", (6,), (32, 32)), ("paper", (STEPS, 6), (STEPS, 32, 32)), ("causal", (STEPS, 6), (STEPS, 32, 32))],
)
def test_weights_have_a_time_axis_only_where_every_step_makes_its_own(placement, channel, space, frames):
    seen = watch(network(placement=placement), frames)
    assert set(seen.time) == {"conv1", "conv2", "conv3", "fc1", "out"}
    assert set(seen.channel) == set(seen.space) == {"conv1", "conv2", "conv3"}
    assert {values.shape for values in seen.time.values()} == {(STEPS,)}
    assert seen.channel["conv1"].shape == channel
    assert seen.space["conv1"].shape == space


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_weights_are_the_factors_that_were_multiplied_on(gain, frames):
    """TA alone: what leaves the attention is the ReLU of what entered it times the weight of the step."""
    net, through = network(attention="TA", gate_gain=gain).eval(), []
    attention = net.layers["conv1"].spiking.attention
    attention.register_forward_hook(lambda module, given, made: through.append((given[0], made)))
    seen = watch(net, frames)
    (entered, left), *_ = through
    weights = torch.from_numpy(seen.time["conv1"]).view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(left, (entered * weights).relu())
    assert seen.neutral == gain / 2
    assert 0 < min(seen.time["conv1"]) <= max(seen.time["conv1"]) < gain


@pytest.mark.parametrize("attention", ["none", "relu", "constant", "TCJA", "ECA", "SimAM"])
def test_without_factors_there_are_no_weights(attention, frames):
    seen = watch(network(attention=attention), frames)
    assert (seen.time, seen.channel, seen.space, seen.neutral) == ({}, {}, {}, None)
    assert set(seen.spikes) == {"conv1", "conv2", "conv3"}


def test_watching_leaves_no_trace(frames):
    net = network(placement="causal").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    watch(net, frames)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    with pytest.raises(Exception, match="do not fit"):
        watch(net, frames[..., :16])
    assert net.training and not any(module._forward_hooks for module in net.modules())
