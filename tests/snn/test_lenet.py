"""LeNet of ASNN: counts by hand, one step restated, pooling, what an encoder puts behind the stem, law 4."""

import pytest
import torch
import torch.nn.functional as F

from dvspipe.encoders.gac import DirectLif, Gac
from dvspipe.errors import UsageError
from dvspipe.metrics.energy import energy
from dvspipe.metrics.spikes import SpikeProbe
from dvspipe.snn.counting import count_layers, count_network, kept_bytes
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import make_neuron

STEPS, BATCH, CLASSES = 4, 2, 5
FRONTS = {"none": None, "gac": Gac(STEPS).front, "direct-lif": DirectLif(STEPS).front}


def build(**changes):
    torch.manual_seed(0)
    return build_network("lenet", **{"classes": CLASSES, "steps": STEPS, "width": 0.25, "size": (16, 16), **changes})


def frames(size=(16, 16), channels=3, steps=STEPS):
    torch.manual_seed(1)
    return torch.randn(steps, BATCH, channels, *size)


def awake(network, x):
    """With norms that let neurons fire and, in double precision and evaluation mode, the statistics of `x`."""
    network.double().train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 1.0, 3.0)
            torch.nn.init.uniform_(module.bias, 0.0, 1.0)
            module.momentum = None  # the mean of all batches so far
    with torch.no_grad():
        network(x.double())
    return network.eval()


CONVOLUTIONS = (32 * 27 + 3 * 32) + (48 * 32 * 9 + 3 * 48) + (64 * 48 * 9 + 3 * 64)  # bias and norm: three per channel
HIDDEN = 64 * 4 * 4 * 256 + 3 * 256
SCORES = 256 * 100 + 100


@pytest.mark.parametrize(
    ("settings", "params"),
    [
        ({}, CONVOLUTIONS + HIDDEN + SCORES),
        ({"own_stem": True}, CONVOLUTIONS + HIDDEN + SCORES + 960),
        (  # the released script: 2·4·7 + 7 = 63 for time
            {"own_stem": True, "step_scale": True, "neuron": make_neuron("asnn", adapt="steps")},
            CONVOLUTIONS + HIDDEN + SCORES + 960 + 63,
        ),
    ],
)
def test_published_parameters(settings, params):
    with torch.device("meta"):
        network = build_network("lenet", classes=100, steps=7, **settings)
    counts = count_network(network)
    assert counts["params"] == params == sum(layer["parameters"] for layer in counts["layers"])
    assert CONVOLUTIONS + HIDDEN + SCORES == 331_380


@pytest.mark.parametrize(("pool", "left"), [("max", ".pooled"), ("mean", "")])
def test_costs_by_hand(pool, left):
    with torch.device("meta"):
        layers = count_layers(build_network("lenet", classes=100, steps=7, pool=pool))
    sides = (32, 16, 8) if pool == "max" else (16, 8, 4)  # the mean is taken before the neurons
    assert [(layer.name, layer.source, layer.neurons, layer.macs) for layer in layers] == [
        ("stem", "input", 0, 27 * 32 * 32 * 32),
        ("lif1", "lif1", 32 * sides[0] ** 2, 0),
        ("conv2", f"lif1{left}", 48 * sides[1] ** 2, 9 * 32 * 48 * 16 * 16),
        ("conv3", f"conv2{left}", 64 * sides[2] ** 2, 9 * 48 * 64 * 8 * 8),
        ("fc1", f"conv3{left}", 256, 1024 * 256),
        ("out", "fc1", 0, 256 * 100),
    ]


def test_a_digit_goes_through():
    """8x8 -> 4x4 -> 2x2 -> 1x1: the hidden layer sees 64 numbers."""
    network = build(size=(8, 8), in_channels=1, width=1.0)
    assert network.layers["fc1"].linear.in_features == 64
    assert network(frames((8, 8), 1))[0].shape == (STEPS, BATCH, CLASSES)


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize(("size", "width"), [((8, 8), 0.01), ((17, 30), 0.25), ((33, 9), 0.5)])
def test_any_size_and_width_passes(size, width, pool):
    assert build(size=size, width=width, pool=pool)(frames(size))[0].shape == (STEPS, BATCH, CLASSES)


def fired(current, v):
    """SpikingJelly's neuron, tau 2: half of the current comes in, half of the membrane leaks, reset to 0."""
    u = v + (current - v) / 2
    spikes = (u >= 1).to(u.dtype)
    return spikes, u * (1 - spikes)


def normed(x, norm):
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)


@pytest.mark.parametrize("pool", ["max", "mean"])
def test_steps_are_the_released_ones(pool):
    x = frames().double()
    network = awake(build(pool=pool), x)
    heard = {}
    out, _ = network(x, probe=heard.__setitem__)
    stem, (conv2, conv3, full) = (
        network.layers["stem"].weights,
        [network.layers[name] for name in ("conv2", "conv3", "fc1")],
    )
    plan = {"lif1": (stem[0], stem[1]), "conv2": (conv2.conv, conv2.norm), "conv3": (conv3.conv, conv3.norm)}
    v = dict.fromkeys((*plan, "fc1"), torch.zeros(()))
    for step, frame in enumerate(x):
        for name, (conv, norm) in plan.items():
            frame = normed(F.conv2d(frame, conv.weight, conv.bias, padding=1), norm)
            frame = F.avg_pool2d(frame, 2) if pool == "mean" else frame
            frame, v[name] = fired(frame, v[name])
            assert torch.equal(frame, heard[name][step])
            frame = F.max_pool2d(frame, 2) if pool == "max" else frame
        hidden, v["fc1"] = fired(normed(full.linear(frame.flatten(1)), full.norm), v["fc1"])
        assert torch.equal(hidden, heard["fc1"][step])
        torch.testing.assert_close(out[step], network.layers["out"].linear(hidden), rtol=0, atol=1e-12)
    assert all(0.02 < heard[name].mean() < 0.98 for name in v)


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize("front", FRONTS)
def test_probe_hears_the_neurons_that_are_counted(front, pool):
    network, seen = build(front=FRONTS[front], pool=pool), {}
    network(frames(), probe=seen.__setitem__)
    neurons = {layer.name: layer.neurons for layer in count_layers(network) if layer.neurons}
    own = {name: spikes for name, spikes in seen.items() if not name.endswith("pooled")}
    assert {name: spikes[0, 0].numel() for name, spikes in own.items()} == neurons
    assert all(set(spikes.unique().tolist()) <= {0.0, 1.0} for spikes in seen.values())


@pytest.mark.parametrize(
    ("front", "pool", "numbers"),
    [("none", "max", False), ("none", "mean", False), ("direct-lif", "max", False), ("direct-lif", "mean", True),
     ("gac", "max", True), ("gac", "mean", True)],
)  # fmt: skip
def test_energy_finds_a_rate_for_all_weights_and_knows_which_multiply(front, pool, numbers):
    network, probe = build(front=FRONTS[front], pool=pool), SpikeProbe()
    x = frames()
    probe.see_input(x)
    network(x, probe=probe)
    spikes, layers = probe.result(), count_layers(network)
    cost = energy(layers, spikes["rates"] | spikes["pooled_rates"], spikes["input_density"], STEPS)
    driven = {layer.name: layer.by_numbers for layer in layers}
    assert cost["breakdown"]["layers"]["conv2"] > 0
    assert driven["conv2"] == numbers and not driven["conv3"] and not driven["fc1"]


@pytest.mark.parametrize("front", ["gac", "direct-lif"])
def test_a_front_takes_the_place_of_the_first_neurons_and_pooling_follows(front):
    network, seen = build(front=FRONTS[front]), {}
    network.layers["code"].register_forward_hook(lambda module, given, out: seen.update(code=out[0]))
    network.layers["conv2"].register_forward_hook(lambda module, given, out: seen.update(conv2=given[0]))
    network(frames())
    assert list(network.layers)[:4] == ["stem", "code", "pool1", "conv2"] and "lif1" not in network.layers
    torch.testing.assert_close(seen["conv2"], F.max_pool2d(seen["code"].flatten(0, 1), 2).unflatten(0, (STEPS, BATCH)))


@pytest.mark.parametrize("pool", ["max", "mean"])
def test_a_repeated_image_is_convolved_and_averaged_once_with_the_same_result(pool):
    image = frames(steps=1)[0].double()
    network, batches = awake(build(pool=pool), frames()), []
    network.layers["stem"].weights[0].register_forward_hook(lambda module, given, out: batches.append(len(out)))
    network.layers["lif1"].pool.register_forward_hook(lambda module, given, out: batches.append(len(out)))
    once = network(image.expand(STEPS, *image.shape))[0]
    assert set(batches) == {BATCH}
    torch.testing.assert_close(network(image.repeat(STEPS, 1, 1, 1, 1))[0], once, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize(("attention", "placement"), [("none", "released"), ("CSA", "paper"), ("TCSA", "causal")])
def test_steps_equal_the_whole_sequence(attention, placement, pool):
    x = frames().double()
    network = awake(build(attention=attention, placement=placement, pool=pool, attention_bins=2, t_ratio=1), x)
    with torch.no_grad():
        whole, _ = network(x)
        state, stepped = None, []
        for frame in x:
            out, state = network.step(frame, state)
            stepped.append(out)
        first, carried = network(x[:1])
        rest, _ = network(x[1:], carried)
    assert network.live and whole.std() > 0
    torch.testing.assert_close(torch.stack(stepped), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat((first, rest)), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [{"own_stem": True}, {"norm": "per-step"}, {"norm": "tebn"}, {"step_scale": True},
     {"neuron": make_neuron("asnn", adapt="steps")}, {"attention": "CSA"}, {"front": FRONTS["gac"]}],
)  # fmt: skip
def test_what_tells_steps_apart_is_not_live(settings):
    network = build(**settings)
    assert not network.live
    assert network(frames())[0].shape == (STEPS, BATCH, CLASSES)


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize(
    "settings", [{}, {"attention": "CA"}, {"own_stem": True, "norm": "tebn"}, {"front": FRONTS["gac"]}]
)
def test_gradients_reach_every_parameter(settings, pool):
    network = build(width=0.5, neuron=make_neuron("asnn", adapt="steps"), step_scale=True, pool=pool, **settings)
    awake(network, frames()).train()(frames())[0].mean(0).square().sum().backward()
    without = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
    assert not without


def test_attention_weighs_the_first_current_too():
    layers = {layer.name: layer for layer in count_layers(build(attention="CSA"))}
    weighed = [name for name, layer in layers.items() if layer.attention_parameters]
    assert weighed == ["lif1", "conv2", "conv3"]  # CA and SA have no place in a full layer
    behind_gac = count_layers(build(attention="CSA", front=FRONTS["gac"]))
    assert [layer.name for layer in behind_gac if layer.attention_parameters] == weighed[1:]


def test_bfloat16_fires_nearly_the_same():
    x, single, half = frames(), {}, {}
    network = awake(build(), x).float()
    network(x, probe=single.__setitem__)
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = network(x, probe=half.__setitem__)
    assert out.dtype == torch.bfloat16 and out.isfinite().all()
    for name in ("lif1", "conv2"):  # from layer to layer fewer: every spike that differs makes others
        rate = single[name].mean()
        assert (single[name] != half[name]).float().mean() < 0.3 * 2 * rate * (1 - rate)  # what chance would give


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize("front", ["none", "direct-lif"])
def test_memory_estimate_is_near_what_autograd_keeps(front, pool, kept_by_autograd):
    network = build(front=FRONTS[front], pool=pool, width=1.0)
    kept = kept_by_autograd(network, frames())
    after = sum(layer.neurons for layer in count_layers(network)) * 4 * BATCH  # the state, which autograd does not keep
    assert kept_bytes(network, STEPS, BATCH, bits=False) == pytest.approx(kept + after, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pool": "men"}, "unknown pool 'men'.*'mean'.*max, mean"),
        ({"size": (7, 32)}, r"size \(H,W\) = \(7, 32\).*8x8"),
        ({"classes": 0}, "classes=0"),
        ({"width": 0}, "width=0"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        build(**settings)
