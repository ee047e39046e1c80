"""The learned leak (PLIF): Fang et al.'s own formula, and law 5 for the gradient that flows to the leak."""

import pickle

import pytest
import torch

from dvspipe.snn.counting import count_network
from dvspipe.snn.kernels import lif_scan, reference
from dvspipe.snn.lif import LIF
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import PRESETS, make_neuron, membrane_dtype
from dvspipe.snn.surrogates import atan

LEARNING = {
    **{name: make_neuron(name, learn_leak=True) for name in PRESETS},
    "subtract": make_neuron("gac", reset="subtract", learn_leak=True),
    "subtract-detached": make_neuron("spikingjelly", reset="subtract", bias=0.1, learn_leak=True),
}


def current(neuron, *shape, dtype=torch.float64):
    torch.manual_seed(1)
    return (torch.randn(shape or (12, 4, 3, 5, 7), dtype=torch.float64) * neuron.v_th / neuron.gain).to(dtype)


def gradients(scan, x, v0, neuron, leak):
    x, v0, leak = (part.detach().clone().requires_grad_() for part in (x, v0, leak))
    spikes, v = scan(x, v0, neuron, leak)
    torch.manual_seed(2)
    into = torch.randn(spikes.shape, dtype=torch.float64).to(spikes.dtype), torch.ones_like(v)
    return spikes, v, *torch.autograd.grad((spikes, v), (x, v0, leak), into)


@pytest.mark.parametrize("leak", [0.2, 0.5, 0.85])
@pytest.mark.parametrize("name", LEARNING)
def test_scan_equals_norse_both_ways(name, leak):
    neuron, leak = LEARNING[name], torch.tensor(leak, dtype=torch.float64)
    x = current(neuron)
    v0 = torch.randn_like(x[0]) * 2 * neuron.v_th  # some above the threshold: a stored potential may be
    ours, wanted = (gradients(scan, x, v0, neuron, leak) for scan in (lif_scan, reference.lif_scan))
    assert 0.01 < ours[0].mean() < 0.95 and ours[4] != 0
    for mine, theirs in zip(ours, wanted):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("tied", [True, False], ids=["decays input", "gain 1"])
def test_gradient_matches_finite_differences_where_nothing_fires(tied):
    neuron = (
        make_neuron("plif") if tied else make_neuron("ma-snn", detach_reset=True, learn_leak=True, surrogate="atan")
    )
    assert neuron.decays_input == tied
    x = (current(neuron, 9, 2, 5).abs() * -1).requires_grad_()
    v0, leak = torch.randn(2, 5, dtype=torch.float64).neg_().clamp_(max=0), torch.tensor(0.4, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda *inputs: lif_scan(inputs[0], inputs[1], neuron, inputs[2])[1],
        (x, v0.requires_grad_(), leak.requires_grad_()),
    )


def test_it_is_the_published_neuron():
    """v += sigmoid(w)·(x - v), fire at >= 1, reset to 0 without gradient, ATan of slope 2 (Fang et al., models.py)."""

    class Fire(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y):
            ctx.save_for_backward(y)
            return (y >= 0).to(y.dtype)

        @staticmethod
        def backward(ctx, grad):
            return grad * atan(*ctx.saved_tensors, 2.0)

    lif = LIF(make_neuron("plif")).double()
    assert lif.w.item() == 0.0 and list(lif.state_dict()) == ["w", "bias", "v_th"]
    torch.nn.init.constant_(lif.w, 0.7)
    x, spikes = current(lif.neuron).requires_grad_(), []
    v = torch.zeros_like(x[0])
    for now in x.unbind(0):
        v = v + (now - v) * lif.w.sigmoid()
        fired = Fire.apply(v - 1.0)
        v = v * (1 - fired.detach())
        spikes.append(fired)
    found, last = lif(x)
    assert torch.equal(found, torch.stack(spikes)) and 0.01 < found.mean() < 0.9
    torch.testing.assert_close(last, v)
    weights = torch.randn_like(x)
    ours, wanted = (torch.autograd.grad((z * weights).sum(), (x, lif.w)) for z in (found, torch.stack(spikes)))
    torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize("name", ["plif", "ma-snn", "norse"])
def test_a_leak_at_its_start_changes_nothing(name):
    learning, constant = LEARNING[name], make_neuron(name, learn_leak=False)
    x = current(learning)
    lif = LIF(learning)
    ours, wanted = lif.double()(x), LIF(constant)(x)
    assert torch.equal(ours[0], wanted[0]) and ours[0].any()
    torch.testing.assert_close(ours[1], wanted[1], rtol=1e-6, atol=1e-7)  # the parameter was made in float32
    assert lif.w.sigmoid().item() == pytest.approx(1 - learning.keep)


@pytest.mark.parametrize("membrane", [None, lambda u: 0.9 * u], ids=["plain", "on membrane"])
@pytest.mark.parametrize("name", ["plif", "ma-snn"])
def test_steps_equal_the_whole_sequence_both_ways(name, membrane):
    lif = LIF(LEARNING[name]).double()
    torch.nn.init.constant_(lif.w, -0.6)
    x, v, spikes = current(lif.neuron), None, []
    for now in x:
        fired, v = lif.step(now, v, membrane)
        spikes.append(fired)
    whole, last = lif(x, membrane=membrane)
    assert torch.equal(torch.stack(spikes), whole) and whole.any()
    torch.testing.assert_close(v, last)
    ours, wanted = (
        torch.autograd.grad((z * x).sum() + w.sum(), lif.w)[0] for z, w in ((whole, last), (torch.stack(spikes), v))
    )
    torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_lower_precision_is_near_double(dtype):
    neuron = LEARNING["plif"]
    x, leak = current(neuron, 10, 2, 300, dtype=dtype), torch.tensor(0.5)
    v0 = torch.zeros(x.shape[1:], dtype=membrane_dtype(x))
    ours = gradients(lif_scan, x, v0, neuron, leak)
    exact = gradients(lif_scan, x.double(), v0.double(), neuron, leak.double())
    assert torch.equal(ours[0].double(), exact[0]) and ours[4].dtype == torch.float32
    torch.testing.assert_close(ours[4].double(), exact[4], rtol=2e-2 if dtype == torch.bfloat16 else 1e-4, atol=1e-3)


def test_memory_order_and_threads_do_not_change_the_gradient():
    neuron, leak = LEARNING["ma-snn"], torch.tensor(0.6)
    x, v0 = current(neuron, 5, 3, 8, 30, 25, dtype=torch.float32), torch.randn(3, 8, 30, 25)
    plain = gradients(lif_scan, x, v0, neuron, leak)
    last = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2])
    torch.testing.assert_close(gradients(lif_scan, last, v0, neuron, leak)[4], plain[4], rtol=1e-6, atol=1e-6)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(gradients(lif_scan, x, v0, neuron, leak)[4], plain[4])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("shape", [(0, 3, 4), (4, 0, 3)])
def test_nothing_in_no_gradient(shape):
    lif = LIF(make_neuron("plif"))
    spikes, v = lif(torch.zeros(shape))
    (spikes.sum() + v.sum()).backward()
    assert lif.w.grad is None or lif.w.grad == 0


def test_the_backward_grows_linearly_with_time():
    """On the reference too: an index instead of unbind would write a full sequence of zeros per step."""
    nodes = []
    for steps in (10, 20):
        x, v0, leak = torch.randn(steps, 1, 4, requires_grad=True), torch.zeros(1, 4), torch.tensor(0.5)
        seen, queue = set(), [reference.lif_scan(x, v0, LEARNING["plif"], leak.requires_grad_())[0].grad_fn]
        while queue:
            node = queue.pop()
            if node is not None and node not in seen:
                seen.add(node)
                queue += [following for following, _ in node.next_functions]
        assert not any("Select" in node.name() for node in seen)
        nodes.append(len(seen))
    assert nodes[1] < 2.1 * nodes[0]


def test_a_network_learns_and_counts_one_leak_per_layer():
    settings = {"classes": 3, "steps": 5, "width": 0.25, "size": (8, 8)}
    network = build_network("three-conv", neuron=LEARNING["ma-snn"], **settings)
    constant = build_network("three-conv", **settings)
    assert count_network(network)["params"] == count_network(constant)["params"] + 5
    network(torch.poisson(torch.full((5, 4, 2, 8, 8), 0.6)))[0].sum().backward()
    assert all(layer.spiking.lif.w.grad.isfinite() for layer in network.layers.values())
    assert network.layers["conv1"].spiking.lif.w.grad != 0
    again = pickle.loads(pickle.dumps(network))
    again.load_state_dict(network.state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key.*lif\.w"):
        network.load_state_dict(constant.state_dict())


def test_weights_of_another_neuron_are_still_refused():
    with pytest.raises(RuntimeError, match=r"v_th is 0\.3 in the checkpoint, 1 here"):
        LIF(LEARNING["gac"]).load_state_dict(LIF(LEARNING["ma-snn"]).state_dict())
