"""The attention that is no T, C or S: ECA, SimAM and TCJA by their formulas, and the control whose gates stand still."""

import pytest
import torch
import torch.nn.functional as F

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.attention import build_attention
from dvspipe.snn.attention.eca import kernel_size
from dvspipe.snn.counting import count_network, trainable
from dvspipe.snn.layers.spiking import Spiking
from dvspipe.snn.lif import LIF
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import fire_and_reset, integrate, make_neuron

STEPS, BATCH, CHANNELS = 6, 3, 16
PER_STEP, PLACEMENTS = ["ECA", "SimAM"], ["released", "paper", "causal"]
ALL = ["constant", "TCJA", *PER_STEP]


def build(variant, **changes):
    torch.manual_seed(0)
    return build_attention(variant, **{"steps": STEPS, "channels": CHANNELS, **changes})


def current(*shape):
    torch.manual_seed(1)
    return torch.randn(shape or (STEPS, BATCH, CHANNELS, 5, 7), dtype=torch.float64) * 1.5


def plain_eca(module, x):
    """The kernel slid over the channels by hand, one step [B,C,H,W]."""
    taps = module.conv.weight[0, 0]
    mean = F.pad(x.mean((2, 3)), (len(taps) // 2,) * 2)
    score = sum(tap * mean[:, i : i + x.shape[1]] for i, tap in enumerate(taps))
    return x * module.gain * torch.sigmoid(score)[:, :, None, None]


def plain_simam(module, x):
    """The minimal energy of every neuron, y = 1/e* of the paper's eq. 5 in the published code's form."""
    n = x.shape[2] * x.shape[3]
    mean = x.mean((2, 3), keepdim=True)
    variance = x.var((2, 3), keepdim=True, unbiased=True)
    assert n > 1
    return x * module.gain * torch.sigmoid((x - mean) ** 2 / (4 * (variance + 1e-4)) + 0.5)


PLAIN = {"ECA": plain_eca, "SimAM": plain_simam}


def plain_tcja(module, x):
    """A slides along C and mixes T, E slides along T and mixes C; one leading zero and two trailing for 4 taps."""
    z = x.mean((3, 4))  # [T,B,C]
    a, e = torch.zeros_like(z), torch.zeros_like(z)
    over_c, over_t = F.pad(z, (1, 2)), F.pad(z, (0, 0, 0, 0, 1, 2))
    for i in range(4):
        a += torch.einsum("st,tbc->sbc", module.mix_steps.weight[:, :, i], over_c[:, :, i : i + x.shape[2]])
        e += torch.einsum("dc,tbc->tbd", module.mix_channels.weight[:, :, i], over_t[i : i + len(x)])
    return x * module.gain * torch.sigmoid(a * e)[..., None, None]


@pytest.mark.parametrize("gain", [1.0, 2.5])
@pytest.mark.parametrize("variant", PER_STEP)
def test_per_step_formulas_on_the_current(variant, gain):
    module, x = build(variant, gate_gain=gain).double(), current()
    wanted = torch.stack([PLAIN[variant](module, now) for now in x])
    torch.testing.assert_close(module.weigh(x, ())[0], wanted.relu())
    linear = build(variant, gate_gain=gain, relu=False).double()
    torch.testing.assert_close(linear.weigh(x, ())[0], wanted)


@pytest.mark.parametrize("placement", ["paper", "causal"])
@pytest.mark.parametrize("variant", PER_STEP)
def test_per_step_formulas_on_the_membrane(variant, placement):
    layer = Spiking(LIF(make_neuron()), build(variant, placement=placement, gate_gain=2)).double()
    x = current().requires_grad_()
    v, wanted = torch.zeros_like(x[0]), []
    for now in x.unbind(0):
        fired, v = fire_and_reset(PLAIN[variant](layer.attention, integrate(now, v, make_neuron())), make_neuron())
        wanted.append(fired)
    spikes, state = layer(x, None)
    assert torch.equal(spikes, torch.stack(wanted)) and 0.01 < spikes.mean() < 0.9
    torch.testing.assert_close(state.v, v)
    ours, theirs = (torch.autograd.grad((z * x.detach()).sum(), x)[0] for z in (spikes, torch.stack(wanted)))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_tcja_formula(gain):
    module, x = build("TCJA", gate_gain=gain).double(), current()
    torch.testing.assert_close(module.weigh(x, ())[0], plain_tcja(module, x).relu())
    torch.testing.assert_close(module.weigh(x[:, 1:2], ())[0], module.weigh(x, ())[0][:, 1:2])


@pytest.mark.parametrize(("gain", "factor"), [(1, 1 / 8), (2, 1.0), (1.5, 27 / 64)])
def test_constant_is_a_neutral_tcsa_that_never_looks(gain, factor):
    module, x = build("constant", gate_gain=gain), current()
    weighed, memory = module.weigh(x, ())
    assert torch.equal(weighed, (x * factor).relu()) and memory == ()
    neutral = build("TCSA", gate_gain=gain).double()
    for weights in neutral.parameters():
        torch.nn.init.zeros_(weights)
    torch.testing.assert_close(neutral(x), weighed)
    full, fc = current(STEPS, BATCH, CHANNELS), build("constant", gate_gain=gain, spatial=False)
    assert torch.equal(fc.weigh(full, ())[0], (full * gain / 2).relu())
    assert torch.equal(build("constant", gate_gain=gain, relu=False).weigh(x, ())[0], x * factor)
    assert module.live and not module.on_membrane and not list(module.parameters())
    assert module.factors == 0 and module.gate_macs((32, 32)) == 0


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_constant_is_the_same_control_in_any_placement(placement):
    x = current()
    assert torch.equal(build("constant", placement=placement).weigh(x, ())[0], build("constant").weigh(x, ())[0])


@pytest.mark.parametrize("variant", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_keeps_shape_dtype_and_memory_order(variant, dtype):
    x = current().to(dtype).flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (STEPS, BATCH))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        y, _ = build(variant).weigh(x, ())
    assert y.shape == x.shape and y.dtype == dtype and y.stride() == x.stride()


@pytest.mark.parametrize("variant", ["TCJA", *PER_STEP])
def test_gradient_matches_finite_differences(variant):
    module = build(variant, steps=4, channels=4).double()
    x = current(4, 2, 4, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda current: module.weigh(current, ())[0], x)


def test_who_is_live():
    assert [name for name in ALL if build(name).live] == ["constant", "ECA", "SimAM"]
    assert [name for name in ALL if build(name, spatial=False) is not None] == ["constant"]


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("variant", ["constant", *PER_STEP])
def test_steps_equal_the_whole_sequence(variant, placement):
    torch.manual_seed(0)
    settings = {"classes": 5, "steps": 9, "width": 0.25, "size": (8, 8), "gate_gain": 2}
    network = build_network("three-conv", attention=variant, placement=placement, **settings).double()
    for layer in network.layers.values():
        torch.nn.init.constant_(layer.norm.bias, 0.3)
    x, state, outputs = torch.poisson(torch.full((9, 4, 2, 8, 8), 0.5)), None, []
    network(x)
    network.eval()
    with torch.no_grad():
        whole, last = network(x)
        for frame in x:
            out, state = network.step(frame, state)
            outputs.append(out)
    assert network.live and whole.any() and torch.equal(torch.stack(outputs), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize(("channels", "taps"), [(2, 1), (16, 3), (64, 3), (128, 5), (256, 5), (512, 5)])
def test_kernel_rule_of_eca(channels, taps):
    assert kernel_size(channels) == taps


@pytest.mark.parametrize(("steps", "channels", "expected"), [(20, 128, 67_136), (10, 512, 1_048_976)])
def test_published_parameters_of_tcja(steps, channels, expected):
    assert trainable(build_attention("TCJA", steps=steps, channels=channels)) == expected


@pytest.mark.parametrize(
    ("variant", "params", "gate_macs", "factors"),
    [
        ("SimAM", 0, 25_559_040, 1),  # Table 5 of MA-SNN: 0 and 25.56 M
        ("ECA", 3 + 5 + 5, 60 * (3 * 64 + 5 * 128 + 5 * 128), 1),  # Table 5 has 48 and 76,800: see attention/eca.py
        ("TCJA", 3 * 4 * 60**2 + 4 * (64**2 + 2 * 128**2), 60 * (64 * (4 * 124 + 1) + 256 * (4 * 188 + 1)), 1),
        ("constant", 0, 0, 0),
    ],
)
def test_costs_in_the_three_conv_network(variant, params, gate_macs, factors):
    with torch.device("meta"):
        counts = count_network(build_network("three-conv", classes=11, steps=60, attention=variant))
    assert counts["attention_params"] == params and counts["params"] == 2_324_065 + params
    assert sum(layer["gate_macs"] for layer in counts["layers"]) == gate_macs
    assert sum(layer["scale_macs"] for layer in counts["layers"]) == factors * 106_496


def test_table_5_counts_of_ma_snns_own_channel_attention():
    """+4,608 parameters, and one pass per step where the paper's placement makes two (mean and maximum)."""
    settings = {"classes": 11, "steps": 60, "attention": "CA", "c_ratio": 16, "placement": "paper"}
    counts = count_network(build_network("three-conv", **settings))
    assert counts["attention_params"] == 4_608
    assert sum(layer["gate_macs"] for layer in counts["layers"]) == 2 * 276_480


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "TCJA", "placement": "causal"}, "'TCJA' has no placement 'causal'.*'released'.*'ECA'"),
        ({"variant": "TCJA", "placement": "paper"}, "'TCJA' has no placement 'paper'"),
        ({"variant": "SimAm"}, "unknown attention 'SimAm'.*did you mean 'SimAM'"),
        *(({"variant": name, "gate_gain": -1}, "gate_gain = -1: must be above 0") for name in ALL),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        build(**settings)


def test_another_number_of_steps_is_named():
    with pytest.raises(ShapeError, match=r"'TCJA' was built for T = 6 steps.*T = 5"):
        build("TCJA").weigh(current().float()[:5], ())


def test_simam_of_a_single_pixel_is_finite():
    y, _ = build("SimAM").weigh(current(STEPS, BATCH, CHANNELS, 1, 1), ())
    assert y.isfinite().all()


@pytest.mark.parametrize("variant", ["TA", "CA", "SA", "TCSA", "ECA", "TCJA"])
def test_a_neutral_start_weighs_nothing_and_still_learns(variant):
    torch.manual_seed(0)
    settings = {"steps": 6, "channels": 8, "c_ratio": 2, "t_ratio": 2, "gate_gain": 2, "relu": False}
    attention = build_attention(variant, gate_start="neutral", **settings)
    x = torch.randn(6, 3, 8, 5, 5)
    weighed, _ = attention.weigh(x, ())
    assert torch.equal(weighed, x)
    weighed.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in attention.last_weights())


def test_a_start_that_cannot_be():
    with pytest.raises(UsageError, match="no weights to start"):
        build_attention("SimAM", steps=4, channels=8, gate_start="neutral")
    with pytest.raises(UsageError, match=r"unknown gate_start 'neutrl' \(did you mean 'neutral'\?\)"):
        build_attention("TCSA", steps=4, channels=8, gate_start="neutrl")
    assert build_attention("constant", steps=4, channels=8, gate_start="neutral") is not None
