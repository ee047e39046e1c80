"""The compiled arithmetic of neurons whose membrane attention re-weights at every step, for training: one sample at a time.

At every step z = keep·v + gain·x + bias; CA's factors from z, SA's from z times those; then the neuron fires from z times
both. What acts within a step is what `attended_loops` does for a clip of one step, of a neuron that keeps nothing and has z
as its current; this is what leads from step to step, and the two small networks that make the gates, there and back.
Back through a sample everything is computed again first. Shapes: P pixels, C channels, h hidden units, k the kernel's size.
Knows no torch.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from dvspipe.snn.kernels import attended_loops, gated_loops
from dvspipe.snn.kernels.cpu_loops import narrow, widen


@njit(cache=True, nogil=True)
def integrate(x, v, z, keep, gain, bias):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """z [n] = the potential before the gates."""
    for j in range(len(z)):
        z[j] = keep * v[j] + gain * widen(x[j]) + bias


@njit(cache=True, nogil=True)
def hidden_of(mean, largest, w0, hidden):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """hidden [2,h] = w0 [h,C] times the means and times the maxima [C], before the ReLU."""
    for h in range(len(w0)):
        by_mean, by_largest = w0.dtype.type(0), w0.dtype.type(0)
        for c in range(len(mean)):
            by_mean += w0[h, c] * mean[c]
            by_largest += w0[h, c] * largest[c]
        hidden[0, h], hidden[1, h] = by_mean, by_largest


@njit(cache=True, nogil=True)
def channel_gates(hidden, w1, factor, gates):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """gates [C] = factor · sigmoid(w1 [C,h] times the rectified `hidden`)."""
    for c in range(len(gates)):
        score = w1.dtype.type(0)
        for h in range(w1.shape[1]):
            score += w1[c, h] * (max(hidden[0, h], 0) + max(hidden[1, h], 0))
        gates[c] = factor / (1.0 + math.exp(-score))


@njit(cache=True, nogil=True)
def through_channel_gates(grad, gates, factor, stats, hidden, weights, grads):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """From the gates' gradient [C] to that of mean and maximum, which replace `stats` [2,C]; adds to those of w0 and w1."""
    (w0, w1), (grad_w0, grad_w1) = weights, grads
    by_hidden = np.zeros(len(w0), w0.dtype)
    for c in range(len(grad)):
        by_score = grad[c] * gates[c] * (1 - gates[c] / factor)
        for h in range(len(by_hidden)):
            grad_w1[c, h] += by_score * (max(hidden[0, h], 0) + max(hidden[1, h], 0))
            by_hidden[h] += by_score * w1[c, h]
    for c in range(len(grad)):
        mean, largest = stats[0, c], stats[1, c]
        by_mean, by_largest = w0.dtype.type(0), w0.dtype.type(0)
        for h in range(len(by_hidden)):
            of_mean = by_hidden[h] if hidden[0, h] > 0 else 0
            of_largest = by_hidden[h] if hidden[1, h] > 0 else 0
            grad_w0[h, c] += of_mean * mean + of_largest * largest
            by_mean += of_mean * w0[h, c]
            by_largest += of_largest * w0[h, c]
        stats[0, c], stats[1, c] = by_mean, by_largest


@njit(cache=True, nogil=True)
def bounds(shift, length):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Where a row of `length` and itself moved by `shift` overlap: first and last + 1."""
    return max(0, -shift), max(0, min(length, length - shift))


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def product(one, other):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Scalar product of two rows."""
    total = one.dtype.type(0)
    for j in range(len(one)):
        total += one[j] * other[j]
    return total


@njit(cache=True, nogil=True)
def through_place_gates(grad, gates, factor, planes, kernel, grad_kernel, grad_planes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """From the gates' gradient [H,W], which is used up, to `grad_planes` [2,H,W]; adds to `grad_kernel` [2,k,k]."""
    reach = kernel.shape[1] // 2
    grad_planes[:] = 0
    for i in range(grad.shape[0]):
        for j in range(grad.shape[1]):
            grad[i, j] *= gates[i, j] * (1 - gates[i, j] / factor)
    for plane in range(2):
        for down in range(kernel.shape[1]):
            top, bottom = bounds(down - reach, grad.shape[0])
            for right in range(kernel.shape[2]):
                first, last = bounds(right - reach, grad.shape[1])
                weight = kernel[plane, down, right]
                for i in range(top, bottom):
                    row = grad[i, first:last]
                    at, begin, end = i + down - reach, first + right - reach, last + right - reach
                    grad_kernel[plane, down, right] += product(row, planes[plane, at, begin:end])
                    target = grad_planes[plane, at, begin:end]
                    for j in range(len(row)):
                        target[j] += weight * row[j]


@njit(cache=True, nogil=True)
def steps(x, b, v, spikes, kept, shape, constants, weights, factor, least, one):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Sample `b` of x [T,B,P,C] through all its steps: `v` [P,C] in place, into spikes [T,B,P,C].

    `kept` (see `room`) receives what the way back needs of every step. It and the spikes may have room for one step, or
    one sample, alone: that is then the last.
    """
    keep, gain, bias, edge, v_th, slope, offset = constants
    w0, w1, kernel = weights
    zs, by_channel, hidden, plane, where, by_place, planes, which = kept
    _, _, padded, sums, _ = gated_loops.scratch_for(v, shape, kernel.shape[1])
    zero = keep - keep
    fires = (zero, zero + 1, zero, edge, v_th, slope, offset)
    pixels, channels = v.shape
    for t in range(len(x)):
        k = t % len(zs)
        z = zs[k]
        integrate(x[t, b].reshape(v.size), v.reshape(v.size), z.reshape(v.size), keep, gain, bias)
        as_clip, scale = z.reshape(1, 1, pixels, channels), by_channel[k].reshape(1, 1, channels)
        if len(w0):
            statistics = (plane[k, 0:1], plane[k, 1:2], where[k : k + 1])
            attended_loops.plane_statistics(z.reshape(1, pixels, channels), *statistics, 0, 1)
            hidden_of(plane[k, 0], plane[k, 1], w0, hidden[k])
            channel_gates(hidden[k], w1, factor, by_channel[k])
        if len(kernel):
            mean, largest = planes[k, 0:1], planes[k, 1:2]
            attended_loops.pixel_statistics(as_clip, scale, mean, largest, which[k : k + 1], 1, 0, 1)
            gated_loops.place_gates(
                planes[k].reshape(2, *shape), kernel, factor, padded, sums, by_place[k].reshape(shape)
            )
        out = spikes[t % len(spikes), b % spikes.shape[1]].reshape(1, 1, pixels, channels)
        place = by_place[k].reshape(1, pixels)
        attended_loops.forward(as_clip, scale, place, v.reshape(1, pixels, channels), out, least, fires, one, 1, 0, 1)


@njit(cache=True, nogil=True)
def room(count, v, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """What `count` steps of `v` [P,C] leave for the way back: z [n,P,C], CA's gates [n,C], its hidden units [n,2,h], mean and
    maximum of planes [n,2,C] and where that was; SA's gates [n,P], mean and maximum of pixels [n,2,P] and which it was.
    """
    pixels, channels = v.shape
    zs, by_channel = np.empty((count, pixels, channels), v.dtype), np.ones((count, channels), v.dtype)
    hidden, plane = np.empty((count, 2, len(weights[0])), v.dtype), np.empty((count, 2, channels), v.dtype)
    by_place, planes = np.ones((count, pixels), v.dtype), np.empty((count, 2, pixels), v.dtype)
    where, which = np.zeros((count, channels), np.int32), np.zeros((count, pixels), np.int32)
    return zs, by_channel, hidden, plane, where, by_place, planes, which


@njit(cache=True, nogil=True)
def forward(x, v, spikes, shape, constants, weights, factor, least, one, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Samples `start` to `stop` of x [T,B,P,C] through all steps; `shape` is (H,W) of the P pixels."""
    if start < stop:
        kept = room(1, v[0], weights)
        for b in range(start, stop):
            steps(x, b, v[b], spikes, kept, shape, constants, weights, factor, least, one)


@njit(cache=True, nogil=True)
def through_gates(z, kept, k, shape, weights, factor, grads, grad_z, by_scale, by_place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """From the gradients of both gates at one step, by_scale [1,1,1,C] and by_place [1,P], to what they add to `grad_z` [P,C]
    and to the weights' `grads`.
    """
    _, by_channel, hidden, plane, where, places, planes, which = kept
    w0, w1, kernel = weights
    pixels, channels = z.shape
    as_clip, scale = z.reshape(1, 1, pixels, channels), by_channel[k].reshape(1, 1, channels)
    by_pixel, by_plane = np.zeros((2, 1, pixels), z.dtype), np.zeros((1, 1, channels), z.dtype)
    if len(kernel):
        through_place_gates(
            by_place.reshape(shape),
            places[k].reshape(shape),
            factor,
            planes[k].reshape(2, *shape),
            kernel,
            grads[2],
            by_pixel.reshape(2, *shape),
        )
        by_pixel[0] /= channels
        attended_loops.through_pixel_statistics(as_clip, which[k : k + 1], by_pixel[0], by_pixel[1], by_scale, 1, 0, 1)
    if len(w0):
        through_channel_gates(
            by_scale[0, 0, 0], by_channel[k], factor, plane[k], hidden[k], (w0, w1), (grads[0], grads[1])
        )
        for c in range(channels):
            by_plane[0, 0, c] = plane[k, 0, c] / pixels
        attended_loops.through_plane_maxima(
            grad_z.reshape(1, pixels, channels), where[k : k + 1], plane[k, 1].reshape(1, channels)
        )
    both = (by_pixel[0], by_pixel[1])
    of_clip = grad_z.reshape(1, 1, pixels, channels)
    attended_loops.through_statistics(of_clip, scale, both, by_plane, which[k : k + 1], 1, 0, 1)


@njit(cache=True, nogil=True)
def hand_back(grad_z, grad_x, carried, keep, gain):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """From dL/dz [n] to the current's gradient and, in `carried`, to dL/dv before the step."""
    for j in range(len(grad_z)):
        grad_x[j] = narrow(gain * grad_z[j], grad_x[j])
        carried[j] = keep * grad_z[j]


@njit(cache=True, nogil=True)
def backward(grad_spikes, x, v0, grad_v, grad_x, grads, shape, settings, weights, factor, least, one, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Back through samples `start` to `stop`. `grad_v` [B,P,C] is taken in place from the last v back to the first; `grads`
    are those of the weights, every sample's by itself (first axis B), which start at 0.
    """
    constants, surrogate = settings
    keep, gain, _, edge, v_th, slope, offset = constants
    zero = keep - keep
    fires = ((zero, zero + 1, zero, edge, v_th, slope, offset), surrogate)
    pixels, channels = v0.shape[1:]
    if start < stop:
        kept, size = room(len(x), v0[0], weights), pixels * channels
        unused = np.empty((1, 1, pixels, channels), x.dtype)
        grad_z, rest = np.empty((1, 1, pixels, channels), v0.dtype), np.zeros((1, pixels, channels), v0.dtype)
        by_scale, by_place = np.empty((1, 1, 1, channels), v0.dtype), np.empty((1, pixels), v0.dtype)
    for b in range(start, stop):
        steps(x, b, v0[b].copy(), unused, kept, shape, constants, weights, factor, least, one)
        carried, own = grad_v[b : b + 1], (grads[0][b], grads[1][b], grads[2][b])
        for t in range(len(x) - 1, -1, -1):
            z = kept[0][t]
            factors = (kept[1][t].reshape(1, 1, channels), kept[5][t].reshape(1, pixels))
            by_scale[:] = 0
            attended_loops.backward(
                grad_spikes[t, b].reshape(1, 1, pixels, channels),
                z.reshape(1, 1, pixels, channels),
                factors,
                rest,
                carried,
                (grad_z, by_scale, by_place),
                least,
                fires,
                1,
                0,
                1,
            )
            through_gates(z, kept, t, shape, weights, factor, own, grad_z[0, 0], by_scale, by_place)
            hand_back(grad_z.reshape(size), grad_x[t, b].reshape(size), carried.reshape(size), keep, gain)
