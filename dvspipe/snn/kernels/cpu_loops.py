"""The compiled arithmetic of the CPU kernel: plain loops over [T, neurons] arrays, each call for one range of neurons.

Inner loops run over neighbouring neurons without a branch, so that the compiler makes vector code of them. bfloat16
comes in as its 16 bits (uint16). Knows no torch, no threads and no layouts.

`constants` is (keep, gain, bias, edge, v_th, slope, offset): a membrane u above `edge` fires and becomes
slope·u + offset. `rates` [2,T] holds keep and gain of every step, which may be learned, and goes before those two.
Backward, with gv = dL/dv[t] and g the surrogate at u[t] - v_th:
    dL/du = gs·g + gv·dv/du,  dv/du = (slope if fired else 1) + g·(slope·u + offset - u)   (second term 0 when detached)
    dL/dx = gain·dL/du,  gv of the step before = keep·dL/du
    dL/dkeep = Σ dL/du·v of the step before,  dL/dgain = Σ dL/du·x   (of every step, where they are learned)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from dvspipe.snn.kernels.prefetch import will_read, will_write

# Neurons per pass over time: their membrane stays in the second-level cache, and memory comes in long rows. On the way
# back, where a block has its membranes of every step, fewer.
BLOCK, SHORT = 1 << 14, 2048
SCRATCH = 1 << 16  # and so many of those at most, to stay in the second-level cache too
GROUP = 64  # neurons whose shares in the gradient of a learned rate are added up here; divides where threads begin


def widen(value: Any) -> Any:
    """A number as the membrane's type: bfloat16 bits as float32, floats as they are."""
    raise NotImplementedError("compiled code only")


@overload(widen)
def _widen(value: Any) -> Any:
    def from_bits(value: Any) -> Any:
        return np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)

    def unchanged(value: Any) -> Any:
        return value

    return from_bits if isinstance(value, types.Integer) else unchanged


def narrow(value: Any, like: Any) -> Any:
    """The way back, rounded to nearest even as torch does; NaN stays NaN."""
    raise NotImplementedError("compiled code only")


@overload(narrow)
def _narrow(value: Any, like: Any) -> Any:
    def to_bits(value: Any, like: Any) -> Any:
        bits = np.float32(value).view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        return np.uint16(rounded) if value == value else np.uint16(0x7FC0)

    def unchanged(value: Any, like: Any) -> Any:
        return value

    return to_bits if isinstance(like, types.Integer) else unchanged


def exponential(value: Any) -> Any:
    """e^value; in single precision as plain arithmetic, which becomes vector code where a call of `exp` does not."""
    raise NotImplementedError("compiled code only")


@overload(exponential)
def _exponential(value: Any) -> Any:
    def single(value: Any) -> Any:  # 2^n · e^r with |r| <= ln 2 / 2, by the polynomial of Cephes' expf
        bounded = min(max(value, np.float32(-87.0)), np.float32(88.0))
        n = np.floor(bounded * np.float32(1.44269504088896341) + np.float32(0.5))
        r = bounded - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
        p = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
        p = (p * r + np.float32(8.3334519073e-3)) * r + np.float32(4.1665795894e-2)
        p = ((p * r + np.float32(1.6666665459e-1)) * r + np.float32(5.0000001201e-1)) * r * r + r + np.float32(1.0)
        whole = np.uint32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
        return p * whole if value == value else value

    def double(value: Any) -> Any:
        return math.exp(value)

    return single if value == types.float32 else double


@njit(cache=True, nogil=True)
def forward(x, v, spikes, start, stop, rates, constants, one):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """`v` [N] is advanced in place from before the first to after the last step."""
    _, _, bias, edge, _, slope, offset = constants
    zero = one - one
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        membrane = v[first:last]
        for t in range(len(x)):
            current, fired, keep, gain = x[t, first:last], spikes[t, first:last], rates[0, t], rates[1, t]
            for j in range(len(membrane)):
                u = keep * membrane[j] + gain * widen(current[j]) + bias
                fires = u > edge
                fired[j] = one if fires else zero
                membrane[j] = slope * u + offset if fires else u


@njit(cache=True, nogil=True)
def membranes(x, v0, scratch, first, last, rates, constants):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """scratch[t, j] = u[t] of neuron first + j, by the same arithmetic as `forward`."""
    _, _, bias, edge, _, slope, offset = constants
    before = v0[first:last].copy()
    for t in range(len(x)):
        will_read(x[min(t + 1, len(x) - 1), first:last])
        # Slices of the last axis only: of others the compiler would not know that neighbours lie side by side.
        current, u, keep, gain = x[t, first:last], scratch[t, : last - first], rates[0, t], rates[1, t]
        for j in range(len(before)):
            u[j] = keep * before[j] + gain * widen(current[j]) + bias
            before[j] = slope * u[j] + offset if u[j] > edge else u[j]


@njit(cache=True, nogil=True)
def onward(grad, u, g, carried, constants, reset, one):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """dL/du of one neuron, from its spike's gradient, the surrogate `g` and `carried`, dL/dv after the step."""
    _, _, _, edge, _, slope, offset = constants
    stays = (slope if u > edge else one) + reset * g * ((slope - one) * u + offset)
    return widen(grad) * g + carried * stays


@njit(cache=True, nogil=True, error_model="numpy")  # a division that asks for zeros first is no vector code
def through_neuron(grad_spikes, u, carried, keep, constants, surrogate):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """`u` [n] becomes dL/du and `carried` [n], dL/dv after the step, that before it.

    `surrogate` is (scale, reset, number): formulas and numbers as in `snn.surrogates`, reset 1, or 0 when detached.
    """
    scale, reset, number = surrogate
    real, v_th = u.dtype.type, constants[4]
    zero, one, half = real(0), real(1), real(0.5)
    slope, height = real(math.pi) * half * scale, half / scale
    if number == 0:
        for j in range(len(u)):
            g = height if abs(u[j] - v_th) < scale else zero
            u[j] = onward(grad_spikes[j], u[j], g, carried[j], constants, reset, one)
            carried[j] = keep * u[j]
    elif number == 1:
        for j in range(len(u)):
            g = max(one - abs(u[j] - v_th) / scale, zero) / scale
            u[j] = onward(grad_spikes[j], u[j], g, carried[j], constants, reset, one)
            carried[j] = keep * u[j]
    elif number == 2:
        for j in range(len(u)):
            y = slope * (u[j] - v_th)
            u[j] = onward(grad_spikes[j], u[j], half * scale / (one + y * y), carried[j], constants, reset, one)
            carried[j] = keep * u[j]
    elif number == 3:
        for j in range(len(u)):
            y = one / (one + exponential(-scale * (u[j] - v_th)))
            u[j] = onward(grad_spikes[j], u[j], scale * y * (one - y), carried[j], constants, reset, one)
            carried[j] = keep * u[j]
    else:
        for j in range(len(u)):
            y = one + scale * abs(u[j] - v_th)
            u[j] = onward(grad_spikes[j], u[j], one / (y * y), carried[j], constants, reset, one)
            carried[j] = keep * u[j]


@njit(cache=True, nogil=True)
def hand_back(g, grad_x, gain):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """From dL/du [n] to the current's gradient."""
    for j in range(len(g)):
        grad_x[j] = narrow(gain * g[j], grad_x[j])


@njit(cache=True, nogil=True, fastmath={"reassoc"})  # a sum in any order: that is what makes it vector code
def through_rates(g, x, before, grad_keep, grad_gain, edge, slope, offset):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Every group's share in dL/dkeep and dL/dgain; `before` is u of the step before, or with an infinite `edge` v itself."""
    for group in range(len(grad_keep)):
        first, last = GROUP * group, min(GROUP * group + GROUP, len(before))
        u, current, through = before[first:last], x[first:last], g[first:last]
        by_keep, by_gain = g.dtype.type(0), g.dtype.type(0)
        for j in range(len(u)):
            by_keep += through[j] * (slope * u[j] + offset if u[j] > edge else u[j])
            by_gain += through[j] * widen(current[j])
        grad_keep[group], grad_gain[group] = by_keep, by_gain


@njit(cache=True, nogil=True)
def backward(grad_spikes, x, grad_x, v0, grad_v, grad_rates, start, stop, rates, constants, surrogate):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """`grad_v` [N] is taken in place from the last v back to the first. `grad_rates` [2,T,groups of neurons] receives
    shares in dL/dkeep and dL/dgain; nothing where there are no groups.

    The inner loops are functions of their own: in one body the compiler, unsure what overlaps, gives up on vector code.
    """
    _, _, _, edge, _, slope, offset = constants
    steps, learns, never = len(x), grad_rates.shape[2] > 0, v0.dtype.type(np.inf)
    block = min(SHORT, max(1, SCRATCH // max(steps, 1) // GROUP) * GROUP)
    scratch = np.empty((steps, block), v0.dtype)
    for first in range(start, stop, block):
        last = min(first + block, stop)
        carried = grad_v[first:last]
        membranes(x, v0, scratch, first, last, rates, constants)
        for t in range(steps - 1, -1, -1):
            will_read(grad_spikes[max(t - 1, 0), first:last])
            will_write(grad_x[max(t - 1, 0), first:last])
            g = scratch[t, : last - first]
            through_neuron(grad_spikes[t, first:last], g, carried, rates[0, t], constants, surrogate)
            if learns:
                before = scratch[t - 1, : last - first] if t else v0[first:last]
                groups, above = slice(first // GROUP, -(-last // GROUP)), edge if t else never
                by_keep, by_gain = grad_rates[0, t, groups], grad_rates[1, t, groups]
                through_rates(g, x[t, first:last], before, by_keep, by_gain, above, slope, offset)
            hand_back(g, grad_x[t, first:last], rates[1, t])
