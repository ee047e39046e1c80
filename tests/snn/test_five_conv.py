"""The five-conv networks A and B: published counts (law 7), order of the parts, votes, dropout, law 4."""

import pytest
import torch
import torch.nn.functional as F

from dvspipe.errors import UsageError
from dvspipe.snn.counting import count_layers, count_network, kept_bytes
from dvspipe.snn.networks import build_network

NAMES = ["five-conv-a", "five-conv-b"]


def build(name, **changes):
    torch.manual_seed(0)
    settings = {"classes": 3, "steps": 5, "width": 0.125, "size": (64, 64), "neuron": "ma-snn", **changes}
    network = build_network(name, **settings)
    for layer in network.layers.values():  # let every layer fire well
        if isinstance(layer.norm, torch.nn.Identity):
            layer.linear.weight.data.mul_(4).add_(0.05)
        else:
            neuron = layer.spiking.lif.neuron
            torch.nn.init.constant_(layer.norm.bias, neuron.v_th / neuron.gain)
    return network


def frames(steps=5, batch=2, size=(64, 64)):
    torch.manual_seed(1)
    return torch.poisson(torch.full((steps, batch, 2, *size), 0.4))


def settled(network):
    network.train()
    network(frames())
    return network.eval()


@pytest.mark.parametrize(
    ("name", "params", "conv_neurons", "full_neurons"),
    [("five-conv-a", 1_698_304, 2_793_472, 512 + 110), ("five-conv-b", 2_098_177, 247_808, 256 + 11)],
)
def test_published_counts_at_the_default_size(name, params, conv_neurons, full_neurons):
    with torch.device("meta"):
        network = build_network(name, classes=11, steps=20)
        counts = count_network(network)
    of_kind = {kind: sum(row["neurons"] for row in counts["layers"] if row["kind"] == kind) for kind in ("conv", "fc")}
    assert network.frame_shape == (2, 128, 128)
    assert counts["params"] == params and of_kind == {"conv": conv_neurons, "fc": full_neurons}
    assert counts["neurons"] == conv_neurons + full_neurons


def test_macs_by_hand():
    with torch.device("meta"):
        a, b = (count_network(build_network(name, classes=11, steps=20)) for name in NAMES)
    side = [128, 64, 32, 16, 8]
    assert [row["macs"] for row in a["layers"]] == [
        *(9 * channels * 128 * size**2 for channels, size in zip((2, 128, 128, 128, 128), side)),
        2048 * 512,
        512 * 110,
    ]
    channels = [2, 32, 64, 128, 256, 512]
    assert [row["macs"] for row in b["layers"]] == [
        *(9 * before * after * size**2 for before, after, size in zip(channels, channels[1:], side)),
        2048 * 256,
        256 * 11,
    ]


def test_a_pools_spikes_and_the_probe_hears_them_before():
    """Convolution, batch norm, neurons, then the maximum; the neurons of every layer are those that are counted."""
    network, seen = settled(build("five-conv-a")).double(), {}
    with torch.no_grad():
        out, _ = network(frames(), probe=seen.__setitem__)
        x = frames().double()
        for number in range(1, 6):
            layer = network.layers[f"conv{number}"]
            assert layer.conv.bias is None
            current = layer.norm(layer.conv(x.flatten(0, 1))).unflatten(0, x.shape[:2])
            spikes, _ = layer.spiking.lif(current)
            assert torch.equal(spikes, seen[f"conv{number}"]) and spikes.any()
            x = F.max_pool2d(spikes.flatten(0, 1), 2).unflatten(0, x.shape[:2])
            assert torch.equal(x, seen.pop(f"conv{number}.pooled"))
    rows = {row["name"]: row["neurons"] for row in count_network(network)["layers"]}
    assert {name: spikes[0, 0].numel() for name, spikes in seen.items()} == rows
    assert all(set(spikes.unique().tolist()) <= {0.0, 1.0} for spikes in seen.values())
    assert seen["fc1"].any() and seen["out"].any() and seen["out"].shape == (5, 2, 30)
    torch.testing.assert_close(
        out, torch.stack([seen["out"][..., 10 * k : 10 * k + 10].mean(-1) for k in range(3)], -1)
    )


def test_b_pools_currents():
    network = settled(build("five-conv-b")).double()
    layer, x = network.layers["conv5"], torch.rand(2, 3, 32, 4, 4, dtype=torch.float64)
    current = F.avg_pool2d(layer.norm(layer.conv(x.flatten(0, 1))), 4).unflatten(0, (2, 3))
    with torch.no_grad():
        assert torch.equal(layer(x, None)[0], layer.spiking.lif(current)[0])


def test_dropout_takes_the_same_inputs_at_all_steps_and_only_in_training():
    layer = build("five-conv-a").layers["fc1"]
    seen, x = [], torch.ones(4, 3, 16, 2, 2)
    layer.linear.register_forward_hook(lambda module, given, result: seen.append(given[0].unflatten(0, (4, 3))))
    layer(x, None)
    layer.eval()(x, None)
    dropped, whole = seen
    assert torch.equal(dropped, dropped[:1].expand_as(dropped)) and not torch.equal(dropped[:, 0], dropped[:, 1])
    assert set(dropped.unique().tolist()) == {0.0, 2.0} and torch.equal(whole, x.flatten(2))


@pytest.mark.parametrize(
    ("attention", "placement", "neuron"),
    [
        ("none", "released", "plif"),
        ("constant", "released", "ma-snn"),
        ("SimAM", "released", "ma-snn"),
        ("ECA", "causal", "plif"),
        ("TCSA", "causal", "ma-snn"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_steps_equal_the_whole_sequence(name, attention, placement, neuron):
    slot = {"attention": attention, "placement": placement, "neuron": neuron, "gate_gain": 2, "c_ratio": 2}
    network, state, outputs, heard = settled(build(name, **slot)).double(), None, [], []
    with torch.no_grad():
        whole, last = network(frames(), probe=lambda _, spikes: heard.append(spikes))
        for number, frame in enumerate(frames()):
            stepped = []
            out, state = network.step(frame, state, probe=lambda _, spikes, to=stepped: to.append(spikes))
            assert all(torch.equal(now, spikes[number]) for now, spikes in zip(stepped, heard, strict=True))
            outputs.append(out)
    assert network.live and whole.any() and torch.equal(torch.stack(outputs), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("attention", ["TCSA", "TCJA"])
@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns(name, attention):
    network = build(name, attention=attention, gate_gain=4, c_ratio=2, t_ratio=2, neuron="plif")
    out, _ = network(frames(batch=4))
    assert out.shape == (5, 4, 3)
    out.mean(0).square().sum().backward()
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


@pytest.mark.parametrize(("attention", "placement"), [("none", "released"), ("TCJA", "released"), ("SimAM", "paper")])
@pytest.mark.parametrize("name", NAMES)
def test_memory_estimate_is_near_what_autograd_keeps(name, attention, placement, kept_by_autograd):
    network = build(name, attention=attention, placement=placement, width=0.25)
    kept = kept_by_autograd(network, frames())
    assert kept_bytes(network, 5, 2, bits=False) == pytest.approx(kept, rel=0.25)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("five-conv-a", (31, 64), r"pooling by 2·2·2·2·2 needs at least 32x32"),
        ("five-conv-b", (64, 63), r"2·2·2·2·4 needs at least 64x64"),
    ],
)
def test_frames_too_small_are_named(name, size, message):
    with pytest.raises(UsageError, match=message):
        build_network(name, classes=3, steps=5, size=size)


def test_behind_a_maximum_pool_the_next_weights_see_the_pooled_spikes():
    sources = {layer.name: layer.source for layer in count_layers(build("five-conv-a"))}
    assert sources == {
        "conv1": "input",
        "conv2": "conv1.pooled",
        "conv3": "conv2.pooled",
        "conv4": "conv3.pooled",
        "conv5": "conv4.pooled",
        "fc1": "conv5.pooled",
        "out": "fc1",
    }
