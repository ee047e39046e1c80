"""Law 5 for the Triton programs: on a GPU, and everywhere else the same source under Triton's interpreter, on the CPU.

Without a GPU, one test runs this file again with TRITON_INTERPRET=1, which Triton wants to know before it is imported.
"""

import importlib.util
import os
import re
import subprocess
import sys

import pytest
import torch

from dvspipe.snn.kernels import cpu, gpu, lif_scan, operators, portable, reference
from dvspipe.snn.kernels.constants import settings_of
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import PRESETS, make_neuron, membrane_dtype
from dvspipe.snn.surrogates import SURROGATES

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
has_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
on_triton = pytest.mark.skipif(
    not INTERPRETED and DEVICE == "cpu", reason="no GPU; run under Triton's interpreter below"
)
on_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="no GPU on this machine")
DTYPES = [torch.float32, torch.bfloat16]
NEAR = 1e-5


@pytest.fixture(autouse=True)
def _triton(monkeypatch):
    """Under the interpreter, the CPU's operator runs the Triton programs."""
    if INTERPRETED:
        monkeypatch.setattr(cpu, "forward", gpu.forward)
        monkeypatch.setattr(cpu, "backward", gpu.backward)
        monkeypatch.setattr(cpu, "refusal", lambda x: None)


def current(neuron, *shape, dtype=torch.float32):
    torch.manual_seed(1)
    return (torch.randn(shape) * neuron.v_th / neuron.gain).to(dtype)


def clear_neurons(x, v0, neuron):
    """Neurons [B,...] whose membrane never comes within 1e-5 of the threshold or of a surrogate's edge."""
    v, clear = v0.double(), torch.ones(v0.shape, dtype=torch.bool)
    for now in x.double():
        u = neuron.keep * v + neuron.gain * now + neuron.bias
        distance = u - neuron.v_th
        clear &= distance.abs() > NEAR
        if neuron.surrogate in ("rectangle", "triangle"):
            clear &= (distance.abs() - neuron.surrogate_scale).abs() > NEAR
        after = u - neuron.v_th if neuron.reset == "subtract" else torch.full_like(u, neuron.v_reset)
        v = torch.where(distance > 0 if neuron.strict else distance >= 0, after, u)
    return clear


def both_ways(scan, x, v0, neuron, rates=None, device=DEVICE):
    """(spikes, last v, gradients) for one random direction, on the CPU."""
    inputs = [each.detach().to(device).requires_grad_() for each in (x, v0, rates) if each is not None]
    spikes, v = scan(inputs[0], inputs[1], neuron, None, *inputs[2:])
    torch.manual_seed(3)
    into = (torch.randn(z.shape).to(z.dtype).to(device) for z in (spikes, v))
    grads = torch.autograd.grad((spikes, v), inputs, list(into))
    return [each.detach().cpu() for each in (spikes, v, *grads)]


def assert_equal_to_norse(x, v0, neuron):
    ours, wanted = both_ways(lif_scan, x, v0, neuron), both_ways(reference.lif_scan, x, v0, neuron, device="cpu")
    clear, half = clear_neurons(x, v0, neuron), {"rtol": 1e-2, "atol": 1e-5}
    close = {"rtol": 1e-5, "atol": 1e-5}
    assert clear.float().mean() > 0.9 and 0.01 < ours[0].float().mean() < 0.95
    assert torch.equal(ours[0][:, clear], wanted[0][:, clear])
    torch.testing.assert_close(ours[1][clear], wanted[1][clear], **close)
    torch.testing.assert_close(ours[2][:, clear], wanted[2][:, clear], **(half if x.dtype == torch.bfloat16 else close))
    torch.testing.assert_close(ours[3][clear], wanted[3][clear], **close)


@on_triton
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("preset", PRESETS)
def test_gpu_equals_norse(preset, surrogate, dtype):
    neuron = make_neuron(preset, surrogate=surrogate, surrogate_scale=0.7, learn_leak=False)
    x = current(neuron, 5, 2, 3, 23, dtype=dtype)
    assert_equal_to_norse(x, torch.randn(2, 3, 23) * 0.3, neuron)


@on_triton
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize(
    ("steps", "reset"), [(1, "subtract"), (15, "zero"), (16, "subtract"), (17, "clamp_threshold"), (33, "zero")]
)
def test_gpu_equals_plain_torch_at_any_number_of_steps(steps, reset, detached):
    """To the bit forward; more than 16 steps go back in several parts, a program takes 256 neurons."""
    neuron = make_neuron("gac", reset=reset, detach_reset=detached, bias=0.05, strict=steps % 2 == 0)
    x, v0 = current(neuron, steps, 1, 300), torch.randn(1, 300)
    settings, rates = settings_of(neuron), torch.rand(2, steps) * 0.9
    into = torch.randn_like(x), torch.randn_like(v0)
    for learned in (None, rates):
        wanted = (*portable.forward(x, v0, learned, *settings), *portable.backward(*into, x, v0, learned, *settings))
        there = [None if each is None else each.to(DEVICE) for each in (*into, x, v0, learned)]
        ours = (*gpu.forward(*there[2:], *settings), *gpu.backward(*there, *settings))
        assert all(torch.equal(mine.cpu(), theirs) for mine, theirs in zip(ours[:2], wanted))
        for mine, theirs in zip(ours[2:], wanted[2:]):
            torch.testing.assert_close(mine.cpu(), theirs, rtol=1e-5, atol=1e-4)


@on_triton
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_gpu_takes_every_precision(dtype):
    neuron, rates = make_neuron("asnn"), torch.rand(2, 6, dtype=membrane_dtype(torch.empty(0, dtype=dtype)))
    x = current(neuron, 6, 2, 33, dtype=dtype) * 2
    v0 = torch.randn(2, 33, dtype=rates.dtype) * 0.3
    ours, wanted = (both_ways(scan, x, v0, neuron, rates) for scan in (lif_scan, reference.lif_scan))
    close = {torch.float64: 1e-11, torch.float32: 1e-5}.get(dtype, 1e-2)
    assert torch.equal(ours[0], wanted[0]) and ours[0].any() and ours[1].dtype == rates.dtype
    for mine, theirs in zip(ours[1:], wanted[1:]):
        torch.testing.assert_close(mine, theirs, rtol=close, atol=max(close, 1e-10))


@on_triton
def test_gpu_takes_any_memory_order_and_nothing():
    neuron, x = make_neuron("ma-snn"), torch.randn(4, 2, 3, 5, 4)
    v0 = torch.zeros(x.shape[1:])
    last = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (4, 2))
    orders = [last, x.transpose(0, 1).contiguous().transpose(0, 1), torch.stack((x, x), -1).flatten(-2)[..., ::2]]
    wanted = both_ways(lif_scan, x, v0, neuron)
    for laid in orders:
        assert all(map(torch.equal, both_ways(lif_scan, laid, v0, neuron), wanted))
    assert lif_scan(last.to(DEVICE), None, neuron)[0].stride() == last.stride()
    for shape in ((0, 2, 3), (3, 0, 4), (3, 2, 0)):
        rest, rates = torch.rand(shape[1:]), torch.rand(2, shape[0])
        spikes, v, *grads = both_ways(lif_scan, torch.zeros(shape), rest, neuron, rates)
        assert spikes.shape == shape and torch.equal(v, rest) and not grads[2].any()


@on_triton
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy's, of which the interpreter is made
def test_gpu_swallows_neither_nan_nor_infinity():
    x = torch.tensor([float("nan"), float("inf"), 1.0], device=DEVICE)[None].requires_grad_()
    for surrogate in SURROGATES:
        spikes, v = lif_scan(x, None, make_neuron(surrogate=surrogate))
        assert v[0].isnan() and spikes[0].tolist() == [0.0, 1.0, 1.0]
        (grad,) = torch.autograd.grad(spikes, x, torch.full_like(spikes, float("nan")))
        assert grad.isnan().all()


# --- without a GPU ---


@has_triton
@pytest.mark.skipif(INTERPRETED, reason="this is the inner run")
def test_all_of_this_under_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", "gpu", __file__]
    done = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 110, done.stdout[-2000:]


@has_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
@pytest.mark.parametrize("capability", [75, 90])
def test_compiled_for_a_gpu_it_fuses_no_multiplication_with_an_addition(capability, monkeypatch, tmp_path):
    """Machine code without a GPU: every branch compiles, and rounds as every other kernel does."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    for number, learns in enumerate((False, True, False, True, False)):
        for name in ("forward", "backward"):
            assembly = compiled(name, capability, number, learns)
            assert "mul.rn.f32" in assembly and "add.rn.f32" in assembly and "fma" not in assembly


def compiled(name, capability, number, learns):
    """The assembly of a program for bfloat16 currents."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from dvspipe.snn.kernels import gpu_loops

    program = getattr(gpu_loops, name)
    constants = {"KEEP": 0.3, "GAIN": 1.5, "BIAS": 0.1, "EDGE": 0.3, "SLOPE": 0.0, "OFFSET": 0.2, "LEARNS": learns}
    constants |= {
        "V_TH": 0.3,
        "SCALE": 0.25,
        "NUMBER": number,
        "DETACHED": False,
        "CHUNK": 4,
        "AHEAD": 4,
        "BLOCK": gpu.BLOCK,
    }
    halves, numbers = {"x", "spikes", "grad_spikes", "grad_x"}, {"steps": "i32", "count": "i32"}
    known = dict.fromkeys(constants, "constexpr") | dict.fromkeys(halves, "*bf16") | numbers
    types = {each.name: known.get(each.name, "*fp32") for each in program.params}
    source = ASTSource(program, types, {key: value for key, value in constants.items() if key in types})
    options = {key: value for key, value in gpu.LAUNCH.items() if key != "BLOCK"}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm["ptx"]


def pretend(monkeypatch, capability):
    """A GPU of this compute capability, on which nothing was tried yet."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GT 1030")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    gpu.unable.cache_clear()


@pytest.mark.skipif(INTERPRETED, reason="nothing is missing there")
def test_what_a_gpu_lacks_is_told(monkeypatch):
    device, whole = torch.device("cuda", 0), torch.zeros(1, dtype=torch.int64)
    pretend(monkeypatch, (6, 1))
    assert re.search(r"GT 1030 has compute capability \(6, 1\).*\(7, 0\)", gpu.unable(device))
    pretend(monkeypatch, (8, 0))
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: torch.ones(1, 1))
    monkeypatch.setitem(sys.modules, "dvspipe.snn.kernels.gpu_loops", None)
    monkeypatch.delattr("dvspipe.snn.kernels.gpu_loops", raising=False)
    assert "Triton cannot be imported" in gpu.unable(device)
    pretend(monkeypatch, (8, 0))
    monkeypatch.setattr(gpu, "forward", lambda *_: (_ for _ in ()).throw(RuntimeError("Failed to find C compiler")))
    assert "Triton cannot run on GT 1030: RuntimeError: Failed to find C compiler" in gpu.unable(device)
    assert "not torch.int64" in gpu.refusal(whole)
    gpu.unable.cache_clear()


# --- on a GPU alone ---


@on_gpu
def test_on_gpu_it_is_fast_and_says_nothing(caplog):
    operators._say.cache_clear()
    lif, x = LIF(make_neuron("asnn", adapt="steps"), 20).cuda(), torch.randn(20, 8, 64, 32, 32, device="cuda")
    spikes, _ = lif(x.requires_grad_())
    spikes.sum().backward()
    assert not caplog.records and x.grad.isfinite().all() and spikes.any()


@on_gpu
def test_on_gpu_it_compiles_whole_and_under_autocast():
    layer = torch.nn.Conv2d(2, 16, 3, padding=1).cuda().to(memory_format=torch.channels_last)
    lif = LIF(make_neuron("plif")).cuda()

    def whole(x):
        return lif(layer(x.flatten(0, 1)).unflatten(0, x.shape[:2]))[0]

    x = torch.randn(10, 4, 2, 16, 16, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        wanted, found = whole(x), torch.compile(whole, fullgraph=True)(x)
    assert wanted.dtype == torch.bfloat16 and (wanted == found).float().mean() > 0.999
    found.float().sum().backward()
    assert lif.w.grad.isfinite() and layer.weight.grad.isfinite().all()


@on_gpu
def test_on_gpu_it_moves_memory_and_little_else():
    """A loose bound on the time per byte, that only a slow path would miss: two passes forward, four or five back."""
    x = torch.randn(20, 8, 64, 32, 32, device="cuda", requires_grad=True)
    grad, neuron = torch.randn_like(x), make_neuron()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for repeat in range(12):
        if repeat == 2:
            start.record()
        lif_scan(x, None, neuron)[0].backward(grad)
    end.record()
    torch.cuda.synchronize()
    ours = start.elapsed_time(end) / 10
    start.record()
    for _ in range(10):
        torch.add(x.detach(), grad)
    end.record()
    torch.cuda.synchronize()
    assert ours < 8 * start.elapsed_time(end) / 10
