"""Neurons that adapt: ASNN's step by hand, its shared control to the bit, and every preset at its start."""

import pickle

import numpy as np
import pytest
import torch

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.kernels import reference
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import PRESETS, make_neuron

STEPS = 7


def current(neuron, *shape, dtype=torch.float64):
    torch.manual_seed(1)
    return (torch.randn(shape or (STEPS, 4, 3, 5), dtype=torch.float64) * neuron.v_th / neuron.gain).to(dtype)


def adaptive(preset="asnn", adapt="steps", steps=STEPS, **changes):
    """In float64, each parameter of its own value."""
    lif = LIF(make_neuron(preset, adapt=adapt, **changes), steps).double()
    torch.manual_seed(2)
    with torch.no_grad():
        for learned in lif.parameters():
            learned.uniform_(-0.4, 0.4)
    return lif


def outcome(lif, x, v=None, membrane=None):
    """(spikes, last v, gradients to current and parameters) for one random direction."""
    x = x.detach().clone().requires_grad_()
    spikes, last = lif(x, v, membrane)
    torch.manual_seed(3)
    into = torch.randn(spikes.shape, dtype=torch.float64).to(spikes.dtype), torch.ones_like(last)
    return spikes, last, *torch.autograd.grad((spikes, last), (x, *lif.parameters()), into)


def test_the_released_neuron_by_hand():
    """u = leak[t]·u + inp[t]·x, spike where u - 1 > 0, u - s (hhx0320/ASNN), in numpy."""
    lif = adaptive(constrain="none")
    x = current(lif.neuron) * 2
    spikes, v = lif(x)
    leak, inp = (0.5 + learned.detach().numpy() for learned in (lif.leak, lif.gain))
    u = np.zeros(x.shape[1:])
    for t in range(STEPS):
        u = leak[t] * u + inp[t] * x[t].numpy()
        fired = (u - 1 > 0).astype(float)
        u = u - fired
        assert np.array_equal(fired, spikes[t].detach().numpy())
    assert 0.05 < spikes.mean() < 0.9
    np.testing.assert_allclose(v.detach().numpy(), u, rtol=1e-12, atol=1e-12)


def test_its_gradient_is_that_of_a_sigmoid_of_slope_4_reset_included():
    """Autograd's own: the spike's value with the gradient of sigmoid(4 (u - 1)), nothing detached."""
    lif = adaptive()
    x = (current(lif.neuron) * 2).requires_grad_()
    ours = outcome(lif, x)
    keep, gain = torch.sigmoid(lif.leak), torch.sigmoid(lif.gain)  # 0.5 is where a sigmoid starts, and half its range
    u, spikes = torch.zeros_like(x[0]), []
    for t in range(STEPS):
        u = keep[t] * u + gain[t] * x[t]
        soft = torch.sigmoid(4 * (u - 1))
        spikes.append((u > 1).double() + soft - soft.detach())
        u = u - spikes[-1]
    torch.manual_seed(3)
    into = torch.randn(x.shape, dtype=torch.float64), torch.ones_like(u)
    wanted = torch.autograd.grad((torch.stack(spikes), u), (x, lif.leak, lif.gain), into)
    for mine, theirs in zip(ours[2:], wanted):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-12)
    assert ours[3].shape == ours[4].shape == (STEPS,) and ours[4].abs().min() > 0
    assert ours[3][0] == 0 and ours[3][1:].abs().min() > 0  # at rest, the first step has nothing to leak


@pytest.mark.parametrize("constrain", ["sigmoid", "none"])
@pytest.mark.parametrize("adapt", ["steps", "shared"])
@pytest.mark.parametrize("preset", PRESETS)
def test_it_starts_as_the_plain_neuron(preset, adapt, constrain):
    lif = LIF(make_neuron(preset, adapt=adapt, constrain=constrain, bias=0.05), STEPS).double()
    plain = LIF(make_neuron(preset, bias=0.05, learn_leak=False))
    x = current(lif.neuron)
    v = torch.randn_like(x[0]) * lif.neuron.v_th
    ours, wanted = outcome(lif, x, v), outcome(plain, x, v)
    assert torch.equal(ours[0], wanted[0]) and 0.01 < ours[0].mean() < 0.95
    for mine, theirs in zip(ours[1:3], wanted[1:]):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert all(gradient.abs().min() > 0 for gradient in ours[3:])
    keep, gain = LIF(lif.neuron, STEPS).rates(STEPS)
    torch.testing.assert_close(keep, torch.full((STEPS,), lif.neuron.keep), rtol=2e-7, atol=0)
    assert torch.equal(gain, torch.full((STEPS,), lif.neuron.gain))


@pytest.mark.parametrize("steps", [1, 4, 9, 37])  # a vector unit's width, and what is left beside it
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("preset", ["asnn", "ms-resnet"])
def test_shared_and_equal_steps_are_the_same_to_the_bit(preset, dtype, steps):
    one, each = (LIF(make_neuron(preset, adapt=adapt), steps) for adapt in ("shared", "steps"))
    if dtype == torch.float64:
        one, each = one.double(), each.double()
    with torch.no_grad():
        for lif in (one, each):
            lif.leak.fill_(0.137)
            lif.gain.fill_(0.731)
    x = current(one.neuron, steps, 5, 33, dtype=dtype)
    ours, wanted = outcome(one, x), outcome(each, x)
    assert ours[0].any() and all(map(torch.equal, ours[:3], wanted[:3]))
    for shared, apart in zip(ours[3:], wanted[3:]):
        assert torch.equal(shared, apart.sum(0))
    fired, v = [], None
    for now in x.unbind(0):
        spikes, v = one.step(now, v)
        fired.append(spikes)
    near = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(torch.stack(fired), ours[0])
    torch.testing.assert_close(v, ours[1], **near)


def test_equal_parameters_give_equal_rates_to_the_bit():
    """For many values: torch's sigmoid of a row and of one number differ in the last bit for one value in 25."""
    one, each = (LIF(make_neuron("asnn", adapt=adapt), 37) for adapt in ("shared", "steps"))
    for value in torch.linspace(-3, 3, 400):
        with torch.no_grad():
            for learned in (*one.parameters(), *each.parameters()):
                learned.fill_(value)
        assert all(map(torch.equal, one.rates(37), each.rates(37)))


@pytest.mark.parametrize("constrain", ["sigmoid", "none"])
def test_gradient_matches_finite_differences_where_nothing_fires(constrain):
    lif = adaptive("ms-resnet", constrain=constrain)
    x = (current(lif.neuron, STEPS, 2, 3).abs() * -1).requires_grad_()
    v = torch.randn(2, 3, dtype=torch.float64).neg_().clamp_(max=0).requires_grad_()

    def last(x, v, leak, gain):
        return torch.func.functional_call(lif, {"leak": leak, "gain": gain}, (x, v))[1]

    with torch.no_grad():
        assert not lif(x, v)[0].any()
    assert torch.autograd.gradcheck(last, (x, v, lif.leak, lif.gain))


def test_the_sigmoid_holds_what_the_released_code_lets_go():
    held, free = (LIF(make_neuron("ms-resnet", adapt="steps", constrain=how), 2) for how in ("sigmoid", "none"))
    for lif in (held, free):
        with torch.no_grad():
            lif.leak.copy_(torch.tensor([-3.0, 90.0]))
            lif.gain.copy_(torch.tensor([-90.0, 90.0]))
    keep, gain = held.rates(2)
    assert keep.min() >= 0 and keep.max() <= 1 and gain.tolist() == pytest.approx([0.0, 2.0])
    assert free.rates(2)[0].tolist() == [-2.75, 90.25] and free.rates(2)[1].tolist() == [-89.0, 91.0]


def test_attention_on_the_membrane_acts_between_integration_and_threshold():
    lif = adaptive()
    x = current(lif.neuron) * 2
    keep, gain = lif.rates(STEPS, torch.float64)
    u = torch.zeros_like(x[0])
    for t, spikes in enumerate(lif(x, None, lambda u: 0.6 * u + 0.2)[0]):
        u = 0.6 * (keep[t] * u + gain[t] * x[t]) + 0.2
        assert torch.equal(spikes, (u > 1).double())
        u = u - spikes


def test_half_precision_comes_in_and_out_and_the_membrane_stays_float32():
    lif = LIF(make_neuron("asnn", adapt="steps"), STEPS)
    x = current(lif.neuron, dtype=torch.bfloat16) * 2
    with torch.autocast("cpu", torch.bfloat16):
        spikes, v = lif(x)
    assert spikes.dtype == torch.bfloat16 and v.dtype == torch.float32 and spikes.any()
    assert torch.equal(spikes.float(), lif(x.float())[0])
    again, v = lif.to(torch.bfloat16)(x)  # the parameters are 0 still: nothing is lost by halving them
    assert torch.equal(again, spikes) and v.dtype == torch.float32


def test_another_number_of_steps_is_named_and_so_is_a_step_alone():
    lif = adaptive()
    assert not lif.live and adaptive(adapt="shared", steps=None).live and LIF(make_neuron("asnn"), 4).live
    for steps in (0, 1, 9):
        with pytest.raises(ShapeError, match=rf"T = {steps}.*T = {STEPS} steps"):
            lif(torch.zeros(steps, 2, 3))
    with pytest.raises(UsageError, match="does not know which it is"):
        lif.step(torch.zeros(2, 3))
    with pytest.raises(ShapeError, match="does not fit"):
        lif(torch.zeros(STEPS, 2, 3), torch.zeros(3, 2))


def test_shared_neurons_take_any_number_of_steps_and_none():
    lif = LIF(make_neuron("asnn", adapt="shared"))
    assert lif(torch.zeros(0, 2, 3))[0].shape == (0, 2, 3) and lif(torch.ones(5, 2, 3))[0].shape == (5, 2, 3)


def test_what_a_checkpoint_holds_and_refuses():
    lif = adaptive()
    assert list(lif.state_dict()) == ["leak", "gain", "keep", "gain_max", "bias", "v_th"]
    assert sum(learned.numel() for learned in lif.parameters()) == 2 * STEPS
    again = LIF(lif.neuron, STEPS).double()
    again.load_state_dict(lif.state_dict())
    x = current(lif.neuron) * 2
    assert torch.equal(pickle.loads(pickle.dumps(again))(x)[0], lif(x)[0])
    for other, message in (
        (LIF(lif.neuron, STEPS + 1), "size mismatch for leak"),
        (LIF(make_neuron("asnn", adapt="steps", constrain="none"), STEPS), "gain_start"),
        (LIF(make_neuron("asnn", adapt="steps", keep=0.25), STEPS), "keep is 0.5 in the checkpoint, 0.25 here"),
        (LIF(make_neuron("asnn", adapt="steps", gain=1.0), STEPS), "gain_max is 1 in the checkpoint, 2 here"),
        (LIF(make_neuron("asnn")), "Unexpected key"),
    ):
        with pytest.raises(RuntimeError, match=message):
            other.load_state_dict(lif.state_dict())


def test_a_learned_leak_is_replaced_by_the_adapting_one():
    lif = LIF(make_neuron("plif", adapt="shared"))
    assert lif.w is None and [name for name, _ in lif.named_parameters()] == ["leak", "gain"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapt": "step"}, "unknown adapt 'step'.*did you mean 'steps'"),
        ({"constrain": "sigmiod"}, "did you mean 'sigmoid'"),
        ({"adapt": "shared", "keep": 0.0}, "never gets to 0"),
        ({"adapt": "steps", "gain": 0.0}, "never gets to 0"),
    ],
)
def test_wrong_words_are_named(changes, message):
    with pytest.raises(UsageError, match=message):
        make_neuron("asnn", **changes)


@pytest.mark.parametrize("steps", [None, 0])
def test_steps_are_needed_where_each_has_its_own(steps):
    with pytest.raises(UsageError, match=f"steps = {steps} with adapt = 'steps'"):
        LIF(make_neuron("asnn", adapt="steps"), steps)


def test_the_preset_alone_learns_nothing_and_runs_on_the_kernels():
    lif = LIF(make_neuron("asnn"), STEPS)
    x = current(lif.neuron) * 2
    wanted, _ = reference.lif_scan(x, torch.zeros_like(x[0]), lif.neuron)
    assert not list(lif.parameters()) and torch.equal(lif(x)[0], wanted) and wanted.any()
