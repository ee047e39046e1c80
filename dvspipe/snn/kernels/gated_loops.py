"""The compiled arithmetic of neurons whose membrane is re-weighted by channel and place at every step, for inference.

Plain loops over [T,B,H·W,C], channels innermost, so that the compiler makes vector code of them. Each step of a sample goes
through memory three times: integrate and pool by channel; weigh by channel and pool by place; weigh by place and fire.
Knows no torch. `constants` as in `cpu_loops`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

FAST = {"reassoc", "nsz", "nnan", "contract"}  # sums and maxima in any order: that is what makes them vector code


@njit(cache=True, nogil=True, fastmath=FAST)
def integrate(x, v, total, largest, keep, gain, bias):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """v [P,C] becomes the potential; total and largest [C] are its sum and maximum over the pixels."""
    total[:] = 0.0
    largest[:] = -np.inf
    for i in range(len(v)):
        current, membrane = x[i], v[i]
        for c in range(len(membrane)):
            u = keep * membrane[c] + gain * current[c] + bias
            membrane[c] = u
            total[c] += u
            largest[c] = max(largest[c], u)


@njit(cache=True, nogil=True, fastmath=FAST)
def channel_gates(total, largest, pixels, w0, w1, gain, gates):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """gates [C] = gain · sigmoid(w1 (relu(w0 mean) + relu(w0 max))); w0 [h,C], w1 [C,h]."""
    hidden = np.empty(len(w0), gates.dtype)
    for h in range(len(w0)):
        by_mean, by_max = total.dtype.type(0), total.dtype.type(0)
        for c in range(len(total)):
            by_mean += w0[h, c] * (total[c] / pixels)
            by_max += w0[h, c] * largest[c]
        hidden[h] = max(by_mean, 0.0) + max(by_max, 0.0)
    for c in range(len(gates)):
        score = gates.dtype.type(0)
        for h in range(len(hidden)):
            score += w1[c, h] * hidden[h]
        gates[c] = gain / (1.0 + math.exp(-score))


@njit(cache=True, nogil=True, fastmath=FAST)
def weigh_channels(v, gates, means, maxima):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """v [P,C] times gates [C]; means and maxima [P] over the channels of each pixel."""
    for i in range(len(v)):
        membrane = v[i]
        total, largest = v.dtype.type(0), v.dtype.type(-np.inf)
        for c in range(len(gates)):
            u = membrane[c] * gates[c]
            membrane[c] = u
            total += u
            largest = max(largest, u)
        means[i], maxima[i] = total / len(gates), largest


@njit(cache=True, nogil=True, fastmath=FAST)
def place_gates(planes, kernel, gain, padded, sums, gates):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """gates [H,W] = gain · sigmoid(kernel [2,k,k] over the two `planes` [2,H,W], zeros outside).

    With zeros around them (`padded` [2,H+k,W+k-1], nothing else is ever written there) all rows are one long one, and
    every weight meets it in one loop; what `sums` [H·(W+k-1)] holds between two rows belongs to nobody.
    """
    height, width = gates.shape
    size = kernel.shape[1]
    reach, wide = size // 2, padded.shape[2]
    sums[:] = 0.0
    for plane in range(2):
        for i in range(height):
            inner, source = padded[plane, i + reach, reach : reach + width], planes[plane, i]
            for j in range(width):
                inner[j] = source[j]
        line = padded[plane].reshape(padded[plane].size)
        for down in range(size):
            for right in range(size):
                weight, first = kernel[plane, down, right], down * wide + right
                shifted = line[first : first + len(sums)]
                for j in range(len(sums)):
                    sums[j] += weight * shifted[j]
    for i in range(height):
        for j in range(width):
            gates[i, j] = gain / (1.0 + math.exp(-sums[i * wide + j]))


@njit(cache=True, nogil=True, fastmath=FAST)
def fire(v, gates, spikes, edge, slope, offset, rectified):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """v [P,C] times gates [P], then spikes [P,C] and what the membrane keeps."""
    for i in range(len(v)):
        membrane, fired, weight = v[i], spikes[i], gates[i]
        for c in range(len(membrane)):
            u = membrane[c] * weight
            u = max(u, v.dtype.type(0)) if rectified else u
            fires = u > edge
            fired[c] = fires
            membrane[c] = slope * u + offset if fires else u


@njit(cache=True, nogil=True)
def gated_step(x, v, spikes, constants, channel, space, gains, rectified, scratch):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """One step of one sample: `v` [P,C] goes on in place by x [P,C], into spikes [P,C]; `scratch` as `scratch_for` makes it.

    `channel` (w0, w1), empty arrays where there is no channel attention; `space` [2,k,k] likewise.
    """
    keep, gain, bias, edge, _, slope, offset = constants
    w0, w1 = channel
    by_channel, planes, padded, sums, by_place = scratch
    flat = planes.reshape(2, len(v))
    integrate(x, v, by_channel[0], by_channel[1], keep, gain, bias)
    if len(w0):
        channel_gates(by_channel[0], by_channel[1], len(v), w0, w1, gains, by_channel[2])
    if len(w0) or len(space):
        weigh_channels(v, by_channel[2], flat[0], flat[1])
    if len(space):
        place_gates(planes, space, gains, padded, sums, by_place)
    fire(v, by_place.reshape(len(v)), spikes, edge, slope, offset, rectified)


@njit(cache=True, nogil=True)
def scratch_for(v, shape, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """What steps of `v` [P,C], P pixels of `shape` (H,W), work in: sum, maximum and gate [3,C] of channels; mean and
    maximum [2,H,W] of pixels, what `place_gates` needs for kernels of `size`, and gate [H,W] of pixels. Gates that no
    attention makes stay 1.
    """
    height, width = shape
    wide = width + max(size, 1) - 1
    by_channel, planes = np.ones((3, v.shape[1]), v.dtype), np.empty((2, height, width), v.dtype)
    padded, sums = np.zeros((2, height + max(size, 1), wide), v.dtype), np.empty(height * wide, v.dtype)
    return by_channel, planes, padded, sums, np.ones(shape, v.dtype)


@njit(cache=True, nogil=True)
def gated_scan(x, v, spikes, shape, constants, channel, space, gains, rectified):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Steps `v` [B,P,C] through x [T,B,P,C] in place, into spikes [T,B,P,C]; `shape` is (H,W)."""
    if len(v):
        scratch = scratch_for(v[0], shape, space.shape[1])
        for b in range(len(v)):
            for t in range(len(x)):
                gated_step(x[t, b], v[b], spikes[t, b], constants, channel, space, gains, rectified, scratch)
