"""The compiled arithmetic of layers that meet few inputs: only rows of weights whose input is not 0 are read and added.

Feature maps are [P,C], the channels of a pixel side by side; weights are rows [inputs, outputs]. Knows no torch.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 16  # channels looked at together: often nobody fires there
SUMS = {"reassoc", "nsz", "contract"}  # in any order, but infinities and NaN stay what they are


@njit(cache=True, nogil=True, fastmath=SUMS)
def silent(block):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether the first `BLOCK` of `block` are nothing but 0."""
    total = block.dtype.type(0)
    for c in range(BLOCK):  # a number that the compiler knows: vector code without a rest
        total += abs(block[c])
    return total == 0


@njit(cache=True, nogil=True)
def list_active(maps, starts, places, values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Where maps [P,C] are not 0: `places` p·C + c in order, their `values`; those of pixel p begin at starts[p].

    starts [P + 1]; places and values have room for P·C + 1. Gives how many there are.
    """
    count, channels = 0, maps.shape[1]
    whole = channels // BLOCK * BLOCK
    for p in range(len(maps)):
        row, before = maps[p], p * channels
        starts[p] = count
        for first in range(0, whole, BLOCK):
            block = row[first : first + BLOCK]
            if not silent(block):
                for c in range(BLOCK):  # no branch: it would be guessed wrongly too often
                    places[count], values[count] = before + first + c, block[c]
                    count += block[c] != 0
        for c in range(whole, channels):
            places[count], values[count] = before + c, row[c]
            count += row[c] != 0
    starts[len(maps)] = count
    return count


@njit(cache=True, nogil=True)
def start_from(bias, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """As `out[:] = bias`, which takes ten times as long for so few."""
    for o in range(len(out)):
        out[o] = bias[o]


@njit(cache=True, nogil=True, fastmath=SUMS)
def add_rows(weights, picked, values, count, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Adds values[i] · weights[picked[i]] for all i below `count` to out [O]; eight at once, so that `out` is read and
    written an eighth as often.
    """
    i = 0
    while i + 8 <= count:
        w0, w1, w2, w3 = weights[picked[i]], weights[picked[i + 1]], weights[picked[i + 2]], weights[picked[i + 3]]
        w4, w5, w6, w7 = weights[picked[i + 4]], weights[picked[i + 5]], weights[picked[i + 6]], weights[picked[i + 7]]
        x0, x1, x2, x3 = values[i], values[i + 1], values[i + 2], values[i + 3]
        x4, x5, x6, x7 = values[i + 4], values[i + 5], values[i + 6], values[i + 7]
        for o in range(len(out)):
            first = (x0 * w0[o] + x1 * w1[o]) + (x2 * w2[o] + x3 * w3[o])
            out[o] += first + ((x4 * w4[o] + x5 * w5[o]) + (x6 * w6[o] + x7 * w7[o]))
        i += 8
    while i < count:
        w, x = weights[picked[i]], values[i]
        for o in range(len(out)):
            out[o] += x * w[o]
        i += 1


@njit(cache=True, nogil=True)
def multiply(places, values, count, weights, bias, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """out [O] = bias + the sum of active rows of weights [P·C,O]: a full layer."""
    start_from(bias, out)
    add_rows(weights, places, values, count, out)


@njit(cache=True, nogil=True)
def convolve(starts, places, values, shape, weights, bias, geometry, out, out_shape, picked, strengths):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """out [P',O] = convolution of the active inputs of maps of `shape` (H,W), with a border of one zero.

    `weights` [k·k·C,O], rows in the order (down, right, channel); `geometry` is (k, stride), `out_shape` (H',W');
    `picked` and `strengths` [k·k·C] is where the rows of one output are collected.
    """
    (size, stride), (height, width) = geometry, shape
    channels = len(weights) // (size * size)
    for i in range(out_shape[0]):
        for j in range(out_shape[1]):
            count, left = 0, j * stride - 1
            first, last = max(0, left), min(width, left + size)
            for y in range(max(0, i * stride - 1), min(height, i * stride - 1 + size)):
                down = y - i * stride + 1
                if starts[y * width + first] == starts[y * width + last]:
                    continue
                for x in range(first, last):
                    pixel = y * width + x
                    row = (down * size + x - left) * channels - pixel * channels
                    for k in range(starts[pixel], starts[pixel + 1]):
                        picked[count], strengths[count] = places[k] + row, values[k]
                        count += 1
            summed = out[i * out_shape[1] + j]
            start_from(bias, summed)
            add_rows(weights, picked, strengths, count, summed)


@njit(cache=True, nogil=True)
def largest_of_windows(maps, shape, window, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """out [P',C]: the maximum of every window x window pixels of maps [P,C] of `shape` (H,W); a rest is dropped."""
    wide = shape[1] // window
    for p in range(len(out)):
        corner = (p // wide) * window * shape[1] + (p % wide) * window
        out[p] = maps[corner]
        for down in range(window):
            for right in range(window):
                other = maps[corner + down * shape[1] + right]
                for c in range(out.shape[1]):
                    out[p, c] = max(out[p, c], other[c])


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "nnan", "contract"})
def statistics(maps, by_channel, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """found [2] = mean and maximum of maps [P,C]; `by_channel` [2,C] is worked in."""
    total, largest = by_channel[0], by_channel[1]
    for c in range(len(total)):
        total[c], largest[c] = 0.0, -np.inf
    for p in range(len(maps)):
        row = maps[p]
        for c in range(len(row)):
            total[c] += row[c]
            largest[c] = max(largest[c], row[c])
    found[0], found[1] = total.sum() / maps.size, largest.max()


@njit(cache=True, nogil=True)
def recent_score(found, means, maxima, w0, w1):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Moves the last steps' statistics, means and maxima [n,1], on by one in place, `found` [2] being the present one's;
    gives w1 (relu(w0 means) + relu(w0 maxima)), w0 [h,n], w1 [1,h].
    """
    zero, total, last = found.dtype.type(0), found.dtype.type(0), len(means) - 1
    for k in range(last):
        means[k, 0], maxima[k, 0] = means[k + 1, 0], maxima[k + 1, 0]
    means[last, 0], maxima[last, 0] = found[0], found[1]
    for h in range(len(w0)):
        by_mean, by_max = zero, zero
        for k in range(len(means)):
            by_mean += w0[h, k] * means[k, 0]
            by_max += w0[h, k] * maxima[k, 0]
        total += w1[0, h] * (max(by_mean, zero) + max(by_max, zero))
    return total


@njit(cache=True, nogil=True)
def fire(current, v, spikes, constants, factor, rectified):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """One step of neurons whose membrane nobody weighs: `v` [P,C] goes on in place by factor · current [P,C], into spikes
    [P,C]. `constants` as in `cpu_loops`.
    """
    keep, gain, bias, edge, _, slope, offset = constants
    zero, one = v.dtype.type(0), v.dtype.type(1)
    for p in range(len(v)):
        x, membrane, fired = current[p], v[p], spikes[p]
        for c in range(len(membrane)):
            weighed = x[c] * factor
            weighed = max(weighed, zero) if rectified else weighed
            u = keep * membrane[c] + gain * weighed + bias
            fires = u > edge
            fired[c] = one if fires else zero
            membrane[c] = slope * u + offset if fires else u
