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
def place_gates(planes, kernel, gain, gates):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """gates [H,W] = gain · sigmoid(kernel [2,k,k] over the two `planes` [2,H,W], zeros outside)."""
    height, width = gates.shape
    size = kernel.shape[1]
    reach = size // 2
    for i in range(height):
        row = gates[i]
        row[:] = 0.0
        for plane in range(2):
            for down in range(max(0, reach - i), min(size, height + reach - i)):
                source = planes[plane, i + down - reach]
                for right in range(size):
                    weight, shift = kernel[plane, down, right], right - reach
                    first, last = max(0, -shift), max(0, min(width, width - shift))
                    inner, shifted = row[first:last], source[first + shift : last + shift]
                    for j in range(len(inner)):
                        inner[j] += weight * shifted[j]
        for j in range(width):
            row[j] = gain / (1.0 + math.exp(-row[j]))


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
def gated_scan(x, v, spikes, shape, constants, channel, space, gains, rectified):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Steps `v` [B,P,C] through x [T,B,P,C] in place, into spikes [T,B,P,C]; `shape` is (H,W).

    `channel` (w0, w1), empty arrays where there is no channel attention; `space` [2,k,k] likewise.
    """
    keep, gain, bias, edge, _, slope, offset = constants
    w0, w1 = channel
    pixels, channels = x.shape[2], x.shape[3]
    total, largest, by_channel = np.empty(channels, v.dtype), np.empty(channels, v.dtype), np.ones(channels, v.dtype)
    planes, by_place = np.empty((2, shape[0], shape[1]), v.dtype), np.ones(shape, v.dtype)
    flat = planes.reshape(2, pixels)
    for b in range(v.shape[0]):
        for t in range(len(x)):
            integrate(x[t, b], v[b], total, largest, keep, gain, bias)
            if len(w0):
                channel_gates(total, largest, pixels, w0, w1, gains, by_channel)
            if len(w0) or len(space):
                weigh_channels(v[b], by_channel, flat[0], flat[1])
            if len(space):
                place_gates(planes, space, gains, by_place)
            fire(v[b], by_place.reshape(pixels), spikes[t, b], edge, slope, offset, rectified)
