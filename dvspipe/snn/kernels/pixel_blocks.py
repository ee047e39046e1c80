"""Some pixels of one sample at a time, for compiled passes over [T,B,H·W,C]: which they are, and factors laid out for them.

A factor of every channel, or of every pixel, becomes as long as the memory it multiplies, so that inner loops run over
neighbours and the compiler makes vector code of them. Knows no formula and no torch.
"""

from __future__ import annotations

from numba import njit

from dvspipe.snn.kernels.cpu_loops import widen

BLOCK = 2048  # neurons per pass over time: what is kept of them stays in the first-level cache


@njit(cache=True, nogil=True)
def reach(unit, parts, pixels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """(sample, first pixel, last pixel + 1) of a unit."""
    sample, part = unit // parts, unit % parts
    return sample, part * pixels // parts, (part + 1) * pixels // parts


@njit(cache=True, nogil=True)
def lay_rows(row, laid):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """laid [p·C] = row [C] for every pixel: by copies of what is there, each twice as long as the one before."""
    filled = len(row)
    for c in range(filled):
        laid[c] = row[c]
    while filled < len(laid):
        more = min(filled, len(laid) - filled)
        source, target = laid[:more], laid[filled : filled + more]
        for j in range(len(source)):
            target[j] = source[j]
        filled += more


@njit(cache=True, nogil=True)
def lay_pixels(values, laid):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """laid [p·C] = values [p], each for all its channels."""
    channels = len(laid) // len(values)
    for p in range(len(values)):
        value = values[p]
        for j in range(p * channels, (p + 1) * channels):
            laid[j] = value


@njit(cache=True, nogil=True)
def fold(laid, total):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """total [C] += the sum over pixels of laid [p·C], which is used up."""
    channels = len(total)
    count = len(laid) // channels
    while count > 1:
        left = (count + 1) // 2
        lower, upper = laid[: (count - left) * channels], laid[left * channels : count * channels]
        for j in range(len(lower)):
            lower[j] += upper[j]
        count = left
    for c in range(channels):
        total[c] += laid[c]


@njit(cache=True, nogil=True)
def times(x, weights, product):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """product [n] = x·weights."""
    for j in range(len(x)):
        product[j] = widen(x[j]) * weights[j]
