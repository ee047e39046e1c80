"""One operator for every device: torch's rules, what no kernel takes, and the switch back to Norse's own step."""

import logging
import re
import subprocess
import sys

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from dvspipe.errors import ShapeError, UsageError
from dvspipe.recipes import Recipe
from dvspipe.snn.kernels import cpu, gated, lif_scan, operators, portable, reference
from dvspipe.snn.kernels.constants import settings_of
from dvspipe.snn.lif import LIF
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import PRESETS, make_neuron, membrane_dtype
from dvspipe.snn.surrogates import SURROGATES

NEURONS = {
    **PRESETS,
    "subtract-detached": make_neuron("spikingjelly", reset="subtract", bias=0.1),
    **{f"with-{name}": make_neuron("ma-snn", surrogate=name, surrogate_scale=0.7) for name in SURROGATES},
}


def current(neuron, *shape, dtype=torch.float32):
    torch.manual_seed(1)
    return (torch.randn(shape or (6, 3, 4, 5)) * neuron.v_th / neuron.gain).to(dtype)


def both_ways(scan, x, v0, neuron, rates=None):
    """(spikes, last v, gradients) for one random direction."""
    inputs = [each.detach().clone().requires_grad_() for each in (x, v0, rates) if each is not None]
    spikes, v = scan(inputs[0], inputs[1], neuron, None, *inputs[2:])
    torch.manual_seed(3)
    into = torch.randn(spikes.shape).to(spikes.dtype), torch.randn(v.shape, dtype=v.dtype)
    return spikes, v, *torch.autograd.grad((spikes, v), inputs, into)


@pytest.fixture
def without_kernel(monkeypatch):
    """The CPU as a device whose kernel cannot run."""
    monkeypatch.setattr(cpu, "refusal", lambda x: "switched off")


@pytest.mark.parametrize("learned", [False, True], ids=["constant", "learned"])
@pytest.mark.parametrize("name", NEURONS)
def test_plain_torch_equals_norse(name, learned, without_kernel):
    neuron = NEURONS[name]
    x = current(neuron, 9, 4, 3, 5, dtype=torch.float64)
    v0, rates = torch.randn_like(x[0]) * neuron.v_th, torch.rand(2, 9, dtype=torch.float64) if learned else None
    ours, wanted = both_ways(lif_scan, x, v0, neuron, rates), both_ways(reference.lif_scan, x, v0, neuron, rates)
    assert torch.equal(ours[0], wanted[0]) and 0.01 < ours[0].mean() < 0.95
    for mine, theirs in zip(ours[1:], wanted[1:]):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", NEURONS)
def test_plain_torch_equals_the_compiled_kernel_to_the_bit(name, dtype):
    """Forward, and backward but for the last bits of a surrogate's own functions."""
    neuron, x = NEURONS[name], current(NEURONS[name], 9, 4, 3, 37, dtype=dtype)
    v0, rates = torch.randn(x.shape[1:]) * neuron.v_th, torch.rand(2, 9)
    for learned in (None, rates):
        settings, into = (learned, *settings_of(neuron)), (current(neuron, *x.shape, dtype=dtype), torch.randn_like(v0))
        plain, compiled = (
            (*kernel.forward(x, v0, *settings), *kernel.backward(*into, x, v0, *settings)) for kernel in (portable, cpu)
        )
        assert all(map(torch.equal, plain[:2], compiled[:2]))
        close = {"rtol": 1e-2, "atol": 1e-5} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}
        torch.testing.assert_close(plain[2], compiled[2], **close)
        torch.testing.assert_close(plain[3:], compiled[3:], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("adapt", ["steps", "shared"])
def test_neurons_that_adapt_run_fast_and_equal_norse(surrogate, adapt):
    neuron = make_neuron("asnn", adapt=adapt, surrogate=surrogate, surrogate_scale=0.8)
    fast, slow = LIF(neuron, 6).double(), LIF(neuron, 6, kernels="reference").double()
    torch.manual_seed(2)
    with torch.no_grad():
        for ours, theirs in zip(fast.parameters(), slow.parameters()):
            theirs.copy_(ours.uniform_(-0.5, 0.5))
    x = current(neuron, dtype=torch.float64).requires_grad_()
    results = []
    for lif in (fast, slow):
        spikes, v = lif(x)
        grads = torch.autograd.grad((spikes * x.detach()).sum() + v.sum(), (x, *lif.parameters()))
        results.append((spikes, v, *grads))
    assert "lif_scan" in fast(x)[0].grad_fn.name() and "lif_scan" not in slow(x)[0].grad_fn.name()
    assert torch.equal(results[0][0], results[1][0]) and results[0][0].any()
    for mine, theirs in zip(results[0][1:], results[1][1:]):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


# --- torch's rules ---


@pytest.mark.parametrize("learned", [False, True], ids=["constant", "learned"])
def test_operator_obeys_torch_rules(learned):
    x, v0 = torch.randn(3, 2, 5, requires_grad=True), torch.zeros(2, 5, requires_grad=True)
    rates = torch.rand(2, 3, requires_grad=True) if learned else None
    settings = (rates, *settings_of(make_neuron()))
    torch.library.opcheck(torch.ops.dvspipe.lif_scan, (x, v0, *settings))
    once = tuple(None if each is None else each.detach() for each in (torch.ones_like(x), v0, x, v0, rates))
    rules = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.dvspipe.lif_scan_backward, (*once, *settings[1:]), test_utils=rules)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 2, 3), (0, 1, 3, 2), (3, 0, 1, 2)])
def test_fake_tensors_lie_as_real_ones(order):
    """What `torch.compile` believes about memory is what it gets, whatever order of axes comes in."""
    x = torch.randn(3, 2, 5, 4).permute(order).contiguous().permute(*[order.index(axis) for axis in range(4)])
    real = lif_scan(x, None, make_neuron())
    fake = lif_scan(x.to("meta"), None, make_neuron())
    assert [each.stride() for each in real] == [each.stride() for each in fake]


def test_compiled_whole_and_checkpointed_networks_give_the_same():
    lif, x = LIF(make_neuron("asnn", adapt="steps"), 4), torch.randn(4, 2, 3, 8) * 2
    convolved = torch.nn.Linear(8, 8)

    def run(layer, x):
        x = x.clone().requires_grad_()
        spikes, v = layer(x)
        return spikes, v, *torch.autograd.grad(spikes.sum() + v.sum(), (x, lif.leak, convolved.weight))

    def whole(x):
        return lif(convolved(x))

    wanted = run(whole, x)
    compiled = run(torch.compile(whole, fullgraph=True, backend="aot_eager"), x)
    saved = run(lambda x: checkpoint(whole, x, use_reentrant=False), x)
    for found in (compiled, saved):
        assert torch.equal(found[0], wanted[0]) and wanted[0].any()
        torch.testing.assert_close(found[1:], wanted[1:])


def test_autocast_brings_half_precision_and_the_membrane_stays():
    layer, x = torch.nn.Linear(8, 8), torch.randn(4, 2, 8)
    with torch.autocast("cpu", torch.bfloat16):
        now = layer(x)
        spikes, v = lif_scan(now, None, make_neuron())
    assert now.dtype == spikes.dtype == torch.bfloat16 and v.dtype == torch.float32
    spikes.sum().backward()
    assert layer.weight.grad.isfinite().all()


# --- what cannot be done ---


def test_the_same_gradient_twice_and_no_second_derivative():
    x = torch.randn(4, 3, 5, requires_grad=True)
    spikes, _ = lif_scan(x, None, make_neuron("gac", surrogate="atan"))
    once, again = (torch.autograd.grad(spikes.sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(once, again)
    (slope,) = torch.autograd.grad(spikes.sum(), x, create_graph=True)
    with pytest.raises(UsageError, match=r"second derivative.*snn\.kernels"):
        torch.autograd.grad(slope.sum(), x)


def test_the_reference_has_the_second_derivative():
    neuron = make_neuron("ms-resnet", surrogate="atan", surrogate_scale=2.0)
    x = torch.tensor([[0.2], [0.3]], dtype=torch.float64, requires_grad=True)
    spikes, _ = lif_scan(x, None, neuron, kernels="reference")
    (slope,) = torch.autograd.grad(spikes[0].sum(), x, create_graph=True)
    (curve,) = torch.autograd.grad(slope.sum(), x)
    surrogate, y = SURROGATES["atan"], torch.tensor(0.2 - 0.5, dtype=torch.float64)
    assert slope[0].item() == pytest.approx(surrogate(y, 2.0).item())
    difference = (surrogate(y + 1e-6, 2.0) - surrogate(y - 1e-6, 2.0)) / 2e-6
    assert curve[0].item() == pytest.approx(difference.item(), rel=1e-6)


def test_what_runs_slower_is_said_once(caplog):
    operators._say.cache_clear()
    x = torch.randn(4, 2, 9).half()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            spikes, v = lif_scan(x, None, make_neuron())
    assert [record.getMessage().count("not torch.float16") for record in caplog.records] == [1]
    assert "plain torch" in caplog.text and spikes.dtype == torch.float16 and v.dtype == torch.float32
    assert torch.equal(spikes.float(), lif_scan(x.float(), None, make_neuron())[0])


def test_float16_learns_too():
    x, v0, neuron = current(make_neuron(), dtype=torch.float16), torch.zeros(3, 4, 5), make_neuron()
    ours, wanted = (both_ways(scan, x, v0, neuron) for scan in (lif_scan, reference.lif_scan))
    assert torch.equal(ours[0], wanted[0]) and ours[2].dtype == torch.float16
    torch.testing.assert_close(ours[2], wanted[2], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 1), (0, 2, 3), (3, 0, 4), (3, 2, 0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_one_step_and_nothing_at_all(shape, dtype):
    neuron = make_neuron()
    x = current(neuron, *shape, dtype=dtype)
    rates = torch.rand(2, shape[0], dtype=membrane_dtype(x))
    v0 = torch.ones(shape[1:], dtype=rates.dtype) * 0.2
    ours = both_ways(lif_scan, x, v0, neuron, rates)
    assert ours[0].shape == ours[2].shape == shape and ours[4].shape == (2, shape[0])
    if len(x):
        wanted = both_ways(reference.lif_scan, x, v0, neuron, rates)
        for mine, theirs in zip(ours, wanted):
            torch.testing.assert_close(mine, theirs, rtol=1e-2 if x.element_size() == 2 else 1e-5, atol=1e-5)
    else:
        assert torch.equal(ours[1], v0) and ours[4].numel() == 0


def test_rates_of_another_length_are_refused():
    with pytest.raises(ShapeError, match=r"\[2, 4\].*\[5, 2, 3\]"):
        lif_scan(torch.zeros(5, 2, 3), None, make_neuron(), rates=torch.rand(2, 4))


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("os.environ['NUMBA_DISABLE_JIT'] = '1'", "plain torch operators, slower.*NUMBA_DISABLE_JIT"),
        ("sys.modules['numba'] = None", "DvspipeError: numba cannot be imported"),
    ],
    ids=["switched off", "missing"],
)
def test_without_numba(before, message):
    program = f"""
import os, sys
{before}
import torch
from dvspipe.snn.kernels import lif_scan, reference
from dvspipe.snn.neurons import make_neuron
x = torch.randn(5, 2, 300)
assert torch.equal(lif_scan(x, None, make_neuron())[0], reference.lif_scan(x, torch.zeros(2, 300), make_neuron())[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert len(re.findall(message, done.stderr)) == 1
    assert (done.returncode == 0) == ("DISABLE_JIT" in before)


# --- kernels = "reference" ---

SETTINGS = {"classes": 3, "steps": 5, "width": 0.25, "size": (8, 8)}


def twins(**settings):
    """The same network on the device's kernels and on Norse's step, from one seed, in float64."""
    built = []
    for kernels in ("auto", "reference"):
        torch.manual_seed(5)
        built.append(build_network("three-conv", **SETTINGS, **settings, kernels=kernels).double())
    return built


@pytest.mark.parametrize(
    "settings", [{}, {"neuron": "plif"}, {"attention": "TCSA"}, {"attention": "CSA", "placement": "paper"}], ids=str
)
def test_a_network_on_the_reference_is_the_same_network(settings):
    fast, slow = twins(**settings)
    assert {name: each.shape for name, each in fast.state_dict().items()} == {
        name: each.shape for name, each in slow.state_dict().items()
    }
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(fast.parameters(), slow.parameters()))
    slow.load_state_dict(fast.state_dict())
    frames = torch.poisson(torch.full((5, 4, 2, 8, 8), 0.6, dtype=torch.float64))
    outputs = [network(frames)[0] for network in (fast, slow)]
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
    for output in outputs:
        output.square().sum().backward()
    for ours, theirs in zip(fast.parameters(), slow.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-7, atol=1e-9)


def test_nothing_compiled_runs_on_the_reference(monkeypatch):
    _, slow = twins(attention="CSA", placement="paper")
    slow = slow.float().eval()
    for module in (cpu, portable):
        monkeypatch.setattr(module, "forward", lambda *_: pytest.fail("a fast kernel ran"))
    monkeypatch.setattr(gated, "gated_scan", lambda *_: pytest.fail("a fast kernel ran"))
    frames = torch.poisson(torch.full((5, 2, 2, 8, 8), 0.6))
    with torch.no_grad():
        out, _ = slow(frames)
        slow.step(frames[0])
    assert out.shape == (5, 2, 3)


def test_the_setting_reaches_every_layer_and_old_recipes_know_none():
    from dvspipe.jobs.runs import network_of

    given = {
        "dataset": "gesture",
        "frames": {"bin_us": 300_000, "n_bins": 5},
        "snn": {"network": "five-conv-a", "width": 0.125},
        "train": {"epochs": 1, "val_subjects": 1},
    }
    assert Recipe.model_validate(given).snn.kernels == "auto"
    given["snn"]["kernels"] = "reference"
    network = network_of(Recipe.model_validate(given), 11, (64, 64))
    neurons = [module for module in network.modules() if isinstance(module, LIF)]
    assert len(neurons) == 7 and all(lif.kernels == "reference" for lif in neurons)


def test_an_unknown_word_is_named():
    with pytest.raises(UsageError, match=r"unknown kernels 'referense'.*did you mean 'reference'"):
        LIF(make_neuron(), kernels="referense")
