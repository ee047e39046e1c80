"""Placements `paper` and `causal`: the equations written out, causality, state in and out (law 4), neutral gates."""

import copy
import pickle

import pytest
import torch

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.attention import build_attention
from dvspipe.snn.attention.choice import VARIANTS
from dvspipe.snn.counting import count_network, trainable
from dvspipe.snn.layers.spiking import LayerState, Spiking
from dvspipe.snn.lif import LIF
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import make_neuron

STEPS, BATCH, CHANNELS, BINS = 6, 3, 8, 4
REAL = [name for name, factors in VARIANTS.items() if factors]
PLACEMENTS = ["paper", "causal"]
SLOT = {"steps": STEPS, "channels": CHANNELS, "t_ratio": 2, "c_ratio": 4, "attention_bins": BINS}


def spiking(variant, placement, neuron="ma-snn", **changes):
    """Attention and neurons of one layer, the gates far from neutral."""
    torch.manual_seed(0)
    attention = build_attention(variant, placement=placement, **{**SLOT, **changes})
    for weights in attention.parameters():
        torch.nn.init.normal_(weights, std=0.5)
    return Spiking(LIF(make_neuron(neuron)), attention).double()


def current(*shape):
    torch.manual_seed(1)
    return torch.randn(shape or (STEPS, BATCH, CHANNELS, 5, 7), dtype=torch.float64) * 1.5


def squeeze(part, mean, top):
    """W1·relu(W0·mean) + W1·relu(W0·max), the axis last."""
    return part.w1(part.w0(mean).relu()) + part.w1(part.w0(top).relu())


def time_gates(attention, x):
    """One gate [B] per step; `causal` pads the past with zeros and takes one window after the other."""
    mean, top = x.flatten(2).mean(2), x.flatten(2).amax(2)
    if attention.placement == "paper":
        return list(torch.sigmoid(squeeze(attention.time, mean.T, top.T)).T * attention.gain)
    gates = []
    for t in range(len(x)):
        window = range(t - BINS + 1, t + 1)
        old = [
            torch.stack([part[i] if i >= 0 else torch.zeros_like(part[0]) for i in window], 1) for part in (mean, top)
        ]
        gates.append(torch.sigmoid(squeeze(attention.time, *old))[:, 0] * attention.gain)
    return gates


def plainly(layer, x):
    """Eq. 14 step by step with the released code's neuron; the rectangle surrogate as a clamp put in by hand."""
    attention, h, spikes = layer.attention, torch.zeros_like(x[0]), []
    keep, v_th = layer.lif.neuron.keep, layer.lif.neuron.v_th
    gates = time_gates(attention, x) if attention.time is not None else [x.new_ones(x.shape[1])] * len(x)
    for t, g_t in enumerate(gates):
        x_t = g_t.reshape(-1, *[1] * (x.ndim - 2)) * x[t]
        u = keep * h + (x_t.relu() if attention.relu and not attention.on_membrane else x_t)
        if attention.channel is not None:
            g_c = torch.sigmoid(squeeze(attention.channel, u.mean((2, 3)), u.amax((2, 3)))) * attention.gain
            u = g_c[:, :, None, None] * u
        if attention.space is not None:
            g_s = torch.sigmoid(attention.space.conv(torch.stack((u.mean(1), u.amax(1)), 1))) * attention.gain
            u = g_s * u
        if attention.relu and attention.on_membrane:
            u = u.relu()
        ramp = 2 * (u - v_th).clamp(-0.25, 0.25)
        s = (u >= v_th).double() + ramp - ramp.detach()
        h = s * layer.lif.neuron.v_reset + (1 - s) * u
        spikes.append(s)
    return torch.stack(spikes), h


@pytest.mark.parametrize("changes", [{}, {"gate_gain": 2}, {"relu": True}], ids=["published", "gain 2", "relu"])
@pytest.mark.parametrize("variant", REAL)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_equals_the_equations_both_ways(placement, variant, changes):
    layer, x = spiking(variant, placement, **changes), current().requires_grad_()
    weights = [x, *layer.parameters()]
    results = []
    for spikes, v in ((lambda out: (out[0], out[1].v))(layer(x, None)), plainly(layer, x)):
        loss = (spikes * current(*spikes.shape)).sum() + (v * v).sum()
        results.append((spikes, v, *torch.autograd.grad(loss, weights)))
    assert 0.01 < results[0][0].mean() < 0.9
    assert all(grad.any() for grad in results[0][2:])
    for ours, wanted in zip(*results):
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_full_layers_have_temporal_attention_or_none(placement):
    parts = {variant: build_attention(variant, placement=placement, spatial=False, **SLOT) for variant in VARIANTS}
    assert [variant for variant, part in parts.items() if part is not None] == ["TA", "TCA", "TSA", "TCSA"]
    assert not parts["TCSA"].on_membrane
    layer, x = spiking("TCSA", placement, spatial=False), current(STEPS, BATCH, CHANNELS)
    torch.testing.assert_close(layer(x, None)[0], plainly(layer, x)[0])


def test_the_relu_alone_is_the_same_control_in_any_placement():
    x = current()
    wanted = Spiking(LIF(make_neuron()), build_attention("relu", **SLOT))(x, None)[0]
    assert all(torch.equal(spiking("relu", placement)(x, None)[0], wanted) for placement in PLACEMENTS)


def test_the_relu_is_as_published_unless_said():
    found = {name: build_attention("CA", placement=name, **SLOT).relu for name in ("released", *PLACEMENTS)}
    assert found == {"released": True, "paper": False, "causal": False}
    x, linear = current(), build_attention("CSA", relu=False, **SLOT).double()
    weighed = linear(x)
    linear.relu = True
    assert (weighed < 0).any() and torch.equal(weighed.relu(), linear(x))


@pytest.mark.parametrize(
    ("placement", "live"), [("released", []), ("paper", ["CA", "SA", "CSA"]), ("causal", REAL)], ids=str
)
def test_who_is_live(placement, live):
    assert [name for name in REAL if build_attention(name, placement=placement, **SLOT).live] == live


@pytest.mark.parametrize(
    ("placement", "variant"), [("paper", name) for name in ("CA", "SA", "CSA")] + [("causal", name) for name in REAL]
)
def test_later_steps_never_change_earlier_ones(placement, variant):
    layer, x, t = spiking(variant, placement), current(), 3
    other = torch.cat((x[:t], torch.randn_like(x[t:])))
    ours, theirs = layer(x, None)[0], layer(other, None)[0]
    assert torch.equal(ours[:t], theirs[:t]) and not torch.equal(ours[t:], theirs[t:])


@pytest.mark.parametrize("variant", REAL)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_samples_do_not_see_each_other(placement, variant):
    layer, x = spiking(variant, placement), current()
    assert torch.equal(layer(x, None)[0][:, 1:2], layer(x[:, 1:2], None)[0])


@pytest.mark.parametrize("variant", REAL)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_neutral_gates_of_gain_two_are_no_attention(placement, variant):
    layer, x = spiking(variant, placement, gate_gain=2), current()
    for weights in layer.attention.parameters():
        torch.nn.init.zeros_(weights)
    bare, state = Spiking(LIF(make_neuron()), None), None
    spikes, last = layer(x, None)
    wanted, after = bare(x, None)
    assert torch.equal(spikes, wanted) and wanted.any()
    torch.testing.assert_close(last.v, after.v, rtol=1e-12, atol=1e-12)  # the kernel rounds otherwise than Norse
    if not layer.live:
        return
    ours = None
    for now in x:  # bit for bit, potential and all
        (a, ours), (b, state) = layer.step(now, ours), bare.step(now, state)
        assert torch.equal(a, b) and torch.equal(ours.v, state.v)


def test_memory_is_the_last_steps_descriptors_and_zeros_before_the_start():
    layer, x = spiking("TA", "causal"), current()
    _, early = layer(x[:1], None)
    mean, top = early.memory
    assert mean.shape == top.shape == (BINS - 1, BATCH) and not mean[:-1].any() and not top[:-1].any()
    _, late = layer(x, None)
    torch.testing.assert_close(late.memory[0], x[-BINS + 1 :].mean((2, 3, 4)))
    torch.testing.assert_close(late.memory[1], x[-BINS + 1 :].amax((2, 3, 4)))
    assert spiking("CSA", "causal")(x, None)[1].memory == ()


def test_one_bin_looks_at_the_present_alone():
    layer, x = spiking("TA", "causal", attention_bins=1, t_ratio=1), current()
    alone = torch.cat([layer.attention.weigh(now[None], ())[0] for now in x])
    weighed, memory = layer.attention.weigh(x, ())
    torch.testing.assert_close(weighed, alone)
    assert memory[0].shape == (0, BATCH)


@pytest.mark.parametrize("parts", [(1, 1, 4), (5, 1), (2, 4)])
def test_whole_calls_in_parts_equal_one(parts):
    layer, x, state, found = spiking("TCSA", "causal"), current(), None, []
    for part in x.split(parts):
        spikes, state = layer(part, state)
        found.append(spikes)
    whole, last = layer(x, None)
    assert torch.equal(torch.cat(found), whole)
    torch.testing.assert_close(state.v, last.v)
    torch.testing.assert_close(state.memory, last.memory)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_keeps_dtype_and_memory_order_and_a_float32_membrane(placement, dtype):
    x = current().to(dtype).flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (STEPS, BATCH))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        spikes, state = spiking("TCSA", placement).float()(x, None)
    assert spikes.dtype == dtype and spikes.stride() == x.stride()
    assert state.v.dtype == torch.float32
    weights_too, _ = spiking("TCSA", placement).to(dtype)(x, None)  # a network cast as a whole, without autocast
    assert weights_too.dtype == dtype


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_among_equal_maxima_the_first_gets_the_gradient(placement):
    """Above all for a resting background, on which thousands of elements are equal."""
    layer = spiking("CA", placement, channels=2, c_ratio=1)
    z = torch.ones(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        for weights in layer.attention.parameters():
            weights.fill_(1.0)
    layer.attention.membrane(z).sum().backward()
    per_element = z.grad[0, 0].flatten()
    assert per_element[0] > per_element[1] and torch.equal(per_element[1:], per_element[1].expand(8))


@pytest.mark.parametrize(
    ("placement", "variant", "expected"),
    [
        ("paper", "TA", 2 * 60 * 12),
        ("paper", "CA", 2 * 64 * 8),
        ("paper", "SA", 98),
        ("causal", "TA", 8 * 4 + 4),
        ("causal", "TCSA", 8 * 4 + 4 + 1024 + 98),
    ],
)
def test_parameter_counts(placement, variant, expected):
    ratio = {"t_ratio": 2} if placement == "causal" else {}
    assert trainable(build_attention(variant, placement=placement, steps=60, channels=64, **ratio)) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"placement": "casual"}, "unknown attention placement 'casual'.*did you mean 'causal'"),
        ({"placement": "paper", "t_ratio": 7}, "T = 6 cannot be reduced by the ratio 7.*t_ratio from 1 to 6"),
        (
            {"placement": "causal", "t_ratio": 5},
            "attention_bins = 4 cannot be reduced by the ratio 5.*t_ratio from 1 to 4",
        ),
        ({"placement": "causal", "c_ratio": 9}, "C = 8 cannot be reduced by the ratio 9.*c_ratio from 1 to 8"),
        ({"placement": "causal", "attention_bins": 0}, "attention_bins = 0"),
        ({"placement": "paper", "gate_gain": -1}, "gate_gain = -1: must be above 0"),
        ({"variant": "relu", "relu": False}, "is no attention: use attention 'none'"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        build_attention(**{"variant": "TCSA", **SLOT, **settings})


def test_shapes_that_do_not_fit_are_named():
    x = current()
    with pytest.raises(ShapeError, match=r"built for T = 6 steps.*T = 5"):
        spiking("TA", "paper")(x[:5], None)
    layer = spiking("TCSA", "causal")
    _, state = layer(x, None)
    with pytest.raises(ShapeError, match=r"attention memory \[\[3, 3\], \[3, 3\]\].*\[3, 2\]"):
        layer(x[:, :2], state)
    for call, now in ((layer, x[:, :2]), (layer.step, x[0, :2])):
        with pytest.raises(ShapeError, match=r"state \[B,...\] = \[3, 8, 5, 7\].*2, 8, 5, 7\]"):
            call(now, LayerState(state.v))


# The network as a whole.

SMALL = {"classes": 5, "steps": STEPS, "width": 0.25, "size": (12, 16), "t_ratio": 2, "attention_bins": BINS}


def network(variant, placement, **changes):
    torch.manual_seed(0)
    built = build_network("three-conv", attention=variant, placement=placement, **{**SMALL, **changes})
    for layer in built.layers.values():  # let every layer fire well
        torch.nn.init.constant_(layer.norm.bias, layer.spiking.lif.neuron.v_th / layer.spiking.lif.neuron.gain)
    built.train()
    built(frames())
    return built.eval()


def frames(steps=STEPS):
    torch.manual_seed(1)
    return torch.poisson(torch.full((steps, BATCH, 2, 12, 16), 0.4)).int()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("neuron", ["ma-snn", "spikingjelly", "gac"])
@pytest.mark.parametrize(
    ("placement", "variant"),
    [("paper", "CA"), ("paper", "CSA"), ("causal", "TA"), ("causal", "TSA"), ("causal", "TCSA")],
)
def test_steps_equal_the_whole_sequence(placement, variant, neuron, dtype):
    model, x, state, outputs = network(variant, placement, neuron=neuron, gate_gain=2).to(dtype), frames(11), None, []
    with torch.no_grad():
        whole, last = model(x)
        for frame in x:
            out, state = model.step(frame, state)
            outputs.append(out)
    assert model.live and whole.any()
    # A membrane that comes within rounding of the threshold may flip; in float64 none does.
    differing = (torch.stack(outputs) != whole).any(0).any(1)
    assert not differing.any() if dtype == torch.float64 else differing.float().mean() <= 0.34
    if not differing.any():
        torch.testing.assert_close(state, last, rtol=1e-4, atol=1e-4)


def test_two_calls_that_pass_the_state_equal_one():
    model, x = network("TCSA", "causal", gate_gain=2).double(), frames(9)
    with torch.no_grad():
        whole, _ = model(x)
        first, state = model(x[:2])
        second, _ = model(x[2:], state)
    assert whole.any() and torch.equal(torch.cat((first, second)), whole)


def test_neutral_paper_network_equals_none():
    ours, none = network("TCSA", "paper", gate_gain=2).double(), network("none", "released").double()
    for layer in ours.layers.values():
        for weights in layer.spiking.attention.parameters():
            torch.nn.init.zeros_(weights)
    ours.load_state_dict(none.state_dict(), strict=False)
    wanted = none(frames())[0]
    assert wanted.any() and torch.equal(ours(frames())[0], wanted)


def test_paper_with_time_cannot_step_and_says_so():
    model = network("TA", "paper")
    with pytest.raises(UsageError, match=r"placement 'paper'.*sliding clip.*'causal'"):
        model.step(frames()[0])


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_weight_learns_and_the_network_copies(placement):
    model = network("TCSA", placement)
    model(frames())[0].mean(0).sum().backward()
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in model.parameters())
    model.zero_grad()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(frames())[0], model(frames())[0])


def test_settings_reach_their_layers_and_are_counted():
    model = build_network(
        "three-conv", classes=11, steps=20, attention="TCSA", placement="causal", t_ratio=2, relu=False
    )
    attention = model.layers["conv2"].spiking.attention
    assert attention.time.bins == 8 and attention.relu is False
    counts = count_network(model)
    assert counts["attention_params"] == 5 * 36 + 2 * (64 * 8 + 2 * 128 * 16) + 3 * 98
    first, fc = counts["layers"][0], counts["layers"][3]
    assert first["gate_macs"] == 20 * (2 * 36 + 2 * 1024 + 98 * 32 * 32) and first["scale_macs"] == 3 * 65_536
    assert fc["gate_macs"] == 20 * 2 * 36 and fc["scale_macs"] == 256
    paper = build_network("three-conv", classes=11, steps=20, attention="TCSA", placement="paper", t_ratio=2)
    assert count_network(paper)["layers"][0]["gate_macs"] == 2 * 400 + 20 * (2 * 1024 + 98 * 32 * 32)
