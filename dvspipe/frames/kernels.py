"""The inner loop of binning, twice: numba, and numpy as its reference and its stand-in where numba cannot compile.

Both fill one block of frames and stop where the block is full or the clock jumps absurdly far. They know nothing
about chunks, blocks before or after this one, or reports; `binning` does.

A kernel takes the columns, the index of the first event to read, the block [R+1,2,H,W] of int32 whose row 0 is the
open bin and whose other rows hold anything, the `Axis` of columns and of rows, and a `Clock`. It returns (next, closed,
jumped): the first event it did not read, how many rows it closed (row `closed` is the open bin now, those behind it
still hold anything), and whether that event lies beyond the allowed gap. Every event read is counted in `counts`
int64 [5], at ADDED, BEFORE, LATE, TAIL or CROPPED.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvspipe.frames.axes import SHIFT, Axis

ADDED, BEFORE, LATE, TAIL, CROPPED = range(5)
STRETCH = 256  # events whose cells are found before any is added: 1 kB, and few of them reach into the next bin
OUTSIDE = np.uint32(2**32 - 1)


class Clock(NamedTuple):
    """`t0` where bin 0 begins, `low` where the open bin begins, `bin` its length, `stop` where the window ends, `gap`
    how far beyond the open bin's end an event may lie; all in µs.
    """

    t0: int
    low: int
    bin: int
    stop: int
    gap: int


Columns = tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.bool_]]
Axes = tuple[Axis, Axis]
Kernel = Callable[[Columns, int, NDArray[np.int32], Axes, Clock, NDArray[np.int64]], tuple[int, int, bool]]


@njit(cache=True, nogil=True)
def bin_numba(columns, first, block, axes, clock, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """One pass, a stretch of events at a time: nearly always all of them lie in the open bin and are added without
    looking at each. Where they do not, those of the stretch are taken one by one.

    A frame is emptied when its bin opens, not before, so that it is still in the cache when events are added.
    """
    t = columns[0]
    last, end = block.shape[0] - 1, len(t)
    cells = np.empty(STRETCH, np.uint32)
    closed, low, i, jumped, full = 0, clock.low, first, False, False
    before, late, tail, cropped = 0, 0, 0, 0
    while i < end and not jumped and not full:
        begin, stop = i, min(i + STRETCH, end)
        timely, inside = locate(columns, begin, stop, low, clock.bin, axes, block.shape, cells)
        frame = block[closed].reshape(-1)
        if timely and inside:
            for j in range(stop - begin):
                frame[np.uint64(cells[j])] += 1
            i = stop
        while i < stop:
            now, cell = t[i], cells[i - begin]
            if now < low:
                before += now < clock.t0
                late += now >= clock.t0
            elif now >= clock.stop:
                tail += 1
            elif now >= low + clock.bin:
                jumped, full = now >= low + clock.bin + clock.gap, closed == last
                if jumped or full:
                    break
                steps = min((now - low) // clock.bin, last - closed)
                block[closed + 1 : closed + steps + 1] = 0
                closed += steps
                low += steps * clock.bin
                frame = block[closed].reshape(-1)
                continue  # the same event, whose bin may be open now
            elif cell == OUTSIDE:
                cropped += 1
            else:
                frame[np.uint64(cell)] += 1
            i += 1
    counts[ADDED] += i - first - before - late - tail - cropped
    counts[BEFORE] += before
    counts[LATE] += late
    counts[TAIL] += tail
    counts[CROPPED] += cropped
    return i, closed, jumped


@njit(cache=True, nogil=True)
def locate(columns, first, stop, low, length, axes, shape, cells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Writes the cell of every event first..stop-1 in a frame, OUTSIDE if cropped; returns whether all of them lie in
    low <= t < low + length, and whether none is cropped. One loop over all columns that becomes vector instructions.

    Unsigned: one comparison tells both limits of time, and of place, and numba need not test indices for being negative.
    """
    t, x, y, p = columns[0][first:stop], columns[1][first:stop], columns[2][first:stop], columns[3][first:stop]
    column, row = axes
    left, across, x_scale = np.uint64(column.first), np.uint64(column.span), np.uint64(column.scale)
    top, down, y_scale = np.uint64(row.first), np.uint64(row.span), np.uint64(row.scale)
    plane, width, shift = np.uint64(shape[2] * shape[3]), np.uint64(shape[3]), np.uint64(SHIFT)
    start, limit = np.uint64(low), np.uint64(length)
    elsewhen: Any = False
    elsewhere: Any = False
    for j in range(len(t)):
        c, r = np.uint64(x[j]) - left, np.uint64(y[j]) - top
        outside = (c >= across) | (r >= down)
        elsewhere |= outside
        elsewhen |= np.uint64(t[j]) - start >= limit
        cell = np.uint64(p[j]) * plane + ((r * y_scale) >> shift) * width + ((c * x_scale) >> shift)
        cells[j] = OUTSIDE if outside else np.uint32(cell)
    return not elsewhen, not elsewhere


def bin_numpy(
    columns: Columns, first: int, block: NDArray[np.int32], axes: Axes, clock: Clock, counts: NDArray[np.int64]
) -> tuple[int, int, bool]:
    """The same by whole columns: the open bin of every event is a running maximum over the events before it."""
    t, x, y, p = columns[0][first:], columns[1][first:], columns[2][first:], columns[3][first:]
    last = len(block) - 1
    block[1:] = 0
    inside = (t >= clock.t0) & (t < clock.stop)
    # An event outside the window moves no bin, one beyond every allowed gap is as good as one just beyond it (no
    # overflow).
    beyond = clock.low + clock.gap + (last + 2) * clock.bin
    index = (np.minimum(np.where(inside, t, clock.low), beyond) - clock.low) // clock.bin
    opened = np.maximum.accumulate(np.maximum(index, 0))
    before = np.concatenate([[0], opened[:-1]])
    jumps = np.flatnonzero(index - before > clock.gap // clock.bin)
    fulls = np.flatnonzero(opened > last)
    jump, full = (int(found[0]) if len(found) else len(t) for found in (jumps, fulls))
    stop = min(jump, full)
    used = slice(0, stop)
    timely = inside[used] & (index[used] >= before[used])
    (columns_of, across), (rows_of, down) = (_along(axis, place[used]) for axis, place in zip(axes, (x, y)))
    added = timely & across & down
    np.add.at(block, (index[used][added], p[used][added].astype(np.intp), rows_of[added], columns_of[added]), 1)
    counts[ADDED] += added.sum()
    counts[BEFORE] += (t[used] < clock.t0).sum()
    counts[LATE] += (inside[used] & ~timely).sum()
    counts[TAIL] += (t[used] >= clock.stop).sum()
    counts[CROPPED] += (timely & ~added).sum()
    if full < jump:
        return first + full, last, False
    return first + stop, int(before[jump] if jump < len(t) else opened[-1]), jump < len(t)


def _along(axis: Axis, place: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Frame coordinates along one axis, and which of them there are."""
    kept = place.astype(np.int64) - axis.first
    return (kept * axis.scale) >> SHIFT, (kept >= 0) & (kept < axis.span)


def chosen() -> Kernel:
    """The compiled kernel, or numpy's, with a line in the log, where numba compiles nothing."""
    if not numba.config.DISABLE_JIT:
        return bin_numba  # type: ignore[no-any-return]
    logging.getLogger(__name__).warning("NUMBA_DISABLE_JIT is set: events are binned by numpy, ten times slower.")
    return bin_numpy
