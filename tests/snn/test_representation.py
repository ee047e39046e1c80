"""DSR: spikes by the published recurrence, gradients by the published map, and what of it our units change."""

import math

import numpy as np
import pytest
import torch

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.kit import Kit
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import make_neuron
from dvspipe.snn.representation import LEAST_THRESHOLD, RateLIF, full_input, rate_weights, represent

STEPS, SHAPE = 7, (3, 4)
V_TH, DT, FIRE_AT = 0.6, 0.1, 0.3


def neurons(**changes):
    return RateLIF(make_neuron("dsr", **changes), FIRE_AT).double()


def currents(steps=STEPS, shape=SHAPE):
    """Some below 0, some above what makes a neuron fire at every step (6)."""
    torch.manual_seed(0)
    return torch.randn(steps, *shape, dtype=torch.float64) * 2 + torch.linspace(-4, 12, shape[-1]).double()


def published(x, v_th=V_TH, fire_at=FIRE_AT, dt=DT, tau=1.0):
    """`generate_spike_lif` of the released code in numpy: spikes of v_th / dt each, and the membrane that is left."""
    beta, v, spikes = math.exp(-dt / tau), np.zeros(x.shape[1:]), []
    for current in x:
        v = beta * v + (1 - beta) * current
        fired = (v >= fire_at * v_th) * v_th
        v = v - fired
        spikes.append(fired / dt)
    return np.stack(spikes), v


def test_spikes_are_the_published_ones_in_units_of_their_height():
    x = currents()
    spikes, v = neurons()(x)
    wanted, left = published(x.numpy())
    np.testing.assert_allclose(spikes.detach().numpy() * V_TH / DT, wanted)
    np.testing.assert_allclose(v.numpy(), left, rtol=1e-5, atol=1e-6)  # v_th is a float32 parameter
    assert set(spikes.unique().tolist()) == {0.0, 1.0}


def test_norses_own_step_gives_the_same():
    spikes, v = neurons()(currents())
    slow = RateLIF(make_neuron("dsr"), FIRE_AT, kernels="reference").double()
    again, left = slow(currents())
    assert torch.equal(again, spikes)
    torch.testing.assert_close(left, v)


def test_weights_of_a_rate():
    weights = rate_weights(4, 0.5, torch.zeros((), dtype=torch.float64))
    assert weights.tolist() == pytest.approx([1 / 15, 2 / 15, 4 / 15, 8 / 15])
    assert rate_weights(4, 1.0, torch.zeros(())).tolist() == [0.25] * 4
    v_th = torch.tensor(0.6)
    assert float(full_input(v_th, math.exp(-0.1))) == pytest.approx(6.0) and float(full_input(v_th, 1.0)) == v_th


def test_the_weighted_spike_rate_is_the_map_up_to_what_the_membrane_holds():
    """u[T] / (v_th · Σ keep^(T-t)) is all that is left: the longer the clip, the nearer (eq. 8 of the paper)."""
    rates = torch.linspace(-1, 8, 19, dtype=torch.float64)
    error = {}
    for steps in (10, 200):
        spikes, _ = neurons(keep=math.exp(-0.01), gain=1 - math.exp(-0.01), v_th=0.06)(rates.expand(steps, 1, 19))
        weights = rate_weights(steps, math.exp(-0.01), rates)
        found = (weights[:, None, None] * spikes).sum(0)
        error[steps] = float((found - represent(rates, torch.tensor(6.0).double())).abs().max().detach())
    assert error[200] < 0.02 < error[10] < 0.2


def test_gradients_are_those_of_the_map():
    """By autograd through `represent`, for any weights on what comes out: inside, below and above the clip."""
    x, readers = currents().requires_grad_(), torch.randn(SHAPE, dtype=torch.float64)
    ours, layer = x.detach().clone().requires_grad_(), neurons()
    (layer(ours)[0].mean(0) * readers).sum().backward()
    threshold = layer.v_th.detach().clone().requires_grad_()
    rate_in = (rate_weights(STEPS, math.exp(-DT), x)[:, None, None] * x).sum(0)
    full = full_input(threshold, math.exp(-DT))
    (represent(rate_in, full) * readers).sum().backward()
    assert (rate_in < 0).any() and (rate_in > full).any()
    torch.testing.assert_close(ours.grad, x.grad, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(layer.v_th.grad, threshold.grad, rtol=1e-6, atol=1e-9)
    assert float(threshold.grad.abs()) > 0 and (ours.grad == 0).any() and (ours.grad != 0).any()


def test_the_map_passes_finite_differences():
    rate_in, full = currents()[0].requires_grad_(), torch.tensor(6.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(represent, (rate_in, full))


def test_by_hand():
    """Two steps, keep 1/2: w = 1/3, 2/3; full = 1 / ln 2 · v_th; one neuron inside, one saturated, one silent."""
    layer = RateLIF(make_neuron("dsr", keep=0.5, gain=0.5, v_th=math.log(2)), 0.5).double()
    x = torch.tensor([[[0.3, 3.0, -1.0]], [[0.6, 3.0, -1.0]]], dtype=torch.float64, requires_grad=True)
    spikes, _ = layer(x)
    spikes.sum().backward()  # dL/dr_out = 2: every step's spike counts for one
    assert x.grad.flatten().tolist() == pytest.approx([2 / 3, 0, 0, 4 / 3, 0, 0], rel=1e-6)
    assert float(layer.v_th.grad) == pytest.approx(-2 * 0.5 / 1 / math.log(2), rel=1e-6)  # -Σ g·r_in / full² · 1 / ln 2


def test_with_their_height_back_gradients_are_the_published_clip():
    """Spikes worth v_th / dt: 1 / tau inside and, for the threshold, 1 / dt of every saturated neuron's gradient."""
    x, layer, readers = currents().requires_grad_(), neurons(), torch.randn(SHAPE, dtype=torch.float64)
    (layer(x)[0].mean(0) * layer.v_th / DT * readers).sum().backward()
    weights = rate_weights(STEPS, math.exp(-DT), x.detach())
    rate_in = (weights[:, None, None] * x.detach()).sum(0)
    inside, above = (rate_in > 0) & (rate_in < V_TH / DT), rate_in > V_TH / DT
    torch.testing.assert_close(x.grad.sum(0), readers * inside, rtol=1e-6, atol=1e-9)  # tau = 1
    # The height's own derivative sees the spikes that fell, the map's the rates they stand for.
    spikes = layer(x.detach())[0].mean(0)
    stands_for = represent(rate_in, torch.tensor(V_TH / DT))
    wanted = (readers * above).sum() / DT + ((spikes - stands_for) * readers).sum() / DT
    assert float(layer.v_th.grad) == pytest.approx(float(wanted.detach()), rel=1e-5)


def test_steps_equal_the_whole_sequence():
    layer, x, state, steps = neurons(), currents(), None, []
    with torch.no_grad():
        whole, last = layer(x)
        for current in x:
            spikes, state = layer.step(current, state)
            steps.append(spikes)
    assert torch.equal(torch.stack(steps), whole) and layer.live
    torch.testing.assert_close(state, last)


def test_the_way_back_keeps_no_step():
    kept = []
    layer, x = neurons(), currents(steps=50).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each.numel()) or each, lambda each: each):
        layer(x)
    assert max(kept) <= max(50, x[0].numel())


def test_training_keeps_the_threshold_above_its_bound():
    layer = neurons()
    with torch.no_grad():
        layer.v_th.fill_(-1.0)
    layer(currents())
    assert layer.v_th.item() == pytest.approx(LEAST_THRESHOLD)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_precision_and_memory_order_pass_through(dtype):
    layer = RateLIF(make_neuron("dsr"), FIRE_AT)
    x = currents(shape=(2, 3, 4, 5)).to(dtype).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    x = x.unflatten(0, (STEPS, 2)).requires_grad_()
    spikes, v = layer(x)
    assert spikes.dtype == dtype and v.dtype == torch.float32 and spikes.stride() == x.stride()
    spikes.sum().backward()
    assert x.grad.dtype == dtype and x.grad.isfinite().all() and layer.v_th.grad.dtype == torch.float32


@pytest.mark.parametrize("network", ["three-conv", "lenet"])
def test_networks_train_and_step(network):
    torch.manual_seed(0)
    settings = {"classes": 4, "steps": 5, "width": 0.2, "size": (12, 12), "in_channels": 2, "neuron": "dsr"}
    made = build_network(network, **settings, gradient="dsr", fire_at=0.5)
    learned = [name for name, _ in made.named_parameters() if name.endswith("lif.v_th")]
    frames = torch.poisson(torch.full((5, 3, 2, 12, 12), 0.5))
    for _ in range(3):
        out, _ = made(frames)
    out.sum().backward()
    assert len(learned) >= 4 and all(parameter.grad is not None for parameter in made.parameters())
    made, state, steps = made.eval().double(), None, []
    with torch.no_grad():
        for frame in frames:
            out, state = made.step(frame, state)
            steps.append(out)
        whole, _ = made(frames)
    torch.testing.assert_close(torch.stack(steps), whole)


@pytest.mark.parametrize(
    ("changes", "fire_at", "message"),
    [
        ({"reset": "zero"}, 0.3, "needs reset = 'subtract'"),
        ({"learn_leak": True}, 0.3, "no learn_leak"),
        ({"adapt": "shared"}, 0.3, "adapt = 'none'"),
        ({"bias": 0.1}, 0.3, "no bias"),
        ({}, 0.0, r"fire_at = 0.0.*\(0, 1\]"),
        ({}, 1.5, r"fire_at = 1.5.*\(0, 1\]"),
    ],
)
def test_neurons_that_have_no_rate_are_refused(changes, fire_at, message):
    with pytest.raises(UsageError, match=message):
        RateLIF(make_neuron("dsr", **changes), fire_at)


def test_what_acts_on_the_membrane_is_refused():
    with pytest.raises(UsageError, match=r"'dsr' with attention on the membrane.*'released'"):
        build_network(
            "three-conv", classes=3, steps=4, neuron="dsr", gradient="dsr", attention="CSA", placement="causal"
        )
    with pytest.raises(UsageError, match="did you mean 'dsr'"):
        Kit(steps=4, neuron=make_neuron("dsr"), gradient="drs").lif()
    with pytest.raises(ShapeError, match="state"):
        neurons()(currents(), torch.zeros(2, 4))


def test_a_checkpoint_says_for_which_neuron_it_was_trained():
    weights = neurons().state_dict()
    assert set(weights) == {"keep", "gain", "fire_at", "v_th"}
    with pytest.raises(RuntimeError, match=r"fire_at is 0\.3 in the checkpoint, 0\.5 here"):
        RateLIF(make_neuron("dsr"), 0.5).load_state_dict(weights)
