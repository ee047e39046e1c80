"""Att-VGG: the order of a layer, counts by hand, steps equal sequence (law 4), any image size."""

import pytest
import torch

from dvspipe.errors import UsageError
from dvspipe.snn.counting import count_layers, count_network, kept_bytes
from dvspipe.snn.networks import build_network

STEPS, BATCH, CLASSES = 3, 2, 4
SMALL = {"classes": CLASSES, "steps": STEPS, "width": 0.25, "size": (16, 16), "c_ratio": 4}


def build(name="att-vgg-7", **changes):
    torch.manual_seed(0)
    return build_network(name, **{**SMALL, **changes})


def images(size=(16, 16)):
    torch.manual_seed(1)
    return torch.randn(STEPS, BATCH, 3, *size)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("att-vgg-7", (64, 64, 128, 128, 128)), ("att-vgg-11", (64, 128, 256, 256, 512, 512, 512, 512))],
)
def test_counts_by_hand(name, channels):
    with torch.device("meta"):
        network = build_network(name, classes=10, steps=1, attention="CSA")
    pairs = list(zip((3, *channels), channels))
    convolutions = sum(9 * before * after + after + 2 * after for before, after in pairs)
    attention = sum(2 * after * (after // 16) + 18 for after in channels)
    head = channels[-1] * 64 * 1024 + 1024 + 1024 * 10 + 10
    counts = count_network(network)
    assert (counts["params"], counts["attention_params"]) == (convolutions + attention + head, attention)
    pooled = {"att-vgg-7": 2, "att-vgg-11": 4}[name]
    sizes = [32 * 32 if number < pooled else 16 * 16 for number in range(len(channels))]
    assert counts["neurons"] == sum(count * size for count, size in zip(channels, sizes)) + 1024
    macs = sum(9 * before * after * size for (before, after), size in zip(pairs, sizes))
    assert counts["macs_per_frame"] == macs + channels[-1] * 64 * 1024 + 1024 * 10
    sources = [layer.source for layer in count_layers(network)]
    names = [f"conv{number}" for number in range(1, len(channels) + 1)]
    names[pooled - 1] += ".pooled"
    assert sources == ["input", *names, "fc1"]


def test_attention_lies_between_convolution_and_batch_norm():
    layer = build(attention="CSA").layers["conv1"].eval()
    x = images()
    current = layer.attention(layer.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
    expected, _ = layer.lif(layer.norm(current.flatten(0, 1)).unflatten(0, x.shape[:2]))
    assert torch.equal(layer(x, None)[0], expected)
    assert layer.lif.neuron.surrogate == "atan" and layer.lif.neuron.detach_reset


@pytest.mark.parametrize("name", ["att-vgg-7", "att-vgg-11"])
@pytest.mark.parametrize("attention", ["none", "CSA"])
def test_shapes_probe_and_gradients(name, attention):
    network, seen = build(name, attention=attention), {}
    out, _ = network(images(), probe=seen.__setitem__)
    neurons = {layer.name: layer.neurons for layer in count_layers(network) if layer.neurons}
    own = {key: spikes[0, 0].numel() for key, spikes in seen.items() if not key.endswith(".pooled")}
    assert own == neurons
    assert len(seen) == len(own) + 1
    assert out.shape == (STEPS, BATCH, CLASSES)
    out.mean(0).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("attention", "placement"), [("none", "released"), ("relu", "released"), ("CSA", "paper"), ("TCSA", "causal")]
)
def test_steps_equal_the_whole_sequence(attention, placement):
    network = build(attention=attention, placement=placement, attention_bins=2, t_ratio=1).double()
    x = images().double()
    with torch.no_grad():
        network.train()(x)
        whole, _ = network.eval()(x)
        state, stepped = None, []
        for frame in x:
            out, state = network.step(frame, state)
            stepped.append(out)
    assert network.live and whole.std() > 0
    torch.testing.assert_close(torch.stack(stepped), whole, rtol=0, atol=1e-12)


def test_weights_start_as_published():
    network = build("att-vgg-11", width=1.0)
    conv, hidden = network.layers["conv5"].conv, network.layers["fc1"].linear
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01) and not conv.bias.any()
    assert hidden.weight.std().item() == pytest.approx(0.01, rel=0.01) and not hidden.bias.any()


@pytest.mark.parametrize("size", [(2, 2), (28, 40)])
def test_any_size_of_at_least_two_pixels_passes(size):
    network = build(size=size, attention="CSA").eval()
    assert network(images(size))[0].shape == (STEPS, BATCH, CLASSES)


def test_an_imagenet_crop_needs_no_more_parameters():
    with torch.device("meta"):
        small, large = (count_network(build("att-vgg-11", size=(side, side), width=1.0)) for side in (32, 224))
    assert small["params"] == large["params"] and large["neurons"] - 1024 == 49 * (small["neurons"] - 1024)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"size": (1, 8)}, "at least 2x2"), ({"c_ratio": 99}, "c_ratio"), ({"block": "sum"}, "no setting 'block'")],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        build(**{"attention": "CSA", **settings})


@pytest.mark.parametrize(("attention", "placement"), [("none", "released"), ("CSA", "released"), ("CSA", "paper")])
def test_memory_estimate_is_near_what_autograd_keeps(attention, placement, kept_by_autograd):
    network = build(attention=attention, placement=placement)
    kept = kept_by_autograd(network, images())
    assert kept_bytes(network, STEPS, BATCH, bits=False) == pytest.approx(kept, rel=0.15)
