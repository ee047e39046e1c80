"""The GPU's whole-sequence LIF: Triton programs for CUDA, the implementation of the operators (`operators.py`) there.

Knows dtypes, sizes and which GPU can run them; the arithmetic is in `gpu_loops.py`. Triton is imported when the first
tensor on a GPU comes. Sizes of blocks and chunks were chosen by counting registers, not by measuring.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from dvspipe.snn.kernels.constants import rounded

_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
OLDEST = (7, 0)  # compute capability
CHUNK = 16  # steps whose membranes backward holds in registers, at most
AHEAD = 4  # steps whose currents forward asks for at a time
BLOCK = 256  # neurons of a program: two for each of 128 threads
# Multiplications and additions stay apart, as in every other kernel: a sum rounded once less is another spike somewhere.
LAUNCH = {"BLOCK": BLOCK, "num_warps": 4, "enable_fp_fusion": False}


def refusal(x: Tensor) -> str | None:
    """Why this kernel does not run `x`; None: it does."""
    if x.dtype not in _DTYPES:
        return f"the GPU's kernel takes {', '.join(map(str, _DTYPES))}, not {x.dtype}"
    return unable(x.device)


@cache
def unable(device: torch.device) -> str | None:
    """Why a GPU cannot run Triton's programs, found out by running one; None: it can."""
    name, capability = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    if capability < OLDEST:
        return f"{name} has compute capability {capability}, and Triton needs {OLDEST}"
    try:
        x, neuron = torch.zeros(1, 1, device=device), ([0.5, 1.0, 0.0, 1.0, 0.0, 1.0], [False, False, False], 0)
        forward(x, x[0], None, *neuron)
        backward(x, x[0], x, x[0], None, *neuron)
    except ImportError as error:
        return f"Triton cannot be imported ({error}); it comes with torch for CUDA"
    except Exception as error:  # whatever a machine may lack: a C compiler, Python's headers, a new enough driver
        return f"Triton cannot run on {name}: {type(error).__name__}: {error}"
    return None


def _neuron(x: Tensor, constants: list[float], flags: list[bool]) -> dict[str, float]:
    """The constants by the programs' names."""
    names = ("KEEP", "GAIN", "BIAS", "EDGE", "V_TH", "SLOPE", "OFFSET")
    return dict(zip(names, map(float, rounded(x.dtype, constants, flags))))


def forward(
    x: Tensor, v0: Tensor, rates: Tensor | None, constants: list[float], flags: list[bool], surrogate: int
) -> tuple[Tensor, Tensor]:
    """As the operator `dvspipe::lif_scan`, for dense time-outermost `x` and `v0`."""
    from dvspipe.snn.kernels import gpu_loops

    spikes, v, count = torch.empty_like(x), v0.clone(), v0.numel()
    if not x.numel():
        return spikes, v
    neuron = _neuron(x, constants, flags)
    del neuron["V_TH"]
    learned: dict[str, Any] = {"LEARNS": rates is not None, "AHEAD": AHEAD}
    with torch.cuda.device_of(x):
        arrays = (x, v0, v0 if rates is None else rates.contiguous(), spikes, v)
        gpu_loops.forward[(-(-count // BLOCK),)](*arrays, len(x), count, **neuron, **learned, **LAUNCH)
    return spikes, v


def backward(
    grad_spikes: Tensor,
    grad_v: Tensor,
    x: Tensor,
    v0: Tensor,
    rates: Tensor | None,
    constants: list[float],
    flags: list[bool],
    surrogate: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """As the operator `dvspipe::lif_scan_backward`, for dense time-outermost tensors."""
    from dvspipe.snn.kernels import gpu_loops

    grad_x, grad_v0, steps, count = torch.empty_like(x), grad_v.clone(), len(x), v0.numel()
    programs = -(-count // BLOCK)
    shares = v0.new_zeros(2, steps, programs) if rates is not None else v0.new_empty(2, 0, 0)
    if not x.numel():
        return grad_x, grad_v0, shares.sum(2)
    chunks = -(-steps // CHUNK)
    kept, chunk = v0.new_empty(chunks, count), -(-steps // chunks)  # chunks of one size: T = 20 is 10 and 10
    arrays = (grad_spikes, grad_v, x, v0, v0 if rates is None else rates.contiguous(), kept, grad_x, grad_v0, shares)
    gradient: dict[str, Any] = {"SCALE": constants[5], "NUMBER": surrogate, "DETACHED": flags[2]}
    gradient |= {"LEARNS": rates is not None, "CHUNK": chunk}
    with torch.cuda.device_of(x):
        neuron = _neuron(x, constants, flags)
        gpu_loops.backward[(programs,)](*arrays, steps, count, **neuron, **gradient, **LAUNCH)
    return grad_x, grad_v0, shares.sum(2, dtype=torch.float64).to(v0.dtype)
