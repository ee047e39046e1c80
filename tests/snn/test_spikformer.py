"""Spikformer: published count, a block restated, both orders of attention's products, law 4, energy, settings."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from dvspipe.encoders.gac import DirectLif, Gac
from dvspipe.errors import ShapeError, UsageError
from dvspipe.metrics.energy import energy
from dvspipe.metrics.spikes import SpikeProbe
from dvspipe.snn.counting import count_layers, count_network, kept_bytes, training_memory_bytes
from dvspipe.snn.layers.tokens import POPULATIONS, self_attention
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import make_neuron

STEPS, BATCH, CLASSES = 3, 2, 5
SMALL = {"classes": CLASSES, "steps": STEPS, "dim": 32, "depth": 2, "heads": 4, "size": (16, 16)}
FRONTS = {"none": None, "gac": Gac(STEPS).front, "direct-lif": DirectLif(STEPS).front}


def build(**changes):
    torch.manual_seed(0)
    return build_network("spikformer", **{**SMALL, **changes})


def frames(size=(16, 16), channels=3, steps=STEPS):
    torch.manual_seed(1)
    return torch.randn(steps, BATCH, channels, *size)


def awake(network, x):
    """With norms that let neurons fire and, in double precision and evaluation mode, the statistics of `x`."""
    network.double().train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 1.0, 3.0)
            torch.nn.init.uniform_(module.bias, 0.0, 1.0)
            module.momentum = None  # the mean of all batches so far
    with torch.no_grad():
        network(x.double())
    return network.eval()


def published(dim, depth, classes, ratio=4):
    """Convolutions without bias, linear maps with; a norm is two numbers per channel."""
    sides = (3, dim // 8, dim // 4, dim // 2, dim, dim)
    convolutions = sum(9 * before * after + 2 * after for before, after in pairwise(sides))
    attention = 4 * (dim * dim + dim + 2 * dim)
    hidden = dim * ratio
    mlp = dim * hidden + hidden + 2 * hidden + hidden * dim + dim + 2 * dim
    return convolutions + depth * (attention + mlp) + dim * classes + classes


@pytest.mark.parametrize(
    ("settings", "plan"), [({}, (384, 4)), ({"dim": 96, "depth": 2}, (96, 2)), ({"width": 0.5}, (192, 4))]
)
def test_published_parameters(settings, plan):
    with torch.device("meta"):
        network = build_network("spikformer", classes=10, steps=4, **settings)
    counts = count_network(network)
    assert counts["params"] == published(*plan, 10) == sum(layer["parameters"] for layer in counts["layers"])
    assert published(384, 4, 10) == 9_324_730  # published as 9.32 M


def test_costs_by_hand():
    with torch.device("meta"):
        layers = {layer.name: layer for layer in count_layers(build_network("spikformer", classes=10, steps=4))}
    dim, tokens = 384, 64
    linear, hidden, pair = dim * dim * tokens, 4 * dim * dim * tokens, tokens * dim * 32
    costs = {name: (layer.source, layer.neurons, layer.macs) for name, layer in layers.items()}
    assert {name: cost for name, cost in costs.items() if name[:5] not in ("block", "out")} == {
        "stem": ("input", 0, 27 * 48 * 1024),
        "lif1": ("lif1", 48 * 1024, 0),
        "conv2": ("lif1", 96 * 1024, 9 * 48 * 96 * 1024),
        "conv3": ("conv2", 192 * 1024, 9 * 96 * 192 * 1024),
        "conv4": ("conv3.pooled", 384 * 256, 9 * 192 * 384 * 256),
        "position": ("conv4.pooled", dim * tokens, 9 * dim * dim * tokens),
    }
    assert {name: cost for name, cost in costs.items() if name.startswith("block2")} == {
        **{f"block2.{name}": ("block1.fc2.pooled", dim * tokens, linear) for name in "qkv"},
        "block2.pairs": ("block2.v", 0, pair),  # k^T v first: 32 features a head are fewer than 64 tokens
        "block2.attn": ("block2.q", dim * tokens, pair),
        "block2.proj": ("block2.attn", dim * tokens, linear),
        "block2.fc1": ("block2.proj.pooled", 4 * dim * tokens, hidden),
        "block2.fc2": ("block2.fc1", dim * tokens, hidden),
    }
    assert costs["block1.q"][0] == "position.pooled" and costs["out"] == ("block4.fc2.pooled", 0, dim * 10)


def test_few_tokens_are_compared_pair_by_pair():
    with torch.device("meta"):
        layers = {
            layer.name: layer for layer in count_layers(build_network("spikformer", classes=10, steps=4, size=(8, 8)))
        }
    assert (layers["block1.pairs"].source, layers["block1.pairs"].macs) == ("block1.q", 4 * 4 * 384)
    assert (layers["block1.attn"].source, layers["block1.attn"].macs) == ("block1.v", 4 * 4 * 384)


@pytest.mark.parametrize("size", [(1, 3), (2, 2), (4, 4), (7, 5)])  # fewer tokens than a head's features, as many, more
def test_both_orders_of_products_are_the_equation(size):
    torch.manual_seed(2)
    q, k, v = ((torch.rand(STEPS, BATCH, 12 * 4, *size) < 0.3).float().requires_grad_() for _ in range(3))
    out = self_attention(q, k, v, 12)
    expected = torch.zeros_like(out)
    for head in range(12):
        part = slice(4 * head, 4 * head + 4)
        one, two, three = (each[:, :, part].flatten(3).transpose(2, 3) for each in (q, k, v))  # [T,B,N,d]
        mixed = 0.125 * (one @ two.transpose(2, 3)) @ three
        expected[:, :, part] = mixed.transpose(2, 3).unflatten(3, size)
    assert torch.equal(out, expected)
    direction = torch.randn_like(out)
    ours, theirs = (torch.autograd.grad(each, (q, k, v), direction) for each in (out, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


def fired(current, threshold=1.0):
    """SpikingJelly's neuron, tau 2, hard reset, over [T,...]."""
    v, spikes = torch.zeros_like(current[0]), []
    for x in current:
        u = v + (x - v) / 2
        spikes.append((u >= threshold).to(u.dtype))
        v = u * (1 - spikes[-1])
    return torch.stack(spikes)


def mapped(weights, x):
    """Linear map and norm of tokens [T,B,N,C], as the released code has them: the norm sees [T·B,C,N]."""
    linear, norm = weights
    y = (x.flatten(0, 1) @ linear.weight.T + linear.bias).transpose(1, 2)
    y = F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return y.transpose(1, 2).unflatten(0, x.shape[:2])


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_a_block_is_the_released_one(size):
    network = awake(build(size=size), frames(size))
    block, seen, heard = network.layers["block2"], {}, {}
    block.register_forward_hook(lambda module, given, out: seen.update(x=given[0], out=out[0]))
    network(frames(size).double(), probe=heard.__setitem__)
    x = seen["x"].flatten(3).transpose(2, 3)  # [T,B,N,C]
    q, k, v = (fired(mapped(block.weights[name], x)) for name in "qkv")
    q, k, v = (each.unflatten(3, (4, 8)).transpose(2, 3) for each in (q, k, v))  # [T,B,heads,N,d]
    attention = (q @ k.transpose(3, 4)) * 0.125
    mixed = fired((attention @ v).transpose(2, 3).flatten(3), threshold=0.5)
    x = x + fired(mapped(block.weights["proj"], mixed))
    hidden = fired(mapped(block.weights["fc1"], x))
    x = x + fired(mapped(block.weights["fc2"], hidden))
    assert torch.equal(x.transpose(2, 3).unflatten(3, block.shape[1:]), seen["out"])
    rates = {name: heard[f"block2.{name}"].mean() for name in POPULATIONS}
    assert all(0.01 < rate < 0.99 for rate in rates.values()), rates
    assert seen["out"].max() > 2  # sums, no spikes


def test_tokens_are_made_as_released():
    network, x = awake(build(), frames()), frames().double()
    heard, seen = {}, {}
    network.layers["position"].register_forward_hook(lambda module, given, out: seen.update(x=out[0]))
    network(x, probe=heard.__setitem__)
    stem, layers = network.layers["stem"].weights, network.layers
    plan = [
        (stem[0], stem[1], False),
        *((layers[name].conv, layers[name].norm, name != "conv2") for name in ("conv2", "conv3", "conv4")),
    ]

    def spikes(y, conv, norm):
        y = F.conv2d(y.flatten(0, 1), conv.weight, padding=1)
        y = F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return fired(y.unflatten(0, (STEPS, BATCH)))

    for conv, norm, pools in plan:
        assert conv.bias is None
        x = spikes(x, conv, norm)
        x = F.max_pool2d(x.flatten(0, 1), 3, 2, 1).unflatten(0, (STEPS, BATCH)) if pools else x
    position = spikes(x, layers["position"].conv, layers["position"].norm)
    assert torch.equal(heard["position"], position) and torch.equal(seen["x"], x + position)
    assert torch.equal(heard["position.pooled"], ((x + position) != 0).double())


def test_scores_are_those_of_the_mean_token():
    network, seen = awake(build(), frames()), {}
    network.layers["block2"].register_forward_hook(lambda module, given, out: seen.update(x=out[0]))
    out, _ = network(frames().double())
    torch.testing.assert_close(out, network.layers["out"].linear(seen["x"].mean((3, 4))), rtol=0, atol=1e-12)
    assert out.shape == (STEPS, BATCH, CLASSES)


@pytest.mark.parametrize("front", FRONTS)
def test_probe_hears_the_neurons_that_are_counted(front):
    network, seen = build(front=FRONTS[front]), {}
    network(frames(), probe=seen.__setitem__)
    neurons = {layer.name: layer.neurons for layer in count_layers(network) if layer.neurons}
    own = {name: spikes for name, spikes in seen.items() if not name.endswith("pooled")}
    assert {name: spikes[0, 0].numel() for name, spikes in own.items()} == neurons
    assert all(set(spikes.unique().tolist()) <= {0.0, 1.0} for spikes in seen.values())


@pytest.mark.parametrize("front", FRONTS)
def test_energy_finds_a_rate_for_all_weights(front):
    network, probe = awake(build(front=FRONTS[front]), frames()), SpikeProbe()
    x = frames().double()
    probe.see_input(x)
    network(x, probe=probe)
    spikes, layers = probe.result(), count_layers(network)
    rates = spikes["rates"] | spikes["pooled_rates"]
    cost = energy(layers, rates, spikes["input_density"], STEPS)["breakdown"]["layers"]
    pairs = {layer.name: layer.macs for layer in layers}["block1.pairs"]
    assert cost["block1.pairs"] == pytest.approx(pairs * STEPS * spikes["rates"]["block1.v"] * 0.9e-6)
    assert cost["block2.q"] > 0
    assert [layer.name for layer in layers if layer.by_numbers] == (["conv2"] if front == "gac" else [])


@pytest.mark.parametrize("front", ["gac", "direct-lif"])
def test_a_front_takes_the_place_of_the_first_neurons(front):
    network = build(front=FRONTS[front])
    assert list(network.layers)[:3] == ["stem", "code", "conv2"] and "lif1" not in network.layers


def test_a_stem_of_its_own_for_the_first_step():
    network, x = build(own_stem=True), frames()
    stem = sum(each.numel() for each in build().layers["stem"].parameters())
    assert count_network(network)["params"] == count_network(build())["params"] + stem
    assert not network.live and network(x)[0].shape == (STEPS, BATCH, CLASSES)


def test_a_repeated_image_is_convolved_once_with_the_same_result():
    image, batches = frames(steps=1)[0].double(), []
    network = awake(build(), frames())
    network.layers["stem"].weights[0].register_forward_hook(lambda module, given, out: batches.append(len(out)))
    once = network(image.expand(STEPS, *image.shape))[0]
    assert batches == [BATCH]
    torch.testing.assert_close(network(image.repeat(STEPS, 1, 1, 1, 1))[0], once, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("attention", "placement"), [("none", "released"), ("CSA", "paper"), ("TCSA", "causal")])
@pytest.mark.parametrize("neuron", ["spikingjelly", make_neuron("asnn", adapt="shared")])
def test_steps_equal_the_whole_sequence(neuron, attention, placement):
    x = frames().double()
    settings = {"attention": attention, "placement": placement, "attention_bins": 2, "t_ratio": 1, "c_ratio": 4}
    settings["gate_gain"] = 2  # three gates around 1/2 would leave the network silent
    network = awake(build(neuron=neuron, **settings), x)
    with torch.no_grad():
        whole, last = network(x)
        state, stepped = None, []
        for frame in x:
            out, state = network.step(frame, state)
            stepped.append(out)
        first, carried = network(x[:1])
        rest, _ = network(x[1:], carried)
    assert network.live and whole.std() > 0
    torch.testing.assert_close(torch.stack(stepped), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat((first, rest)), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(state[-2], last[-2], rtol=0, atol=1e-12)  # seven potentials of the last block


@pytest.mark.parametrize(
    "settings",
    [
        {"neuron": make_neuron("asnn", adapt="steps")},
        {"attention": "CSA", "c_ratio": 4},
        {"step_scale": True},
        {"norm": "tebn"},
    ],
)
def test_what_tells_steps_apart_is_not_live(settings):
    network = build(**settings)
    assert not network.live and network(frames())[0].shape == (STEPS, BATCH, CLASSES)


@pytest.mark.parametrize("norm", ["tdbn", "tebn", "per-step"])
def test_norms_of_time_see_steps_in_every_layer(norm):
    """The norms of tokens get [T·B,C,H,W] as all others do: with TEBN's later factors at 0, only the first step is left."""
    network = build(norm=norm).train()
    assert network(frames())[0].shape == (STEPS, BATCH, CLASSES)
    weights = network.layers["block1"].weights["q"]
    if norm == "tebn":
        with torch.no_grad():
            weights[1].p[1:] = 0
        current = weights(frames((4, 4), 32).flatten(0, 1)).unflatten(0, (STEPS, BATCH))
        assert current[0].any() and not current[1:].any()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"attention": "CSA", "c_ratio": 4, "gate_gain": 2},
        {"own_stem": True, "norm": "tebn"},
        {"front": FRONTS["gac"]},
    ],
)
def test_gradients_reach_every_parameter(settings):
    network = awake(build(**settings), frames()).train()
    if "front" in settings:  # of T = 3 its squeeze network has one hidden unit: let it be on
        torch.nn.init.ones_(network.layers["code"].time.w0.weight)
    network(frames().double())[0].mean(0).square().sum().backward()
    without = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
    # The hidden units of a squeeze network may all be off on a sample: their ReLU's doing, no missing connection.
    assert not [name for name in without if "attention" not in name]


def test_linear_maps_start_as_released():
    network = build_network("spikformer", classes=100, steps=1, dim=96, depth=1)
    linears = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    assert len(linears) == 7
    for linear in linears:
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.05) and not linear.bias.any()
        assert linear.weight.abs().max() < 0.2


def test_bfloat16_fires_nearly_the_same():
    x, single, half = frames(), {}, {}
    network = awake(build(), x).float()
    network(x, probe=single.__setitem__)
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = network(x, probe=half.__setitem__)
    assert out.dtype == torch.bfloat16 and out.isfinite().all()
    for name in ("lif1", "conv2", "conv3", "conv4"):
        rate = single[name].mean()
        assert (single[name] != half[name]).float().mean() < 0.3 * 2 * rate * (1 - rate)  # what chance would give


def test_a_digit_and_other_sizes_pass():
    assert build(size=(8, 8), in_channels=1)(frames((8, 8), 1))[0].shape == (STEPS, BATCH, CLASSES)
    for size in ((4, 4), (9, 14)):
        network, seen = build(size=size), {}
        network(frames(size), probe=seen.__setitem__)
        assert seen["position"].shape[3:] == tuple(-(-side // 4) for side in size)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 36}, "dim = 36 at width = 1 makes 36 features.*multiple of heads = 4.*of 8"),
        ({"dim": 32, "heads": 5}, "heads = 5"),
        ({"width": 0.3}, "dim = 32 at width = 0.3 makes 10 features"),
        ({"heads": 0}, "heads = 0"),
        ({"depth": 0}, "depth=0"),
        ({"mlp_ratio": -1}, "mlp_ratio=-1"),
        ({"size": (3, 32)}, r"size \(H,W\) = \(3, 32\).*4x4"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        build(**settings)


def test_a_state_of_another_batch_is_named():
    _, state = build()(frames())
    with pytest.raises(ShapeError, match="state"):
        build()(frames()[:, :1], state)


@pytest.mark.parametrize(("size", "dim"), [((16, 16), 32), ((32, 32), 96), ((8, 8), 96)])
def test_memory_estimate_is_near_what_autograd_keeps(size, dim, kept_by_autograd):
    network = build(size=size, dim=dim)
    kept = kept_by_autograd(network, frames(size))
    after = sum(layer.neurons for layer in count_layers(network)) * 4 * BATCH  # the state, which autograd does not keep
    assert kept_bytes(network, STEPS, BATCH, bits=False) == pytest.approx(kept + after, rel=0.1)


def test_memory_of_the_published_network_is_plausible():
    with torch.device("meta"):
        network = build_network("spikformer", classes=10, steps=4)
    assert 6e9 < training_memory_bytes(network, 4, 128) < 16e9
    assert 0.5 < training_memory_bytes(network, 4, 128, 2) / training_memory_bytes(network, 4, 128) < 0.7
