"""The filters' inner loops again, by whole columns in numpy: what `kernels` must equal, and its stand-in where numba
cannot compile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Columns = tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.bool_]]


def supported(columns: Columns, padded: NDArray[np.int64], support_us: int) -> Columns:
    """Of every neighbour's events, in order of pixel and then of arrival, the last one before an event is searched."""
    t, x, y, _ = columns
    n, width = len(t), padded.shape[1]
    pixel = (y.astype(np.int64) + 1) * width + x + 1
    order = np.argsort(pixel, kind="stable")
    arrivals = pixel[order] * n + order
    latest = np.full(n, np.iinfo(np.int64).min)
    for step in (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1):
        neighbour = pixel + step
        found = np.searchsorted(arrivals, neighbour * n + np.arange(n)) - 1
        event = order[np.maximum(found, 0)] if n else order
        fired = (found >= 0) & (pixel[event] == neighbour)
        latest = np.maximum(latest, np.where(fired, t[event], padded.reshape(-1)[neighbour]))
    padded.reshape(-1)[pixel[order]] = t[order]  # of several events of a pixel the last one stays
    return only(columns, latest >= t - support_us)


def inside(columns: Columns, left: int, top: int, width: int, height: int) -> Columns:
    """The box's corner becomes (0, 0)."""
    t, x, y, p = columns
    column, row = x.astype(np.int32) - left, y.astype(np.int32) - top
    keep = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return t[keep], column[keep].astype(np.uint16), row[keep].astype(np.uint16), p[keep]


def sparing(columns: Columns, pixels: NDArray[np.bool_]) -> Columns:
    """By the pixel of every event."""
    return only(columns, ~pixels[columns[2], columns[1]])


def only(columns: Columns, keep: NDArray[np.bool_]) -> Columns:
    """The events of a mask."""
    t, x, y, p = columns
    return t[keep], x[keep], y[keep], p[keep]


def count(x: NDArray[np.uint16], y: NDArray[np.uint16], counts: NDArray[np.int64]) -> None:
    """Adds in place."""
    counts += np.bincount(y.astype(np.int64) * counts.shape[1] + x, minlength=counts.size).reshape(counts.shape)


def middle(padded: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of eight ordered values the fourth and the fifth, added."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    around = [padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    ordered = np.sort(np.stack(around), axis=0)
    return ordered[3] + ordered[4]
