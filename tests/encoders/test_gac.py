"""GAC: the gate by formula, its ablations, what it costs, and a stem that runs once."""

import pytest
import torch

from dvspipe.encoders.choice import build_encoder
from dvspipe.encoders.image_network import ImageNetwork
from dvspipe.encoders.weighing import weigh
from dvspipe.errors import UsageError
from dvspipe.metrics.energy import AC_PJ, MAC_PJ, Code, energy
from dvspipe.snn.counting import count_layers, count_network
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.residual import NeuronLayer
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import make_neuron

STEPS, CHANNELS, SIZE = 4, 6, (8, 8)
KIT = Kit(steps=STEPS, neuron=make_neuron("gac"))


def made(**settings):
    torch.manual_seed(0)
    return build_encoder("gac", STEPS, **settings).front(KIT, CHANNELS, SIZE)


def current():
    torch.manual_seed(1)
    return torch.randn(3, CHANNELS, *SIZE).expand(STEPS, 3, CHANNELS, *SIZE)


def network(name, steps=STEPS, **settings):
    torch.manual_seed(0)
    encoder = build_encoder(name, steps, **settings)
    plan = {"classes": 10, "steps": steps, "size": (16, 16), "width": 0.125}
    return ImageNetwork(encoder, build_network("ms-resnet-18-cifar", front=encoder.front, **plan))


def test_the_gate_is_the_product_of_unsquashed_scores():
    layer, x = made(kernel=3), current()
    mean, top = x.mean((2, 3, 4)).T, x.amax((2, 3, 4)).T  # [B,T]
    hidden = (mean @ layer.time.w0.weight.T).relu(), (top @ layer.time.w0.weight.T).relu()
    time = sum(each @ layer.time.w1.weight.T for each in hidden).T[:, :, None, None, None]
    space = torch.stack([layer.space(step) for step in x])
    spikes, v = layer.lif(x)
    coded, after = layer(x, None)
    torch.testing.assert_close(coded, torch.sigmoid(time * space) * spikes)
    assert torch.equal(after, v) and 0 < spikes.mean() < 1
    assert torch.equal(coded > 0, spikes > 0), "the gate weighs spikes, it makes none"


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 8])
def test_every_kernel_keeps_the_size_as_torch_pads(kernel):
    layer, x = made(kernel=kernel, gate="space"), current()[0]
    first = layer.space[0][1]
    before, after = (kernel - 1) // 2, kernel // 2  # torch's padding="same": the odd pixel right and below
    wanted = torch.nn.functional.conv2d(torch.nn.functional.pad(x, (before, after) * 2), first.weight)
    assert torch.equal(layer.space[0](x), wanted) and layer.space(x).shape == x.shape


@pytest.mark.parametrize(
    ("gate", "parameters"), [("full", 2 * 36 * 16 + 16), ("time", 16), ("space", 2 * 36 * 16), ("constant", 0)]
)
def test_ablations_have_their_parts(gate, parameters):
    layer = made(gate=gate)
    assert sum(each.numel() for each in layer.parameters()) == parameters
    coded, _ = layer(current(), None)
    if gate == "constant":
        assert set(coded.unique().tolist()) == {0.0, 0.5}


def test_a_gate_without_spikes_lets_the_current_through():
    layer, x = made(spiking=False), current()
    heard = []
    coded, state = layer(x, None, lambda name, spikes: heard.append(name))
    assert state is None and not heard and (coded < 0).any()
    torch.testing.assert_close(coded, layer.gate(x) * x)
    layers = count_layers(network("gac", spiking=False).network)
    rates = dict.fromkeys([layer.name for layer in layers if layer.neurons], 0.1)
    assert energy(layers, rates, Code([1.0] * STEPS, [True] * STEPS, repeats=True), STEPS)["energy_uj"] > 0


def test_direct_lif_is_gac_without_its_gate():
    front = build_encoder("direct-lif", STEPS).front(KIT, CHANNELS, SIZE)
    assert isinstance(front, NeuronLayer) and not list(front.parameters())
    spikes, _ = front(current(), None)
    assert torch.equal(spikes > 0, made()(current(), None)[0] > 0)
    assert build_encoder("direct", STEPS).front is None


@pytest.mark.parametrize("name", ["direct", "direct-lif", "gac"])
def test_the_stem_runs_once_and_says_the_same(name):
    """A repeated image is convolved once; a code with a memory of its own for every step gives the same scores."""
    model, images = network(name).eval(), torch.randn(2, 3, 16, 16)
    calls = []
    model.layers["stem"].weights[0].register_forward_hook(lambda module, given, out: calls.append(len(out)))
    once, _ = model(images)
    code = model.encoder(images)
    assert code.stride(0) == 0
    each, _ = model.network(code.contiguous())
    assert calls == [2, 2 * STEPS]
    torch.testing.assert_close(once, each, rtol=1e-4, atol=1e-5)


def test_statistics_of_a_repeated_image_are_those_of_its_repetitions():
    model, images = network("gac"), torch.randn(4, 3, 16, 16)
    norm = model.layers["stem"].weights[1]
    once, _ = model(images)
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    norm.reset_running_stats()
    each, _ = model.network(model.encoder(images).contiguous())
    torch.testing.assert_close(once, each, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(mean, norm.running_mean)
    count = (
        4 * 256
    )  # torch's running variance is unbiased: N/(N-1) of one image's pixels, TN/(TN-1) of all repetitions'
    torch.testing.assert_close(variance - 0.9, (norm.running_var - 0.9) * (count / (count - 1)) / (
        STEPS * count / (STEPS * count - 1)), rtol=1e-4, atol=1e-6)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "steps", "classes", "plan", "parameters"),
    [
        ("gac", 6, 10, "ms-resnet-18-cifar", 12_633_198),
        ("gac", 6, 100, "ms-resnet-18-cifar", 12_679_368),
        ("direct", 6, 10, "ms-resnet-18-cifar", 12_502_090),
        ("gac", 4, 1000, "ms-resnet-18", 11_824_824),
        ("gac", 4, 1000, "ms-resnet-34", 21_932_984),
    ],
)
def test_published_counts(name, steps, classes, plan, parameters):
    with torch.device("meta"):
        encoder = build_encoder(name, steps)
        made = build_network(plan, classes=classes, steps=steps, front=encoder.front)
    assert count_network(made)["params"] == parameters


def test_published_cost_of_the_gate():
    """gac.md §7: two 4x4 convolutions 64 -> 64 at 112x112 are 1.64 GMAC a step, 6.58 of T = 4; 30.3 mJ or once 7.6."""
    with torch.device("meta"):
        made = build_network("ms-resnet-18", classes=1000, steps=4, front=build_encoder("gac", 4).front)
    gate = next(layer for layer in count_layers(made) if layer.kind == "gate")
    assert gate.gate_macs_every_step == pytest.approx(6.58e9, rel=1e-3)
    assert gate.gate_macs * MAC_PJ * 1e-9 == pytest.approx(7.56, rel=1e-3)  # mJ
    assert gate.gate_macs_every_step * MAC_PJ * 1e-9 == pytest.approx(30.25, rel=1e-3)


def test_three_countings_by_hand():
    made = network("gac").network
    layers = count_layers(made)
    rates = dict.fromkeys([layer.name for layer in layers if layer.neurons], 0.1)
    code = Code([0.5] * STEPS, [True] * STEPS, repeats=True)
    cost = {
        each: energy(layers, rates, code, STEPS, each)["energy_uj"] for each in ("every step", "once", "gate excluded")
    }
    stem = 8 * 3 * 9 * 256 * 0.5 * MAC_PJ * 1e-6
    space = 2 * 8 * 8 * 16 * 256 * MAC_PJ * 1e-6
    scale = 2 * 8 * 256 * STEPS * MAC_PJ * 1e-6
    time = 3 * STEPS * (STEPS // 2) * MAC_PJ * 1e-6
    assert cost["every step"] - cost["once"] == pytest.approx((STEPS - 1) * (stem + space))
    assert cost["once"] - cost["gate excluded"] == pytest.approx(space + time + scale)


def test_weights_behind_the_gate_multiply():
    """LeNet's second convolution sees gated, real numbers; behind plain neurons it sees spikes."""
    prices = {}
    for name in ("gac", "direct-lif"):
        front = build_encoder(name, STEPS).front
        layers = count_layers(
            build_network("lenet", classes=10, steps=STEPS, size=(16, 16), in_channels=1, front=front)
        )
        names = {layer.source for layer in layers} | {layer.name for layer in layers}
        rates = dict.fromkeys(names - {"input", "dense"}, 0.1)
        code = Code([1.0] * STEPS, [True] * STEPS, repeats=True)
        costs = energy(layers, rates, code, STEPS)["breakdown"]["layers"]
        second = [layer for layer in layers if layer.kind == "conv"][1]
        prices[name] = costs[second.name] / (second.macs * STEPS * 0.1) * 1e6
    assert prices == pytest.approx({"gac": MAC_PJ, "direct-lif": AC_PJ})


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"gate": "ful"}, "unknown gate 'ful'.*did you mean 'full'"),
        ({"kernel": 0}, "kernel = 0"),
        ({"t_ratio": 5}, "t_ratio from 1 to 4"),
        ({"kernl": 3}, "no setting 'kernl'"),
    ],
)
def test_wrong_settings_are_named(settings, match):
    with pytest.raises(UsageError, match=match):
        made(**settings)


def test_gac_needs_a_network_with_a_stem():
    with pytest.raises(UsageError, match=r"no stem.*ms-resnet-18-cifar"):
        build_network("three-conv", classes=10, steps=STEPS, in_channels=3, front=build_encoder("gac", STEPS).front)


def test_another_t_than_the_gates_is_an_error():
    from dvspipe.errors import ShapeError

    with pytest.raises(ShapeError, match="T = 4"):
        network("gac").network(torch.randn(6, 1, 3, 16, 16))


def test_weighing_is_the_product_and_its_gradient():
    torch.manual_seed(2)
    time, space = torch.randn(3, 2, 1, 1, 1).double(), torch.randn(2, 4, 3, 3).double()
    spikes = (torch.rand(3, 2, 4, 3, 3) > 0.5).double()
    given = [each.requires_grad_() for each in (time, space, spikes)]
    plain = torch.sigmoid(time * space) * spikes
    torch.testing.assert_close(weigh(*given), plain)
    into = torch.randn_like(plain)
    for ours, theirs in zip(*(torch.autograd.grad(each, given, into) for each in (weigh(*given), plain))):
        torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradcheck(weigh, given)


def test_the_quick_product_is_the_layers():
    """With the image's scores made once and with scores of every step, forth and back, spikes being the same."""
    layer, found = made(kernel=3).double(), []
    for once in (True, False):
        images = current()[0].double().requires_grad_()
        x = images.expand(STEPS, *images.shape)
        coded, _ = layer(x if once else x.contiguous(), None)
        into = torch.linspace(-1, 1, coded.numel()).double().view_as(coded)
        found.append((coded, *torch.autograd.grad(coded, (images, *layer.parameters()), into)))
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs)
