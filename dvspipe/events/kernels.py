"""The inner loops of the filters, compiled by numba: each reads the columns once and writes those it keeps.

Every function has a twin of the same name in `reference`, whose result is the same bit for bit. Knows no `Events`.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def supported(columns, padded, support_us):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Columns of the events of which a neighbouring pixel fired in the `support_us` before; `padded` int64 [H+2,W+2], every
    pixel's last time within a border that never fires, is brought up to date.
    """
    t, x, y, p = columns
    kept_t, kept_x, kept_y, kept_p = empty(columns)
    last, width, n = padded.reshape(-1), np.uint64(padded.shape[1]), np.uint64(0)
    one, two = np.uint64(1), np.uint64(2)  # unsigned: numba need not test an index for being negative
    for i in range(len(t)):
        above = np.uint64(y[i]) * width + np.uint64(x[i])
        here, below = above + width, above + width + width
        latest = max(max(last[above], last[above + one]), max(last[above + two], last[here]))
        latest = max(latest, max(last[here + two], max(max(last[below], last[below + one]), last[below + two])))
        last[here + one] = t[i]
        kept_t[n], kept_x[n], kept_y[n], kept_p[n] = t[i], x[i], y[i], p[i]
        n += np.uint64(latest >= t[i] - support_us)  # no branch: the next one is written over what is not kept
    return kept_t[:n], kept_x[:n], kept_y[:n], kept_p[:n]


@njit(cache=True, nogil=True)
def inside(columns, left, top, width, height):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Columns of the events inside the box, its corner becoming (0, 0)."""
    t, x, y, p = columns
    kept_t, kept_x, kept_y, kept_p = empty(columns)
    n, corner = np.uint64(0), (np.uint16(left), np.uint16(top))
    for i in range(len(t)):
        column, row = np.uint16(x[i] - corner[0]), np.uint16(y[i] - corner[1])
        kept_t[n], kept_x[n], kept_y[n], kept_p[n] = t[i], column, row, p[i]
        n += np.uint64((column < width) & (row < height))
    return kept_t[:n], kept_x[:n], kept_y[:n], kept_p[:n]


@njit(cache=True, nogil=True)
def sparing(columns, pixels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Columns of the events whose pixel is False in `pixels` [H,W]."""
    t, x, y, p = columns
    kept_t, kept_x, kept_y, kept_p = empty(columns)
    n, flat, width = np.uint64(0), pixels.reshape(-1), np.uint64(pixels.shape[1])
    for i in range(len(t)):
        kept_t[n], kept_x[n], kept_y[n], kept_p[n] = t[i], x[i], y[i], p[i]
        n += np.uint64(not flat[np.uint64(y[i]) * width + np.uint64(x[i])])
    return kept_t[:n], kept_x[:n], kept_y[:n], kept_p[:n]


@njit(cache=True, nogil=True)
def empty(columns):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Room for all that could be kept."""
    t, x, y, p = columns
    return np.empty_like(t), np.empty_like(x), np.empty_like(y), np.empty_like(p)


@njit(cache=True, nogil=True)
def count(x, y, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Adds the events to `counts` int64 [H,W]."""
    flat, width = counts.reshape(-1), np.uint64(counts.shape[1])
    for i in range(len(x)):
        flat[np.uint64(y[i]) * width + np.uint64(x[i])] += 1


@njit(cache=True, nogil=True)
def middle(padded):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Twice the median of every pixel's eight neighbours, int64 [H,W], from counts within a border [H+2,W+2]."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    found, around = np.empty((height, width), np.int64), np.empty(8, np.int64)
    for row in range(height):
        for column in range(width):
            n = 0
            for at in range(9):
                if at != 4:
                    value, place = padded[row + at // 3, column + at % 3], n
                    while place > 0 and around[place - 1] > value:
                        around[place] = around[place - 1]
                        place -= 1
                    around[place] = value
                    n += 1
            found[row, column] = around[3] + around[4]
    return found
