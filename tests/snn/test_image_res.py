"""MS-, SEW- and plain residual networks for images: published counts, blocks against their equations, law 4, energy."""

import pytest
import torch
import torch.nn.functional as F

from dvspipe.encoders.gac import DirectLif, Gac
from dvspipe.errors import UsageError
from dvspipe.metrics.energy import energy
from dvspipe.metrics.spikes import SpikeProbe
from dvspipe.snn.counting import count_layers, count_network, kept_bytes
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.residual import ResidualBlock
from dvspipe.snn.layers.sew import CONNECTIONS, PlainBlock, SewBlock
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import make_neuron

STEPS, BATCH = 4, 2
CIFAR = ("ms-resnet-18-cifar", "sew-resnet-18-cifar", "resnet-18-cifar")
IMAGENET = ("ms-resnet-18", "sew-resnet-18", "resnet-18")


def build(name, **changes):
    torch.manual_seed(0)
    return build_network(name, **{"classes": 4, "steps": STEPS, "width": 0.125, "size": (16, 16), **changes})


def images(channels=3, size=(16, 16)):
    torch.manual_seed(1)
    return torch.randn(BATCH, channels, *size)


def shown(images, steps=STEPS):
    return images.expand(steps, *images.shape)


def awake(network, x=None):
    """In double precision, with norms so large that neurons everywhere fire now and then, as trained ones do; with
    the running statistics that `x` [T,B,C,H,W] leaves.
    """
    network.double()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 1.0, 3.0)
            torch.nn.init.uniform_(module.bias, 0.0, 0.5)
            module.momentum = None  # the mean of all batches so far
    if x is not None:
        with torch.no_grad():
            network(x)
    return network


@pytest.mark.parametrize(
    ("name", "classes", "params", "with_gac"),
    [
        ("ms-resnet-18-cifar", 10, 12_502_090, {6: 12_633_198}),
        ("ms-resnet-18-cifar", 100, 12_548_260, {6: 12_679_368}),
        ("sew-resnet-18-cifar", 10, 12_502_090, {}),
        ("resnet-18-cifar", 10, 12_502_090, {}),
        ("ms-resnet-18", 1000, 11_693_736, {4: 11_824_824}),
        ("ms-resnet-34", 1000, 21_801_896, {4: 21_932_984}),
        ("ms-resnet-104", 1000, 77_350_504, {}),
        ("sew-resnet-18", 1000, 11_689_512, {}),
        ("sew-resnet-34", 1000, 21_797_672, {}),
        ("resnet-18", 1000, 11_689_512, {}),
        ("resnet-34", 1000, 21_797_672, {}),
    ],
)
def test_published_parameters(name, classes, params, with_gac):
    with torch.device("meta"):
        counts = count_network(build_network(name, classes=classes, steps=4))
        gated = {
            steps: count_network(build_network(name, classes=classes, steps=steps, front=Gac(steps).front))["params"]
            for steps in with_gac
        }
    assert counts["params"] == params == sum(layer["parameters"] for layer in counts["layers"])
    assert gated == with_gac


def costs(name, **settings):
    with torch.device("meta"):
        layers = count_layers(build_network(name, steps=4, **{"classes": 10, **settings}))
    return {layer.name: (layer.source, layer.neurons, layer.macs) for layer in layers}


def test_costs_of_the_ms_network_by_hand():
    found = costs("ms-resnet-18-cifar")
    assert found["stem"] == ("input", 0, 27 * 64 * 1024)
    assert found["stage1.0.lif1"] == ("stage1.0.lif1", 64 * 1024, 9 * 64 * 128 * 1024)
    assert found["stage1.0.lif2"] == ("stage1.0.lif2", 128 * 1024, 9 * 128 * 128 * 1024)
    assert found["stage1.0.shortcut"] == ("dense", 0, 64 * 128 * 1024)
    assert found["stage2.0.lif1"] == ("stage2.0.lif1", 128 * 1024, 9 * 128 * 256 * 256)
    assert found["lif"] == ("lif", 512 * 64, 0) and found["out"] == ("lif", 0, 5120)
    assert [name for name in found if "shortcut" in name] == [f"stage{number}.0.shortcut" for number in (1, 2, 3)]
    per_stage = [len({name.split(".")[1] for name in found if name.startswith(f"stage{n}")}) for n in (1, 2, 3)]
    assert per_stage == [3, 3, 2]


@pytest.mark.parametrize(("name", "left", "neurons"), [("sew-", ".pooled", 128 * 1024), ("", "", 0)])
def test_costs_of_the_spiking_networks_by_hand(name, left, neurons):
    found = costs(f"{name}resnet-18-cifar")
    assert found["lif"] == ("lif", 64 * 1024, 0)
    assert found["stage1.0.lif1"] == ("lif", 128 * 1024, 9 * 64 * 128 * 1024)
    assert found["stage1.0.shortcut"] == ("lif", neurons, 64 * 128 * 1024)
    assert found["stage1.0.lif2"] == ("stage1.0.lif1", 128 * 1024, 9 * 128 * 128 * 1024)
    assert found["stage2.0.lif1"] == (f"stage1.2.lif2{left}", 256 * 256, 9 * 128 * 256 * 256)
    assert found["stage2.0.shortcut"][0] == f"stage1.2.lif2{left}"
    assert found["out"] == (f"stage3.1.lif2{left}", 0, 5120)


def test_networks_for_imagenet_reach_the_same_seven_by_seven():
    found = {name: costs(name) for name in ("ms-resnet-18", "ms-resnet-104", "sew-resnet-18")}
    assert {each["stage4.1.lif2"][1] for each in found.values()} == {512 * 49}
    assert found["ms-resnet-104"]["stem"] == ("input", 0, (27 * 64 + 2 * 9 * 64 * 64) * 112**2)
    assert "stage1.0.shortcut" not in found["sew-resnet-18"] and "stage1.0.shortcut" in found["ms-resnet-18"]
    assert found["sew-resnet-18"]["pool"] == ("pool.pooled", 0, 0)
    assert found["sew-resnet-18"]["stage1.0.lif1"] == ("pool.pooled", 64 * 56**2, 9 * 64 * 64 * 56**2)


# The blocks once more, as their papers' equations: plain loops over T, no state, no kit.


def conv(x, block, name, stride):
    """Convolution and norm of every step with the block's weights; statistics of the whole clip."""
    weights, norm = getattr(block, name)
    y = F.conv2d(x.flatten(0, 1), weights.weight, None, stride, weights.weight.shape[-1] // 2)
    return F.batch_norm(y, None, None, norm.weight, norm.bias, training=True).unflatten(0, x.shape[:2])


class Triangle(torch.autograd.Function):
    """GAC's code for CIFAR: fires above 0, gradient max(0, 1 - |v|)."""

    @staticmethod
    def forward(context, v):
        context.save_for_backward(v)
        return (v > 0).to(v)

    @staticmethod
    def backward(context, gradient):
        return gradient * (1 - context.saved_tensors[0].abs()).clamp(min=0)


class Atan(torch.autograd.Function):
    """SpikingJelly's: fires from 0 on, gradient 1 / (1 + (pi v)^2) at alpha 2."""

    @staticmethod
    def forward(context, v):
        context.save_for_backward(v)
        return (v >= 0).to(v)

    @staticmethod
    def backward(context, gradient):
        return gradient / (1 + (torch.pi * context.saved_tensors[0]) ** 2)


def gac_neurons(x):
    u, spikes = 0, []
    for current in x:
        u = 0.5 * u + current
        spikes.append(Triangle.apply(u - 1))
        u = (1 - spikes[-1]) * u  # the reset is part of the gradient
    return torch.stack(spikes)


def jelly_neurons(x):
    v, spikes = torch.zeros_like(x[0]), []
    for current in x:
        v = v + (current - v) / 2
        spikes.append(Atan.apply(v - 1))
        v = v * (1 - spikes[-1].detach())
    return torch.stack(spikes)


def ms(block, x, stride):
    branch = conv(gac_neurons(conv(gac_neurons(x), block, "weights1", stride)), block, "weights2", 1)
    return branch + (x if stride == 1 else conv(x, block, "shortcut", stride))


def plain(block, x, stride):
    branch = conv(jelly_neurons(conv(x, block, "weights1", stride)), block, "weights2", 1)
    return jelly_neurons(branch + (x if stride == 1 else conv(x, block, "shortcut", stride)))


def sew(connection):
    def run(block, x, stride):
        branch = jelly_neurons(conv(jelly_neurons(conv(x, block, "weights1", stride)), block, "weights2", 1))
        return connection(branch, x if stride == 1 else jelly_neurons(conv(x, block, "shortcut", stride)))

    return run


BLOCKS = {
    "ms": (ResidualBlock, {"gamma": 1.0, "second_gamma": 1.0, "pooled": False}, "gac", ms),
    "plain": (PlainBlock, {}, "spikingjelly", plain),
    "ADD": (SewBlock, {"connect": "ADD"}, "spikingjelly", sew(lambda a, b: a + b)),
    "AND": (SewBlock, {"connect": "AND"}, "spikingjelly", sew(lambda a, b: a * b)),
    "IAND": (SewBlock, {"connect": "IAND"}, "spikingjelly", sew(lambda a, b: (1 - a) * b)),
}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", BLOCKS)
def test_blocks_are_their_equations_and_so_are_their_gradients(kind, stride):
    make, settings, neuron, restated = BLOCKS[kind]
    torch.manual_seed(0)
    block = awake(make((5, 5 * stride), (8, 8), stride, Kit(steps=STEPS, neuron=make_neuron(neuron)), **settings))
    x = torch.randn(STEPS, BATCH, 5, 8, 8, dtype=torch.double)
    x = (x if kind == "ms" else (x > 0).double()).requires_grad_()
    out, _ = block(x, None)
    expected = restated(block, x, stride)
    assert out.any() and out.std() > 0.1
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    goal, wanted = torch.randn_like(out), [x, *block.parameters()]
    ours, theirs = (torch.autograd.grad((each * goal).sum(), wanted) for each in (out, expected))
    for found, own in zip(ours, theirs):
        torch.testing.assert_close(found, own, rtol=1e-7, atol=1e-8)
    assert sum(gradient.abs().sum() > 0 for gradient in ours) == len(ours)


@pytest.mark.parametrize("connect", CONNECTIONS)
def test_a_silent_branch_makes_add_and_iand_the_identity_and_and_nothing(connect):
    kit = Kit(steps=STEPS, neuron=make_neuron("spikingjelly"))
    block = SewBlock((6, 6), (8, 8), 1, kit, connect=connect, second_gamma=0.0)
    x = (torch.rand(STEPS, BATCH, 6, 8, 8) > 0.5).float()
    out, _ = block(x, None)
    assert torch.equal(out, torch.zeros_like(x) if connect == "AND" else x)


@pytest.mark.parametrize("name", ["sew-resnet-18", "sew-resnet-34"])
def test_sew_for_imagenet_starts_as_the_identity_where_silence_is_one(name):
    starts = {
        connect: build(name, connect=connect).layers["stage2"]["1"].weights2[1].weight.unique().tolist()
        for connect in CONNECTIONS
    }
    assert starts == {"ADD": [0.0], "IAND": [0.0], "AND": [1.0]}


def test_ms_networks_start_as_their_code():
    cifar, imagenet, deep = (build(name) for name in ("ms-resnet-18-cifar", "ms-resnet-18", "ms-resnet-104"))
    for network, start, second in ((cifar, 1.0, 1.0), (imagenet, 0.5, 0.0), (deep, 0.5, 0.0)):
        block = network.layers["stage2"]["0"]
        layers = (network.layers["stem"].weights, block.weights1, block.shortcut, block.weights2)
        norms = [[each for each in layer.modules() if isinstance(each, torch.nn.BatchNorm2d)] for layer in layers]
        assert [norm.weight.unique().tolist() for (norm,) in norms] == [[start], [start], [start], [second]]
    spread = [network.layers["stage4"]["1"].weights1[0].weight.std().item() for network in (imagenet, deep)]
    assert spread[0] == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)  # Kaiming, fan out
    assert spread[1] == pytest.approx((1 / (3 * 9 * 64)) ** 0.5, rel=0.02)  # torch's own


def test_a_neutral_gate_stays_neutral_under_the_start_of_the_convolutions():
    network = build("ms-resnet-18", attention="CSA", gate_start="neutral", c_ratio=4)
    lasts = [weight for each in network.layers["stage1"].values() for weight in each.attention.last_weights()]
    assert lasts and not any(weight.any() for weight in lasts)


@pytest.mark.parametrize("name", [*CIFAR, *IMAGENET, "ms-resnet-104"])
def test_probe_hears_the_neurons_that_are_counted(name):
    network, seen = build(name), {}
    out, _ = network(shown(images()), probe=seen.__setitem__)
    neurons = {layer.name: layer.neurons for layer in count_layers(network) if layer.neurons}
    heard = {key: spikes[0, 0].numel() for key, spikes in seen.items() if not key.endswith(".pooled")}
    assert heard == neurons and out.shape == (STEPS, BATCH, 4)
    assert all(set(spikes.unique().tolist()) <= {0.0, 1.0} for spikes in seen.values())
    assert {layer.source for layer in count_layers(network)} <= {*seen, "input", "dense"}


@pytest.mark.parametrize("connect", CONNECTIONS)
def test_what_a_sew_block_passes_on_is_heard_as_the_share_that_is_not_zero(connect):
    network, seen, given = awake(build("sew-resnet-18-cifar", connect=connect)), {}, {}
    for index, block in network.layers["stage1"].items():
        block.register_forward_hook(lambda module, args, out, index=index: given.update({index: out[0]}))
    network(shown(images().double()), probe=seen.__setitem__)
    for index, out in given.items():
        assert torch.equal(seen[f"stage1.{index}.lif2.pooled"], (out != 0).double())
    highest = max(out.max() for out in given.values())
    assert highest > 1 if connect == "ADD" else highest <= 1


@pytest.mark.parametrize("name", [*CIFAR, *IMAGENET, "ms-resnet-104"])
@pytest.mark.parametrize("front", [None, DirectLif(STEPS).front, Gac(STEPS).front])
def test_energy_finds_a_rate_for_all_weights(name, front):
    network, probe = build(name, front=front), SpikeProbe()
    network(shown(images()), probe=probe)
    result = probe.result()
    assert energy(count_layers(network), result["rates"] | result["pooled_rates"], 1.0, STEPS)["energy_uj"] > 0


def numbers(network):
    return {layer.name for layer in count_layers(network) if layer.by_numbers}


def test_weights_behind_a_real_valued_code_multiply_until_neurons_come():
    gac = {"front": Gac(STEPS).front}
    assert numbers(build("sew-resnet-18-cifar", **gac)) == {"stage1.0.lif1", "stage1.0.shortcut"}
    assert numbers(build("resnet-18-cifar", **gac)) == {"stage1.0.lif1", "stage1.0.shortcut"}
    assert numbers(build("resnet-18", **gac)) == {"stage1.0.lif1"}
    passed = {"stage1.0.lif1", "stage1.1.lif1", "stage2.0.lif1", "stage2.0.shortcut"}  # on, by stage 1's shortcuts
    assert numbers(build("sew-resnet-18", **gac)) == passed
    assert not numbers(build("ms-resnet-18-cifar", **gac))  # its shortcuts see real numbers in any case
    assert not numbers(build("sew-resnet-18", front=DirectLif(STEPS).front))
    bare = count_layers(build("sew-resnet-18-cifar", front=Gac(STEPS, spiking=False).front))
    assert {layer.source for layer in bare if layer.name.startswith("stage1.0.")} == {"dense", "stage1.0.lif1"}


@pytest.mark.parametrize("name", [*CIFAR, *IMAGENET])
def test_a_front_takes_the_place_of_the_first_neurons(name):
    without, behind = build(name), build(name, front=DirectLif(STEPS).front)
    assert list(behind.layers)[:2] == ["stem", "code"]
    assert ("lif" in behind.layers) == name.startswith("ms")  # there they are the last ones
    x = shown(images())
    same = torch.equal(without(x)[0], behind(x)[0])
    assert same != name.startswith("ms")  # to an MS-ResNet they are one layer of neurons more


@pytest.mark.parametrize("name", ["ms-resnet-18-cifar", "ms-resnet-104", "sew-resnet-18-cifar", "resnet-18-cifar"])
def test_a_repeated_image_is_convolved_once(name):
    network, batches = build(name), {}
    watched = {"stem": network.layers["stem"].weights[0], "shortcut": network.layers["stage1"]["0"].shortcut}
    for key, module in watched.items():
        module.register_forward_hook(lambda module, args, out, key=key: batches.update({key: len(out)}))
    once, _ = network(shown(images()))
    first = dict(batches)
    every, _ = network(shown(images()).contiguous())
    expected = {"stem", "shortcut"} if name.startswith("ms") else {"stem"}  # behind neurons nothing repeats
    assert {key for key, count in first.items() if count == BATCH} == expected
    assert set(batches.values()) == {STEPS * BATCH}
    torch.testing.assert_close(once, every, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CIFAR)
def test_two_stems_serve_the_first_step_and_the_rest(name):
    network, batches = build(name, own_stem=True), []
    stem = network.layers["stem"]
    for each in (stem.first, stem.rest):
        each.weights.register_forward_hook(lambda module, args, out: batches.append(len(out)))
    network(torch.rand(STEPS, BATCH, 3, 16, 16))
    assert batches == [BATCH, (STEPS - 1) * BATCH] and not network.live
    extra = count_network(network)["params"] - count_network(build(name))["params"]
    assert extra == 27 * 8 + 2 * 8


@pytest.mark.parametrize(
    ("attention", "placement"), [("none", "released"), ("CSA", "paper"), ("TCSA", "causal"), ("SimAM", "released")]
)
@pytest.mark.parametrize("name", [*CIFAR, "sew-resnet-18", "ms-resnet-104"])
def test_steps_equal_the_whole_sequence(name, attention, placement):
    x = torch.randn(STEPS, BATCH, 3, 32, 32, dtype=torch.double)
    settings = {"attention": attention, "placement": placement, "attention_bins": 2, "gate_gain": 2}
    network = awake(build(name, size=(32, 32), c_ratio=4, t_ratio=1, **settings), x).eval()
    state, stepped = None, []
    with torch.no_grad():
        whole, _ = network(x)
        for frame in x:
            out, state = network.step(frame, state)
            stepped.append(out)
        first, carried = network(x[:1])
        rest, _ = network(x[1:], carried)
    assert network.live and whole.std(0).max() > 0
    torch.testing.assert_close(torch.stack(stepped), whole, rtol=0, atol=1e-11)
    torch.testing.assert_close(torch.cat((first, rest)), whole, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", CIFAR)
def test_attention_of_a_whole_clip_cannot_step_and_says_so(name):
    network = build(name, attention="CSA", c_ratio=4)
    assert not network.live
    with pytest.raises(UsageError, match="sliding clip"):
        network.step(images())


@pytest.mark.parametrize("kind", ["plain", "ADD"])
def test_attention_acts_on_the_current_of_the_last_neurons(kind, monkeypatch):
    make, settings, neuron, _ = BLOCKS[kind]
    # On reference kernels, for the fast one never asks attention for a re-weighted current.
    kit = Kit(steps=STEPS, neuron=make_neuron(neuron), attention="CSA", c_ratio=2, kernels="reference")
    block, weighed = make((4, 4), (8, 8), 1, kit, **settings), {}
    weigh = block.lif2.attention.weigh
    monkeypatch.setattr(block.lif2.attention, "weigh", lambda x, memory: weighed.update(x=x) or weigh(x, memory))
    block.weights2.register_forward_hook(lambda module, args, out: weighed.update(branch=out))
    x = (torch.rand(STEPS, BATCH, 4, 8, 8) > 0.5).float()
    block(x, None)
    branch = weighed["branch"].unflatten(0, (STEPS, BATCH))
    assert torch.equal(weighed["x"], branch + x if kind == "plain" else branch)


@pytest.mark.parametrize("attention", ["none", "CSA", "TCSA"])
@pytest.mark.parametrize("name", [*CIFAR, *IMAGENET])
def test_gradients_reach_every_parameter(name, attention):
    network = awake(build(name, attention=attention, c_ratio=4, t_ratio=2, gate_gain=2, relu=False, size=(32, 32)))
    out, _ = network(shown(images(size=(32, 32)).double()))
    out.mean(0).square().sum().backward()
    gradients = {key: each.grad for key, each in network.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    assert not [key for key, gradient in gradients.items() if "attention" not in key and not gradient.any()]


@pytest.mark.parametrize("name", [*CIFAR, *IMAGENET, "ms-resnet-104"])
@pytest.mark.parametrize(("width", "size"), [(0.001, (5, 7)), (0.03, (1, 1))])
def test_any_width_and_size_passes(name, width, size):
    network = build(name, width=width, size=size, in_channels=2).eval()
    assert network(shown(images(2, size)))[0].shape == (STEPS, BATCH, 4)


def test_width_scales_all_channels():
    full, half = costs("ms-resnet-18-cifar"), costs("ms-resnet-18-cifar", width=0.5)
    assert all(half[name][1] * 2 == neurons for name, (_, neurons, _) in full.items())
    assert half["stage2.1.lif1"][2] * 4 == full["stage2.1.lif1"][2]


def test_an_image_has_its_own_size_unless_said():
    with torch.device("meta"):
        shapes = [build_network(name, classes=4, steps=2).frame_shape for name in ("resnet-18-cifar", "resnet-18")]
    assert shapes == [(3, 32, 32), (3, 224, 224)]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sew-resnet-18-cifar", {"connect": "OR"}, "unknown connection 'OR'.*ADD, AND, IAND"),
        ("ms-resnet-18-cifar", {"connect": "ADD"}, "no setting 'connect'"),
        ("resnet-18-cifar", {"classes": 0}, "classes=0"),
        ("ms-resnet-34", {"width": 0}, "width=0"),
        ("ms-resnet-34", {"size": (0, 8)}, "size=0"),
    ],
)
def test_wrong_settings_are_named(name, settings, message):
    with pytest.raises(UsageError, match=message):
        build(name, **settings)


@pytest.mark.parametrize(("name", "settings"), [(name, {}) for name in CIFAR] + [(CIFAR[1], {"connect": "IAND"})])
@pytest.mark.parametrize(("attention", "placement"), [("none", "released"), ("CSA", "released"), ("CSA", "paper")])
def test_memory_estimate_is_near_what_autograd_keeps(name, settings, attention, placement, kept_by_autograd):
    neuron = make_neuron("gac" if name.startswith("ms") else "spikingjelly", detach_reset=False)  # the most they keep
    network = build(name, attention=attention, placement=placement, c_ratio=4, neuron=neuron, **settings)
    kept = kept_by_autograd(network, torch.rand(STEPS, BATCH, 3, 16, 16))
    after = sum(part.neurons for part in count_layers(network)) * 4 * BATCH  # the state, which autograd does not keep
    assert kept_bytes(network, STEPS, BATCH, bits=False) == pytest.approx(kept + after, rel=0.1)
