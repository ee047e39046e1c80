"""Neurons: Norse's dynamics under our constants, our surrogates, and what a checkpoint holds."""

import pickle

import pytest
import torch
from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step

from dvspipe.errors import UsageError
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import PRESETS, Neuron, fire_and_reset, integrate, make_neuron, norse_step
from dvspipe.snn.surrogates import SURROGATES, fire


def test_released_ma_snn_neuron_by_hand():
    """u = h + x, fires at >= 0.3, carries 0.3·0.3 after a spike (module/LIF.py of the released code)."""
    x, h = torch.linspace(-1.0, 1.0, 41).repeat(4, 1) + torch.arange(4)[:, None] * 0.013, torch.zeros(41)
    found, _ = LIF(make_neuron("ma-snn"))(x)
    for t in range(4):
        u = h + x[t]
        spikes = (u >= 0.3).float()
        h = 0.3 * (spikes * 0.3 + (1 - spikes) * u)
        assert torch.equal(found[t], spikes)


def test_norse_preset_is_norse_itself():
    """Same spikes, state and gradient as Norse's unchanged function, with its triangle surrogate."""
    neuron = make_neuron("norse", surrogate="triangle", surrogate_scale=1.0)
    parameters = LIFBoxParameters(method="triangle", alpha=1.0)
    x = (torch.randn(200, dtype=torch.float64) * 12).requires_grad_()
    v = torch.randn(200, dtype=torch.float64)
    ours, new = norse_step(x, v, neuron)
    theirs, state = lif_box_feed_forward_step(x, LIFBoxFeedForwardState(v), parameters)
    assert torch.equal(ours, theirs) and 0 < ours.sum() < 200
    torch.testing.assert_close(new, state.v, rtol=1e-7, atol=1e-7)  # Norse's constants are float32
    gradients = [torch.autograd.grad(z.sum() + (w * w).sum(), x)[0] for z, w in ((ours, new), (theirs, state.v))]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("preset", "changes"),
    [*((preset, {}) for preset in PRESETS), ("gac", {"reset": "subtract"}), ("spikingjelly", {"bias": 0.1})],
)
def test_the_parts_of_a_step_are_norses_step_bit_for_bit(preset, changes, dtype):
    neuron = make_neuron(preset, **changes)
    x = (torch.randn(5000) * neuron.v_th / neuron.gain).to(dtype).requires_grad_()
    v = torch.randn(5000, dtype=torch.float64 if dtype == torch.float64 else torch.float32).requires_grad_()
    spikes, after = fire_and_reset(integrate(x, v, neuron), neuron)
    wanted = norse_step(x, v, neuron)
    assert torch.equal(spikes.to(dtype), wanted[0]) and torch.equal(after, wanted[1]) and 0 < spikes.sum() < 5000
    ours, theirs = (torch.autograd.grad(z.sum() + (w * w).sum(), (x, v)) for z, w in ((spikes, after), wanted))
    assert all(map(torch.equal, ours, theirs))


def test_our_threshold_leaves_norse_alone():
    norse_step(torch.ones(3), torch.zeros(3), make_neuron("ma-snn"))
    assert lif_box_feed_forward_step.__globals__["threshold"].__module__.startswith("norse")


@pytest.mark.parametrize("name", SURROGATES)
def test_surrogate_is_a_bump_at_the_threshold(name):
    v = torch.linspace(-3, 3, 6001, dtype=torch.float64, requires_grad=True)
    fire(v, name, 0.8, False).sum().backward()
    assert torch.equal(v.grad, SURROGATES[name](v.detach(), 0.8))
    assert v.grad.min() >= 0 and v.grad.argmax() in (v.grad == v.grad.max()).nonzero()
    torch.testing.assert_close(v.grad, v.grad.flip(0))
    assert v.grad[3000] == v.grad.max()


def test_ma_snn_surrogate_has_half_width_and_height_of_the_code():
    v = torch.tensor([-0.26, -0.25, -0.249, 0.0, 0.249, 0.25, 0.26])
    assert SURROGATES["rectangle"](v, 0.25).tolist() == [0.0, 0.0, 2.0, 2.0, 2.0, 0.0, 0.0]


def test_triangle_and_rectangle_have_area_one():
    v = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    for name in ("rectangle", "triangle", "atan", "sigmoid"):
        scale = 0.5 if name in ("rectangle", "triangle") else 60.0
        assert float(SURROGATES[name](v, scale).sum() * 1e-4) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("detach", [False, True])
def test_gradient_through_the_reset(detach):
    """After a spike at the first step, d s[1] / d x[0] comes through the reset alone."""
    neuron = make_neuron("ma-snn-paper", detach_reset=detach)
    x = torch.tensor([[0.4], [0.3]], requires_grad=True)
    spikes, _ = LIF(neuron)(x)
    spikes[1].backward()
    assert float(x.grad[0]) == pytest.approx(0.0 if detach else 2.0 * 0.3 * (0.0 - 0.4) * 2.0)


@pytest.mark.parametrize("preset", [preset for preset, neuron in PRESETS.items() if not neuron.learn_leak])
def test_module_pickles_moves_and_has_no_parameters(preset):
    module = LIF(make_neuron(preset))
    again = pickle.loads(pickle.dumps(module))
    assert again.neuron == module.neuron
    assert set(module.state_dict()) == {"keep", "gain", "bias", "v_th"} and not list(module.parameters())
    assert module.to("meta").keep.device.type == "meta"
    assert again.to(torch.bfloat16).neuron == make_neuron(preset)
    again.load_state_dict(LIF(make_neuron(preset)).state_dict())


def test_weights_of_another_neuron_are_refused():
    with pytest.raises(RuntimeError, match=r"v_th is 0\.3 in the checkpoint, 1 here"):
        LIF(make_neuron("gac")).load_state_dict(LIF(make_neuron("ma-snn")).state_dict())


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        ("ma-snm", {}, "did you mean 'ma-snn'"),
        ("ma-snn", {"vth": 1.0}, "did you mean 'v_th'"),
        ("ma-snn", {"keep": 1.0}, "keep = 1.0"),
        ("ma-snn", {"keep": 0.0, "learn_leak": True}, "keep = 0.0 with learn_leak"),
        ("ma-snn", {"reset": "hard"}, "unknown reset 'hard'"),
        ("ma-snn", {"surrogate": "rectangel"}, "did you mean 'rectangle'"),
        ("ma-snn", {"surrogate_scale": 0.0}, "above 0"),
        ("ma-snn", {"v_th": float("nan")}, "finite"),
    ],
)
def test_wrong_constants_are_named(preset, changes, message):
    with pytest.raises(UsageError, match=message):
        make_neuron(preset, **changes)


def test_neuron_may_be_changed_from_another():
    base = make_neuron("gac", v_th=0.5)
    assert isinstance(base, Neuron) and make_neuron(base, keep=0.25) == make_neuron("gac", v_th=0.5, keep=0.25)
