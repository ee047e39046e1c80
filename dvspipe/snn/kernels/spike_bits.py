"""Spikes kept for the way back as single bits: a sixteenth of bfloat16, a thirty-second of float32.

A convolution keeps what it was given to learn from it later. Where that is nothing but zeros and ones, it is kept here as
bits and given back as it was, to the bit. Knows no layer: it looks at the values, and gives up at the first other one.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from dvspipe.snn.kernels.threads import split

SMALL = 1 << 15  # values below which keeping them as they are costs next to nothing
ROW = 1024  # bytes of bits; bit k of byte j of a row is its value k·ROW + j, so that loops run over neighbours
BLOCK = 8 * ROW  # values to a row
# A spike's bits, by the dtype that the values are looked at as: compared as numbers, a negative zero would pass for none.
_SPIKE = {
    torch.bfloat16: np.uint16(0x3F80),
    torch.float32: np.uint32(0x3F800000),
    torch.float64: np.uint64(0x3FF << 52),
}
_AS = {torch.bfloat16: torch.uint16, torch.float32: torch.uint32, torch.float64: torch.uint64}


@dataclass(frozen=True, slots=True)
class _Bits:
    """`bits` uint8 [n/8] of a dense tensor of that shape, strides and dtype, and the values after its last whole row."""

    bits: Tensor
    rest: Tensor
    shape: torch.Size
    strides: tuple[int, ...]
    dtype: torch.dtype


def spikes_as_bits() -> AbstractContextManager[Any]:
    """While it lasts, torch's graph keeps large dense CPU tensors of spikes as bits, and everything else as it is. Where
    numba compiles nothing, and inside `torch.compile`, it does nothing.
    """
    if numba.config.DISABLE_JIT or torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return nullcontext()
    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def pack(x: Tensor) -> Tensor | _Bits:
    """Spikes as bits; anything else itself, without the graph that made it: that would keep itself alive."""
    if x.numel() < SMALL or x.device.type != "cpu" or x.dtype not in _AS or not _dense(x):
        return x.detach()
    values, spike = _flat(x), _SPIKE[x.dtype]
    if not _only_spikes(values[:BLOCK], spike):
        return x.detach()
    whole, others = x.numel() // BLOCK, threading.Event()
    bits = torch.empty(whole * ROW, dtype=torch.uint8)
    packed = bits.numpy()

    def work(start: int, stop: int) -> None:
        if not _pack(values, packed, start, stop, spike):
            others.set()

    split(work, whole, x.numel(), 1)
    rest = _line(x)[whole * BLOCK :].clone()
    return x.detach() if others.is_set() else _Bits(bits, rest, x.shape, x.stride(), x.dtype)


def unpack(kept: Tensor | _Bits) -> Tensor:
    """What `pack` was given."""
    if isinstance(kept, Tensor):
        return kept
    x = torch.empty_strided(kept.shape, kept.strides, dtype=kept.dtype)
    values, packed, spike = _flat(x), kept.bits.numpy(), _SPIKE[kept.dtype]
    split(lambda start, stop: _unpack(values, packed, start, stop, spike), len(packed) // ROW, x.numel(), 1)
    _line(x)[len(packed) * 8 :] = kept.rest
    return x


def _dense(x: Tensor) -> bool:
    """Whether its memory has neither gaps nor values that are several."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(x.stride(), x.shape) if size > 1):
        if stride != expected:
            return False
        expected *= size
    return True


def _line(x: Tensor) -> Tensor:
    return x.detach().as_strided((x.numel(),), (1,))


def _flat(x: Tensor) -> NDArray[Any]:
    """Its memory as unsigned whole numbers [n]."""
    return _line(x).view(_AS[x.dtype]).numpy()


@njit(cache=True, nogil=True)
def _only_spikes(values, spike):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    others = False
    for j in range(len(values)):
        others |= (values[j] != spike) & (values[j] != spike - spike)
    return not others


@njit(cache=True, nogil=True)
def _pack(values, bits, start, stop, spike):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows `start` to `stop`; False at the first that has something but spikes."""
    for row in range(start, stop):
        packed = bits[row * ROW : (row + 1) * ROW]
        if not _only_spikes(values[row * BLOCK : (row + 1) * BLOCK], spike):
            return False
        packed[:] = 0
        for k in range(8):
            fired, bit = values[row * BLOCK + k * ROW : row * BLOCK + (k + 1) * ROW], np.uint8(1 << k)
            for j in range(ROW):
                packed[j] |= bit if fired[j] == spike else np.uint8(0)
    return True


@njit(cache=True, nogil=True)
def _unpack(values, bits, start, stop, spike):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for row in range(start, stop):
        packed = bits[row * ROW : (row + 1) * ROW]
        for k in range(8):
            fired, bit = values[row * BLOCK + k * ROW : row * BLOCK + (k + 1) * ROW], np.uint8(1 << k)
            for j in range(ROW):
                fired[j] = spike if packed[j] & bit else spike - spike
