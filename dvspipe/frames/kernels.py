"""The inner loop of binning, twice: numba, and numpy as its reference and its stand-in where numba cannot compile.

Both fill one block of frames and stop where the block is full or the clock jumps absurdly far. They know nothing
about chunks, blocks before or after this one, or reports; `binning` does.

A kernel takes the columns, the index of the first event to read, the block [R+1,2,H,W] of int32 whose row 0 is the
open bin, two tables from sensor coordinates to frame coordinates, and a `Clock`. It returns (next, closed, jumped):
the first event it did not read, how many rows it closed (row `closed` is the open bin now), and whether that event
lies beyond the allowed gap. Events not added are counted in `counts` int64 [4], at BEFORE, LATE and TAIL; those added
at ADDED.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

ADDED, BEFORE, LATE, TAIL = range(4)


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
Tables = tuple[NDArray[np.int32], NDArray[np.int32]]
Kernel = Callable[[Columns, int, NDArray[np.int32], Tables, Clock, NDArray[np.int64]], tuple[int, int, bool]]


@njit(cache=True, nogil=True)
def bin_numba(columns, first, block, tables, clock, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """One pass without a division: nearly every event lies in the open bin, so two comparisons place it."""
    t, x, y, p = columns
    column, row = tables
    last, cells = block.shape[0] - 1, block.reshape(-1)
    width, plane = np.uint64(block.shape[3]), np.uint64(block.shape[2] * block.shape[3])
    closed, low, high, length = 0, clock.low, clock.low + clock.bin, np.uint64(clock.bin)
    before, late, tail = 0, 0, 0
    jumped, i, end = False, first, len(t)
    while i < end:
        # The hot loop. Unsigned: one comparison tells low <= t < high, and numba need not test indices for being
        # negative.
        base, start = np.uint64(2 * closed) * plane, np.uint64(low)
        while i < end and np.uint64(t[i]) - start < length:
            cells[base + np.uint64(p[i]) * plane + np.uint64(row[y[i]]) * width + np.uint64(column[x[i]])] += 1
            i += 1
        if i == end:
            break
        now = t[i]
        if now < low:
            before += now < clock.t0
            late += now >= clock.t0
            i += 1
        elif now >= clock.stop:
            tail += 1
            i += 1
        elif now >= high + clock.gap:
            jumped = True
            break
        elif closed == last:
            break
        else:
            steps = min((now - low) // clock.bin, last - closed)
            closed += steps
            low += steps * clock.bin
            high = low + clock.bin
    counts[ADDED] += i - first - before - late - tail
    counts[BEFORE] += before
    counts[LATE] += late
    counts[TAIL] += tail
    return i, closed, jumped


def bin_numpy(
    columns: Columns, first: int, block: NDArray[np.int32], tables: Tables, clock: Clock, counts: NDArray[np.int64]
) -> tuple[int, int, bool]:
    """The same by whole columns: the open bin of every event is a running maximum over the events before it."""
    t, x, y, p = (column[first:] for column in columns)
    last = len(block) - 1
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
    added = inside[used] & (index[used] >= before[used])
    at = index[used][added], p[used][added].astype(np.intp), tables[1][y[used][added]], tables[0][x[used][added]]
    np.add.at(block, at, 1)
    counts[ADDED] += added.sum()
    counts[BEFORE] += (t[used] < clock.t0).sum()
    counts[LATE] += (inside[used] & ~added).sum()
    counts[TAIL] += (t[used] >= clock.stop).sum()
    if full < jump:
        return first + full, last, False
    return first + stop, int(before[jump] if jump < len(t) else opened[-1]), jump < len(t)
