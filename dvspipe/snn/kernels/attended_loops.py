"""The compiled arithmetic of neurons whose current attention re-weights (`attended.py`): passes over [T,B,H·W,C].

Channels are innermost. `scale` [T,B,C] are TA's and CA's factors together, `place` [B,P] SA's. A pass takes some pixels at
a time through all steps; both factors are laid out for those pixels first, so that every inner loop runs over neighbours
in memory and the compiler makes vector code of it. (Not of scratch that is unpacked rows of one array, nor of a loop over
many arrays at once: there it gives up on finding out whether they overlap.)

`unit` is one sample's part of the pixels, of which every sample has `parts`: what a thread works on, however many there
are. `least` is 0 behind a ReLU, otherwise below everything. `widen` and `narrow` let bfloat16 in as its 16 bits.
`constants` as in `cpu_loops`. Knows no torch.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dvspipe.snn.kernels.cpu_loops import narrow, through_neuron, widen
from dvspipe.snn.kernels.pixel_blocks import BLOCK, fold, lay_pixels, lay_rows, reach, times
from dvspipe.snn.kernels.prefetch import will_read, will_write


@njit(cache=True, nogil=True)
def plane_statistics(x, mean, largest, where, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Mean and maximum of each plane and the first pixel that is the maximum: x [T·B,P,C] -> three [T·B,C]."""
    for unit in range(start, stop):
        total, most, found = mean[unit], largest[unit], where[unit]
        total[:], most[:], found[:] = 0, -np.inf, 0
        for p in range(x.shape[1]):
            row = x[unit, p]
            for c in range(len(total)):
                value = widen(row[c])
                total[c] += value
                more = value > most[c]
                found[c] = p if more else found[c]
                most[c] = value if more else most[c]
        for c in range(len(total)):
            total[c] /= x.shape[1]


@njit(cache=True, nogil=True)
def gather(value, sums, most, when, t):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """One step's scaled current [n] goes into sums and maxima so far, and into when those were."""
    for j in range(len(value)):
        here, before = (
            value[j],
            most[j],
        )  # read before anything is written, which might overlap for all the compiler knows
        sums[j] += here
        when[j] = t if here > before else when[j]
        most[j] = max(here, before)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "nnan", "ninf"})
def over_channels(sums, most, when):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Sum and maximum over the channels of a pixel, and the first t·C + c that is the maximum."""
    total, best, found = sums.dtype.type(0), most[0], -1
    for c in range(len(sums)):
        total += sums[c]
    for c in range(len(most)):
        best = most[c] if most[c] > best else best
    for c in range(len(most)):
        if most[c] == best:  # seldom
            key = when[c] * len(most) + c
            found = key if found < 0 or key < found else found
    return total, best, found


@njit(cache=True, nogil=True)
def pixel_statistics(x, scale, mean, largest, where, parts, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Mean and maximum [B,P] of the scaled current over T and C at every pixel, and which t·C + c is the first maximum."""
    steps, channels = len(x), x.shape[3]
    block = max(1, BLOCK // channels)
    room = block * channels
    laid, sums, most = np.empty(room, scale.dtype), np.empty(room, scale.dtype), np.empty(room, scale.dtype)
    when = np.empty(room, np.int32)
    for unit in range(start, stop):
        b, begin, end = reach(unit, parts, x.shape[2])
        for first in range(begin, end, block):
            last = min(first + block, end)
            n = (last - first) * channels
            sums[:], most[:], when[:] = 0, -np.inf, 0
            for t in range(steps):
                will_read(x[min(t + 1, steps - 1), b, first:last].reshape(n))
                lay_rows(scale[t, b], laid[:n])
                times(x[t, b, first:last].reshape(n), laid[:n], laid[:n])
                gather(laid[:n], sums[:n], most[:n], when[:n], t)
            for p in range(first, last):
                at, to = (p - first) * channels, (p - first + 1) * channels
                total, best, found = over_channels(sums[at:to], most[at:to], when[at:to])
                mean[b, p], largest[b, p], where[b, p] = total / (steps * channels), best, found


@njit(cache=True, nogil=True)
def fire(x, scale, place, membrane, fired, least, constants, one):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """One step of n neurons: weighed, not below `least`, then as `cpu_loops.forward`."""
    keep, gain, bias, edge, _, slope, offset = constants
    zero = one - one
    for j in range(len(x)):
        u = keep * membrane[j] + gain * max(widen(x[j]) * scale[j] * place[j], least) + bias
        fires = u > edge
        fired[j] = one if fires else zero
        membrane[j] = slope * u + offset if fires else u


@njit(cache=True, nogil=True)
def forward(x, scale, place, v, spikes, least, constants, one, parts, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """`v` [B,P,C] is advanced in place through x [T,B,P,C], into spikes [T,B,P,C]."""
    channels = x.shape[3]
    block = max(1, BLOCK // channels)
    room = block * channels
    factors, places = np.empty(room, v.dtype), np.empty(room, v.dtype)
    for unit in range(start, stop):
        b, begin, end = reach(unit, parts, x.shape[2])
        for first in range(begin, end, block):
            last = min(first + block, end)
            n = (last - first) * channels
            lay_pixels(place[b, first:last], places[:n])
            membrane = v[b, first:last].reshape(n)
            for t in range(len(x)):
                lay_rows(scale[t, b], factors[:n])
                after = min(t + 1, len(x) - 1)
                will_read(x[after, b, first:last].reshape(n))
                will_write(spikes[after, b, first:last].reshape(n))
                current, fired = x[t, b, first:last].reshape(n), spikes[t, b, first:last].reshape(n)
                fire(current, factors[:n], places[:n], membrane, fired, least, constants, one)


@njit(cache=True, nogil=True)
def integrate(x, scale, place, before, u, least, constants):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """u [n] = the potential at one step, by the same arithmetic as `fire`; `before` [n] goes on to the next."""
    keep, gain, bias, edge, _, slope, offset = constants
    for j in range(len(x)):
        u[j] = keep * before[j] + gain * max(widen(x[j]) * scale[j] * place[j], least) + bias
        before[j] = slope * u[j] + offset if u[j] > edge else u[j]


@njit(cache=True, nogil=True)
def through_weights(x, scale, place, g, grad_x, gain, least):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """From g [n] = dL/du to the current's gradient; g becomes what the product of both factors is told."""
    none = gain - gain
    for j in range(len(g)):
        value = widen(x[j])
        grad = gain * g[j] if value > least else none
        grad_x[j] = narrow(grad * scale[j] * place[j], grad_x[j])
        g[j] = grad * value


@njit(cache=True, nogil=True)
def through_factors(g, scale, place, by_scale, by_place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """From `through_weights` to both factors [n]: by_scale of this step alone, by_place of all steps so far."""
    for j in range(len(g)):
        by_scale[j] = g[j] * place[j]
        by_place[j] += g[j] * scale[j]


@njit(cache=True, nogil=True)
def backward(grad_spikes, x, factors, v0, grad_v, grads, least, settings, parts, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Back through neurons and factors (scale, place). `grad_v` [B,P,C] is taken in place from the last v back to the first;
    `grads` are those of x [T,B,P,C], of scale in parts [parts,T,B,C], which start at 0, and of place [B,P].
    """
    scale, place = factors
    constants, surrogate = settings
    grad_x, grad_scale, grad_place = grads
    steps, channels = len(x), x.shape[3]
    block = max(1, BLOCK // channels)
    room = block * channels
    u, laid = np.empty((steps, room), v0.dtype), np.empty((steps, room), v0.dtype)
    places, before = np.empty(room, v0.dtype), np.empty(room, v0.dtype)
    by_scale, by_place = np.empty(room, v0.dtype), np.empty(room, v0.dtype)
    for unit in range(start, stop):
        b, begin, end = reach(unit, parts, x.shape[2])
        for first in range(begin, end, block):
            last = min(first + block, end)
            n = (last - first) * channels
            lay_pixels(place[b, first:last], places[:n])
            before[:n], by_place[:] = v0[b, first:last].reshape(n), 0
            for t in range(steps):
                lay_rows(scale[t, b], laid[t, :n])
                will_read(x[min(t + 1, steps - 1), b, first:last].reshape(n))
                current = x[t, b, first:last].reshape(n)
                integrate(current, laid[t, :n], places[:n], before[:n], u[t, :n], least, constants)
            carried = grad_v[b, first:last].reshape(n)
            for t in range(steps - 1, -1, -1):
                current, grad_current = x[t, b, first:last].reshape(n), grad_x[t, b, first:last].reshape(n)
                will_read(grad_spikes[max(t - 1, 0), b, first:last].reshape(n))
                will_write(grad_x[max(t - 1, 0), b, first:last].reshape(n))
                g, spikes = u[t, :n], grad_spikes[t, b, first:last].reshape(n)
                through_neuron(spikes, g, carried, constants[0], constants, surrogate)
                through_weights(current, laid[t, :n], places[:n], g, grad_current, constants[1], least)
                through_factors(g, laid[t, :n], places[:n], by_scale[:n], by_place[:n])
                fold(by_scale[:n], grad_scale[unit % parts, t, b])
            for p in range(first, last):
                grad_place[b, p] = by_place[(p - first) * channels : (p - first + 1) * channels].sum()


@njit(cache=True, nogil=True)
def through_pixel_statistics(x, where, grad_mean, grad_largest, grad_scale, parts, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """What mean and maximum of every pixel [B,P] say to `scale`: adds to its parts [parts,T,B,C]. `grad_mean` is already
    divided by what it is a mean of.
    """
    channels = x.shape[3]
    block = max(1, BLOCK // channels)
    room = block * channels
    weights, by_scale = np.empty(room, grad_scale.dtype), np.empty(room, grad_scale.dtype)
    for unit in range(start, stop):
        b, begin, end = reach(unit, parts, x.shape[2])
        part = grad_scale[unit % parts]
        for first in range(begin, end, block):
            last = min(first + block, end)
            n = (last - first) * channels
            lay_pixels(grad_mean[b, first:last], weights[:n])
            for t in range(len(x)):
                will_read(x[min(t + 1, len(x) - 1), b, first:last].reshape(n))
                times(x[t, b, first:last].reshape(n), weights[:n], by_scale[:n])
                fold(by_scale[:n], part[t, b])
        for p in range(begin, end):
            t, c = where[b, p] // channels, where[b, p] % channels
            part[t, b, c] += grad_largest[b, p] * widen(x[t, b, p, c])


@njit(cache=True, nogil=True)
def through_statistics(grad_x, scale, by_pixel, by_plane, where, parts, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Adds to grad_x [T,B,P,C] what comes through the means of pixels, `by_pixel` [B,P], and through the means of planes,
    `by_plane` [T,B,C], both already divided by what they are means of; then at each pixel's maximum.
    """
    by_mean, by_largest = by_pixel
    channels = grad_x.shape[3]
    block = max(1, BLOCK // channels)
    room = block * channels
    pixels, planes, factors = np.empty(room, scale.dtype), np.empty(room, scale.dtype), np.empty(room, scale.dtype)
    for unit in range(start, stop):
        b, begin, end = reach(unit, parts, grad_x.shape[2])
        for first in range(begin, end, block):
            last = min(first + block, end)
            n = (last - first) * channels
            lay_pixels(by_mean[b, first:last], pixels[:n])
            for t in range(len(grad_x)):
                will_write(grad_x[min(t + 1, len(grad_x) - 1), b, first:last].reshape(n))
                lay_rows(scale[t, b], factors[:n])
                lay_rows(by_plane[t, b], planes[:n])
                add(grad_x[t, b, first:last].reshape(n), factors[:n], pixels[:n], planes[:n])
        for p in range(begin, end):
            t, c = where[b, p] // channels, where[b, p] % channels
            value = widen(grad_x[t, b, p, c]) + by_largest[b, p] * scale[t, b, c]
            grad_x[t, b, p, c] = narrow(value, grad_x[t, b, p, c])


@njit(cache=True, nogil=True)
def add(grad_x, scale, pixels, planes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """grad_x [n] += scale·pixels + planes."""
    for j in range(len(grad_x)):
        grad_x[j] = narrow(widen(grad_x[j]) + scale[j] * pixels[j] + planes[j], grad_x[j])


@njit(cache=True, nogil=True)
def through_plane_maxima(grad_x, where, grad_largest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Adds to grad_x [T·B,P,C] at the one pixel that was each plane's maximum [T·B,C]."""
    for unit in range(len(where)):
        for c in range(where.shape[1]):
            p = where[unit, c]
            grad_x[unit, p, c] = narrow(widen(grad_x[unit, p, c]) + grad_largest[unit, c], grad_x[unit, p, c])
