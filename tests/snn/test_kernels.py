"""Law 5: the fast kernel equals the loop over Norse's step, both ways, for every preset, dtype and layout."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from dvspipe.errors import ShapeError
from dvspipe.snn.kernels import lif_scan, reference, threads
from dvspipe.snn.neurons import PRESETS, make_neuron, membrane_dtype
from dvspipe.snn.surrogates import SURROGATES

NEURONS = {
    **PRESETS,
    "subtract": make_neuron("gac", reset="subtract"),
    "subtract-detached": make_neuron("spikingjelly", reset="subtract", bias=0.1),
    **{f"with-{name}": make_neuron("ma-snn", surrogate=name, surrogate_scale=0.7) for name in SURROGATES},
}
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
NEAR = 1e-5


def clear_samples(x, v0, neuron):
    """Samples [B] in which no membrane comes within 1e-5 of the threshold or of a surrogate's edge."""
    v, clear = v0.double(), torch.ones(x.shape[1], dtype=torch.bool)
    for current in x.double().unbind(0):
        u = neuron.keep * v + neuron.gain * current + neuron.bias
        distance = u - neuron.v_th
        near = distance.abs() < NEAR
        if neuron.surrogate in ("rectangle", "triangle"):
            near |= (distance.abs() - neuron.surrogate_scale).abs() < NEAR
        clear &= ~near.flatten(1).any(1) if near.numel() else clear
        after = u - neuron.v_th if neuron.reset == "subtract" else torch.full_like(u, neuron.v_reset)
        v = torch.where(distance > 0 if neuron.strict else distance >= 0, after, u)
    return clear


def run(scan, x, v0, neuron, grad_spikes, grad_v):
    x, v0 = x.detach().clone().requires_grad_(), v0.detach().clone().requires_grad_()
    spikes, v = scan(x, v0, neuron)
    grads = torch.autograd.grad((spikes, v), (x, v0), (grad_spikes, grad_v))
    return spikes, v, *grads


def assert_equal_to_norse(x, v0, neuron):
    """Both ways on the clear samples: 1e-5 in float32, 1e-12 in float64, one rounding in bfloat16."""
    grad_spikes, grad_v = torch.randn_like(x), torch.randn_like(v0)
    spikes, v, grad_x, grad_v0 = run(lif_scan, x, v0, neuron, grad_spikes, grad_v)
    wanted = run(reference.lif_scan, x, v0, neuron, grad_spikes, grad_v)
    assert spikes.dtype == x.dtype and v.dtype == v0.dtype and grad_x.dtype == x.dtype
    clear = clear_samples(x, v0, neuron) if x.dtype != torch.float64 else torch.ones(x.shape[1], dtype=torch.bool)
    close = {"rtol": 1e-12, "atol": 1e-12} if x.dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-5}
    half = {"rtol": 1e-2, "atol": 1e-5} if x.dtype == torch.bfloat16 else close
    assert torch.equal(spikes[:, clear], wanted[0][:, clear])
    torch.testing.assert_close(v[clear], wanted[1][clear], **close)
    torch.testing.assert_close(grad_x[:, clear], wanted[2][:, clear], **half)
    torch.testing.assert_close(grad_v0[clear], wanted[3][clear], **close)
    return clear


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NEURONS)
def test_kernel_equals_norse(name, dtype):
    torch.manual_seed(1)
    neuron = NEURONS[name]
    x = (torch.randn(12, 16, 3, 5, 7) * neuron.v_th / neuron.gain).to(dtype)
    v0 = torch.randn(16, 3, 5, 7, dtype=membrane_dtype(x)) * 0.3
    clear = assert_equal_to_norse(x, v0, neuron)
    assert clear.sum() >= 4, "too few samples stay clear of the threshold for this test to say anything"
    assert 0.01 < lif_scan(x, v0, neuron)[0].float().mean() < 0.9


def layouts(x):
    """The same [T,B,C,H,W] values in every memory order a network or a user may bring."""
    yield "contiguous", x
    yield "channels_last", x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2])
    yield "batch outermost", x.transpose(0, 1).contiguous().transpose(0, 1)
    yield "every second", torch.stack((x, x), dim=-1).flatten(-2)[..., ::2]
    yield "repeated in time", x[:1].expand_as(x)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_memory_order_gives_the_same(dtype):
    neuron = make_neuron("ma-snn")
    x = torch.randn(5, 3, 4, 6, 5).to(dtype)
    for name, laid in layouts(x):
        plain = laid.contiguous()
        rest, grad_v = torch.zeros(x.shape[1:], dtype=membrane_dtype(x)), x[0].to(membrane_dtype(x))
        ours, wanted = (run(lif_scan, z, rest, neuron, x, grad_v) for z in (laid, plain))
        assert all(torch.equal(a, b) for a, b in zip(ours, wanted)), name


def test_channels_last_stays_and_is_not_copied(monkeypatch):
    x = dict(layouts(torch.randn(5, 3, 4, 6, 5)))["channels_last"].requires_grad_()
    monkeypatch.setattr(torch.Tensor, "contiguous", lambda *_: pytest.fail("copied a dense input"))
    spikes, v = lif_scan(x, None, make_neuron())
    spikes.backward(torch.ones_like(spikes))
    assert spikes.stride() == x.stride() == x.grad.stride() and v.stride() == x.stride()[1:]


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 2, st.integers(1, 70), st.integers(1, 5)),
    name=st.sampled_from(sorted(NEURONS)),
    seed=st.integers(0, 2**31),
)
def test_kernel_equals_norse_at_odd_sizes(shape, name, seed):
    torch.manual_seed(seed)
    assert_equal_to_norse(torch.randn(shape), torch.randn(shape[1:]) * 0.3, NEURONS[name])


@pytest.mark.parametrize("shape", [(0, 3, 4), (4, 0, 3), (4, 2, 0)])
def test_nothing_in_nothing_out(shape):
    v0 = torch.randn(shape[1:])
    spikes, v = lif_scan(torch.zeros(shape), v0, make_neuron())
    assert spikes.shape == shape and torch.equal(v, v0)


def test_many_threads_and_blocks_equal_one():
    x = torch.randn(6, 2, 40_000)
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        results.append(run(lif_scan, x, torch.zeros(2, 40_000), make_neuron(), x, x[0]))
    assert x.numel() > threads.SMALL
    assert all(torch.equal(a, b) for a, b in zip(*results))


def test_sequence_in_two_parts_equals_one():
    x, neuron = torch.randn(9, 4, 33), make_neuron()
    spikes, v = lif_scan(x, None, neuron)
    first, between = lif_scan(x[:4], None, neuron)
    second, last = lif_scan(x[4:], between, neuron)
    assert torch.equal(torch.cat((first, second)), spikes) and torch.equal(last, v)


def test_a_tie_fires_unless_strict():
    x = torch.tensor([[0.5], [0.5 - 2**-25]])
    fires = [
        lif_scan(x[None], None, make_neuron("ms-resnet", strict=strict))[0].flatten().tolist() for strict in (0, 1)
    ]
    assert fires == [[1.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_nan_and_infinity_are_not_swallowed(dtype):
    x = torch.tensor([float("nan"), float("inf"), 1.0])[None].to(dtype).requires_grad_()
    spikes, v = lif_scan(x, None, make_neuron())
    assert v[0].isnan() and spikes[0].tolist() == [0.0, 1.0, 1.0]
    spikes.backward(torch.full_like(spikes, float("nan")))
    assert x.grad.isnan().all()


def test_concurrent_calls_do_not_disturb_each_other():
    torch.set_num_threads(2)
    inputs = [torch.randn(8, 2, 20_000) for _ in range(6)]
    wanted = [lif_scan(x, None, make_neuron())[0] for x in inputs]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda x: lif_scan(x, None, make_neuron())[0], inputs))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted))


def _filled(count):
    """Work done in two threads, without torch: its own OpenMP is what cannot survive a fork."""
    done = np.zeros(count)
    threads.split(lambda start, stop: done[start:stop].fill(1.0), count, 10 * threads.SMALL)
    return float(done.sum())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_child_gets_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert _filled(5_000) == 5_000
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(_filled(5_000)), daemon=True)
    child.start()
    child.join(timeout=60)
    assert child.exitcode == 0 and queue.get() == 5_000


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_training_goes_on_beside_loader_workers():
    torch.set_num_threads(2)
    loader = DataLoader(torch.randn(6, 4, 2, 20_000), num_workers=2)
    lif_scan(torch.randn(4, 2, 20_000), None, make_neuron())
    seen = 0
    for x in loader:
        x = x[0].requires_grad_()
        lif_scan(x, None, make_neuron())[0].sum().backward()
        seen += int(x.grad is not None)
    assert seen == 6


def test_state_of_another_batch_is_refused():
    with pytest.raises(ShapeError, match=r"\[3, 4\].*\[5, 2, 4\]"):
        lif_scan(torch.zeros(5, 2, 4), torch.zeros(3, 4), make_neuron())
