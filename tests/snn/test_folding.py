"""Folding of norms and pools: the same outputs, state and spikes, for every kind of network; what cannot be folded stays."""

import pytest
import torch
from torch import nn

from dvspipe.encoders.choice import build_encoder
from dvspipe.snn.folding import folded, normed
from dvspipe.snn.layers.norms import PerStepNorm, TemporalEffectiveNorm, make_norm
from dvspipe.snn.networks import build_network
from dvspipe.snn.networks.choice import NETWORKS

STEPS, BATCH = 4, 3
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
EVENTS = ("three-conv", "five-conv-a", "five-conv-b")


def settled(name, size=None, **changes):
    """In evaluation mode, with statistics and weights of norms that no fresh network has."""
    torch.manual_seed(0)
    events, size = name in EVENTS, size or {"three-conv": (16, 20)}.get(name, (70, 66) if name in EVENTS else (32, 32))
    channels, width = 2 if events else 3, 0.25 if name == "spikformer" else 0.125
    settings = {"classes": 5, "steps": STEPS, "width": width, "size": size, "in_channels": channels, **changes}
    if name == "spikformer":
        settings |= {"depth": 1, "heads": 4}
    network = build_network(name, **settings).double()
    for module in network.modules():
        if isinstance(module, BATCH_NORMS):
            nn.init.normal_(module.weight, 1.0, 0.3)
            nn.init.normal_(module.bias, 0.7, 0.3)
    frames = torch.poisson(torch.full((STEPS, BATCH, channels, *size), 0.4)).double()
    with torch.no_grad():
        for _ in range(3):
            network.train()(frames)
    return network.eval(), frames


def norms_of(network):
    return [module for module in network.modules() if isinstance(module, BATCH_NORMS)]


def run(network, frames):
    spikes = {}
    with torch.no_grad():
        out, state = network(frames, probe=lambda name, fired: spikes.__setitem__(name, fired))
    return out, state, spikes


def tensors(state):
    return [state] if isinstance(state, torch.Tensor) else [each for part in state or () for each in tensors(part)]


def check_same(network, quick, frames):
    """In float64 no membrane comes within rounding of its threshold."""
    (out, state, spikes), (ours, after, fired) = run(network, frames), run(quick, frames)
    assert list(spikes) == list(fired)
    for name in spikes:
        assert torch.equal(spikes[name], fired[name]), name
    torch.testing.assert_close(ours, out, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(tensors(after), tensors(state), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    return torch.cat([each.flatten() for each in spikes.values()]).mean()


@pytest.mark.parametrize("name", [name for name in NETWORKS if "104" not in name])
def test_every_network(name):
    network, frames = settled(name)
    norms = norms_of(network)
    quick = folded(network, pools=True)
    assert 0.005 < check_same(network, quick, frames) < 0.95
    assert norms and not norms_of(quick)
    assert len(norms_of(network)) == len(norms), "the network itself is left as it was"


@pytest.mark.parametrize("pools", [False, True])
@pytest.mark.parametrize("size", [(13, 18), (7, 5), (4, 4)])
def test_pools_of_any_size(size, pools):
    network, frames = settled("three-conv", size)
    quick = folded(network, pools)
    check_same(network, quick, frames)
    assert isinstance(quick.layers["conv2"].pool, nn.Identity) == pools
    assert quick.layers["conv2"].conv.kernel_size == ((4, 4) if pools else (3, 3))


@pytest.mark.parametrize("attention", ["TCSA", "ECA", "TCJA", "constant"])
@pytest.mark.parametrize("norm", ["bn", "tdbn"])
def test_with_attention_and_a_norm_of_the_threshold(attention, norm):
    network, frames = settled("three-conv", attention=attention, norm=norm, t_ratio=2)
    assert check_same(network, folded(network, pools=True), frames) > 0.005
    assert not norms_of(folded(network))


@pytest.mark.parametrize(("norm", "kind"), [("tebn", TemporalEffectiveNorm), ("per-step", PerStepNorm)])
def test_norms_that_tell_steps_apart_stay(norm, kind):
    network, frames = settled("three-conv", norm=norm)
    quick = folded(network, pools=True)
    check_same(network, quick, frames)
    assert isinstance(quick.layers["conv2"].norm, kind) and isinstance(quick.layers["conv2"].pool, nn.AvgPool2d)


def test_attention_between_weights_and_norm_keeps_the_norm():
    network, frames = settled("att-vgg-7", attention="CSA", c_ratio=4)
    quick = folded(network)
    check_same(network, quick, frames)
    assert len(norms_of(quick)) == len(norms_of(network)) == 5


@pytest.mark.parametrize("encoder", ["gac", "hybrid"])
def test_what_an_encoder_adds(encoder):
    built = build_encoder(encoder, STEPS)
    network, _ = settled("lenet", front=built.front, own_stem=built.own_stem)
    images = torch.rand(BATCH, 3, 32, 32)
    check_same(network, folded(network, pools=True), built(images).double())


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_one_pair_by_hand(affine, bias):
    torch.manual_seed(0)
    linear, norm = nn.Linear(3, 2, bias=bias), nn.BatchNorm1d(2, affine=affine)
    norm(torch.randn(50, 2) * 3 + 1)
    norm.eval()
    weight, offset = normed(linear, norm)
    x = torch.randn(4, 3)
    assert weight.dtype == offset.dtype == torch.float64
    torch.testing.assert_close((x.double() @ weight.T + offset).float(), norm(linear(x)))


def test_a_norm_of_batch_statistics_stays():
    pair = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False)).eval()
    x = torch.randn(4, 3)
    assert torch.equal(folded(pair)(x), pair(x)) and isinstance(folded(pair)[1], nn.BatchNorm1d)


def test_float32_is_the_same_up_to_rounding():
    weights = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, bias=False), make_norm("bn", 16, 1))
    x = torch.randn(5, 8, 9, 9)
    weights(x)
    weights.eval()
    quick = folded(weights)
    assert quick[0].weight.dtype == torch.float32 and not quick[0].weight.requires_grad
    torch.testing.assert_close(quick(x), weights(x), rtol=1e-5, atol=1e-5)
