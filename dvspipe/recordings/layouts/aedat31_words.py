"""The inner loop of the AEDAT 3.1 reader: 32-bit words to columns, over as many packets as a block holds.

Compiled by numba. It goes only through packets that look ordinary and stops before any other; judging those, and all
reading, is `formats/aedat31.py`'s work.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

HEADER_WORDS = 7
POLARITY = 1
LARGEST_EVENT = 1 << 24  # bytes; a frame of the largest DAVIS has 0.6 MB
LARGEST_OVERFLOW = 1 << 20  # Unix time in µs is 747,000 overflows of 31 bits
JUMP_US = 1_000_000

# Where the walk stands, carried from block to block: word, slots left to take, unfilled slots after those, words per
# event, word of its time, high part of time, whether it is a polarity packet, last time delivered, odd header met.
AT, LEFT, SPARE, STRIDE, STAMP, HIGH, IS_POLARITY, LAST_T, ODD = range(9)
# Events refused in one call: how many, the first one's word, output count before it, and whether it was outside.
REFUSED, FIRST_WORD, FIRST_COUNT, FIRST_OUTSIDE = range(4)


def new_walk() -> NDArray[np.int64]:
    """A walk that stands before a packet header at word 0 and has delivered nothing (LAST_T < 0)."""
    walk = np.zeros(9, np.int64)
    walk[LAST_T] = -1
    return walk


@njit(cache=True)
def plausible(words: NDArray[np.uint32], at: int) -> bool:
    """Whether the seven words from `at` can be a packet header: sizes whole words, counts in order, overflow sane."""
    kind = words[at] & 0xFFFF
    size, stamp, overflow = np.int32(words[at + 1]), np.int32(words[at + 2]), np.int32(words[at + 3])
    capacity, number, valid = np.int32(words[at + 4]), np.int32(words[at + 5]), np.int32(words[at + 6])
    if not (0 <= valid <= number <= capacity and 0 <= overflow < LARGEST_OVERFLOW and kind < 32):
        return False
    if (kind == POLARITY and size > 64) or (kind == 0 and size != 8) or (kind == 3 and size != 36):
        return False
    return bool(8 <= size <= LARGEST_EVENT and size % 4 == 0 and stamp % 4 == 0 and 4 <= stamp <= size - 4)


@njit(cache=True)
def enter(words: NDArray[np.uint32], at: int, walk: NDArray[np.int64]) -> None:
    """Takes the packet header at `at` into the walk, which then stands at the packet's first slot."""
    walk[IS_POLARITY] = (words[at] & 0xFFFF) == POLARITY
    walk[STRIDE] = words[at + 1] >> 2
    walk[STAMP] = words[at + 2] >> 2
    walk[HIGH] = np.int64(words[at + 3]) << 31
    walk[LEFT] = words[at + 5]
    walk[AT] = at + HEADER_WORDS


@njit(cache=True)
def decode(words, walk, refused, t, x, y, p, width, height):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Decodes `words` uint32 [M] from walk[AT] into the columns t, x, y, p [>= M / 2]; returns the number of events.

    Stops where the block ends or before a header that is not ordinary (walk[ODD] = 1). Invalid events are dropped as
    the format asks. Refused, that is dropped and counted: an event outside the sensor, one with negative time, and
    one that lies more than a second ahead of the next event while the one before it does not (a flipped bit of time,
    which would make every later event look late).
    """
    count = 0
    walk[ODD] = 0
    refused[:] = 0
    while True:
        if walk[LEFT] == 0 and walk[SPARE] > 0:
            walk[LEFT], walk[SPARE], walk[IS_POLARITY] = walk[SPARE], 0, 0
        if walk[LEFT] == 0:
            at = walk[AT]
            if at + HEADER_WORDS > len(words):
                break
            if not plausible(words, at) or words[at + 4] != words[at + 5]:
                walk[ODD] = 1
                break
            enter(words, at, walk)
        slots = min(walk[LEFT], (len(words) - walk[AT]) // walk[STRIDE])
        if walk[IS_POLARITY]:
            if slots > 0 and clean_slots(words, slots, walk, t[count:], x[count:], y[count:], p[count:], width, height):
                count += slots
            else:
                count = checked_slots(words, slots, walk, refused, t, x, y, p, width, height, count)
        walk[AT] += slots * walk[STRIDE]
        walk[LEFT] -= slots
        if walk[LEFT] > 0:
            break
    return count


@njit(cache=True)
def clean_slots(words, slots, walk, t, x, y, p, width, height):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Decodes slots at walk[AT] in a hurry and tells whether that was right: ordinary layout, all valid, inside the
    sensor, times in order. Almost always so; else what stands in the columns means nothing.

    Loops without a branch, which become vector instructions: asking before decoding costs five times as much.
    """
    if walk[STRIDE] != 2 or walk[STAMP] != 1:
        return False
    data, high = words[walk[AT] : walk[AT] + 2 * slots], walk[HIGH]
    last_column, last_row = np.uint32(width - 1), np.uint32(height - 1)
    bad = data[2 * slots - 1] >> np.uint32(31)  # times are signed: the last of ordered ones tells for all
    for slot in range(slots):
        word, time = data[2 * slot], data[2 * slot + 1]
        column, row = word >> np.uint32(17), (word >> np.uint32(2)) & np.uint32(0x7FFF)
        bad |= (~word & np.uint32(1)) | np.uint32(column > last_column) | np.uint32(row > last_row)
        t[slot], x[slot], y[slot], p[slot] = high + np.int64(time), column, row, (word & np.uint32(2)) != 0
    for slot in range(slots - 1):
        bad |= np.uint32(t[slot] > t[slot + 1])
    if bad == 0:
        walk[LAST_T] = t[slots - 1]
    return bad == 0


@njit(cache=True)
def checked_slots(words, slots, walk, refused, t, x, y, p, width, height, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Decodes slots at walk[AT] one by one, leaving out what is invalid or refused; returns the new event count."""
    at, stride, stamp, high, last_t = walk[AT], walk[STRIDE], walk[STAMP], walk[HIGH], walk[LAST_T]
    for slot in range(slots):
        word = words[at]
        time = high + np.int64(np.int32(words[at + stamp]))
        column, row = word >> np.uint32(17), (word >> np.uint32(2)) & np.uint32(0x7FFF)
        good = column < width and row < height and time >= high
        if last_t + JUMP_US < time and slot + 1 < slots:
            following = high + np.int64(np.int32(words[at + stride + stamp]))
            good &= not (following >= last_t and time - following > JUMP_US)
        if word & np.uint32(1):
            if good:
                t[count], x[count], y[count], p[count] = time, column, row, (word >> np.uint32(1)) & np.uint32(1)
                last_t = time
                count += 1
            else:
                if refused[REFUSED] == 0:
                    refused[FIRST_WORD], refused[FIRST_COUNT] = at, count
                    refused[FIRST_OUTSIDE] = column >= width or row >= height
                refused[REFUSED] += 1
        at += stride
    walk[LAST_T] = last_t
    return count
