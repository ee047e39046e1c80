"""The torch operators `dvspipe::lif_scan` and `dvspipe::lif_scan_backward`: one name for every device's kernel.

So that autocast, checkpointing, `torch.compile` and fake tensors see one opaque operator. What is kept for backward is the
current alone: recomputing the membrane is cheaper than writing it out. A device's module offers `forward`, `backward`, which
get sequences that lie time outermost and dense, and `refusal(x)`; what it refuses, and devices without a module, run on
`portable`, said once in the log. Knows no arithmetic.
"""

from __future__ import annotations

import logging
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from dvspipe.errors import UsageError
from dvspipe.snn.kernels import cpu, gpu, portable
from dvspipe.snn.kernels.constants import settings_of
from dvspipe.snn.kernels.layouts import laid, time_outermost
from dvspipe.snn.neurons import Neuron

logger = logging.getLogger(__name__)

# Not `torch.library.custom_op`: its first call imports the whole of torch._dynamo, seconds that `dvspipe live` has
# no use for.
_LIBRARY = torch.library.Library("dvspipe", "FRAGMENT")
_INPUTS = "Tensor x, Tensor v0, Tensor? rates, float[] constants, bool[] flags, int surrogate"
_LIBRARY.define(f"lif_scan({_INPUTS}) -> (Tensor, Tensor)")
_LIBRARY.define(f"lif_scan_backward(Tensor grad_spikes, Tensor grad_v, {_INPUTS}) -> (Tensor, Tensor, Tensor)")


def lif_scan(x: Tensor, v0: Tensor, neuron: Neuron, rates: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Current `x` [T,B,...] from `v0` [B,...] in the membrane's dtype -> (spikes, last v), by the device's kernel.

    `rates` [2,T] in the membrane's dtype: learned keep and gain of every step, instead of the neuron's.
    """
    fired: tuple[Tensor, Tensor] = torch.ops.dvspipe.lif_scan(x, v0, rates, *settings_of(neuron))
    return fired


@cache
def _say(reason: str) -> None:
    logger.warning("neurons run as plain torch operators, slower and with the same result: %s", reason)


def register(key: str, kernel: ModuleType | None) -> None:
    """Puts the kernel of a device, or what all others run on (None), behind both operators; `key` is torch's."""

    def able(x: Tensor) -> Any:
        reason = f"there is no kernel for device '{x.device.type}'" if kernel is None else kernel.refusal(x)
        if reason is not None:
            _say(reason)
        return portable if reason is not None else kernel

    def forward(x: Tensor, v0: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        strides = time_outermost(x)
        fired: tuple[Tensor, Tensor] = able(x).forward(laid(x, strides), laid(v0, strides[1:]), *rest)
        return fired

    def backward(grad_spikes: Tensor, grad_v: Tensor, x: Tensor, v0: Tensor, *rest: Any) -> tuple[Tensor, ...]:
        strides = time_outermost(x)
        sequences, steps = (laid(each, strides) for each in (grad_spikes, x)), strides[1:]
        (grad_spikes, x), (grad_v, v0) = sequences, (laid(each, steps) for each in (grad_v, v0))
        grads: tuple[Tensor, ...] = able(x).backward(grad_spikes, grad_v, x, v0, *rest)
        return grads

    _LIBRARY.impl("lif_scan", forward, key)
    _LIBRARY.impl("lif_scan_backward", backward, key)


register("CPU", cpu)
register("CUDA", gpu)
register("CompositeExplicitAutograd", None)


@torch.library.register_fake("dvspipe::lif_scan", lib=_LIBRARY)
def _fake(x: Tensor, v0: Tensor, *settings: Any) -> tuple[Tensor, Tensor]:
    strides = time_outermost(x)
    return torch.empty_like(laid(x, strides)), torch.empty_like(laid(v0, strides[1:]))


@torch.library.register_fake("dvspipe::lif_scan_backward", lib=_LIBRARY)
def _fake_backward(
    grad_spikes: Tensor, grad_v: Tensor, x: Tensor, v0: Tensor, rates: Tensor | None, *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return *_fake(x, v0), v0.new_empty(2, 0 if rates is None else len(x))


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, v0, rates, *ctx.settings = inputs
    ctx.save_for_backward(x, v0, rates)


def _differentiate(ctx: Any, grad_spikes: Tensor, grad_v: Tensor) -> tuple[Tensor | None, ...]:
    saved = ctx.saved_tensors  # once: checkpointing computes them again, and hands them over once
    grads = torch.ops.dvspipe.lif_scan_backward(grad_spikes, grad_v, *saved, *ctx.settings)
    return *grads[:2], None if saved[2] is None else grads[2], None, None, None


def _differentiate_again(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
    raise UsageError(
        "a second derivative of neurons was asked for (create_graph=True): the fast kernels have the first alone; build the "
        "network with kernels = 'reference' (in a recipe: snn.kernels), which has all"
    )


torch.library.register_autograd("dvspipe::lif_scan", _differentiate, setup_context=_remember, lib=_LIBRARY)
torch.library.register_autograd("dvspipe::lif_scan_backward", _differentiate_again, lib=_LIBRARY)
