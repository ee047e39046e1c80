"""The inner loop of the readers of 8-byte records (AEDAT 2.0, Prophesee DAT): two 32-bit words to columns.

Compiled by numba. A format is a `Layout`: which bits mean what. The camera's 32-bit clock, which runs over every 71.6
minutes, is made 64 bits long here; times that others contradict are judged for all formats in `strays`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

RECORD_WORDS = 2
JUMP_US, NEAR_US, PAUSE_US = 1_000_000, 2_000_000, 60_000_000
WRAP_US, HALF_US = 1 << 32, 1 << 31
FILL = 3  # records of nothing but zeros, one behind the other, are no events: no pixel fires thrice in one µs
# A time far from the one before it may be damaged. It counts if it lies ahead, unless one of the last WARY records was
# refused or time soon comes back; else as soon as AGREEING times in a row lie within a second, or RISING in order.
WARY, SOON, AGREEING, RISING = 256, 64, 4, 8

# Carried from block to block: the clock's place, from which the next time is less than half a turn away (a 64-bit time;
# -1: nothing was read), its place before it jumped, and the time before; how many in a row lay away from the place and
# agreed, or rose; the numbers of the next record, of those that last jumped, lay away and were refused; whether
# zero-fill goes on.
PLACE, BACK, BEFORE, AGREED, ROSE, NEXT, JUMPED, AWAY, BAD, FILLED = range(10)
# Events refused in one call: how many, the first one's record, output count before it, and whether it was outside.
REFUSED, FIRST_RECORD, FIRST_COUNT, FIRST_OUTSIDE = range(4)


class Layout(NamedTuple):
    """Where an event's parts stand in the address word. `time_word` is 0 or 1: which of the two words is the time.

    A record with one of the bits `passed_over` is no event by design (special, frame, IMU); one with any of the bits
    `always_zero` is damaged. Masks are applied after the shift. ON is where the polarity bit equals `on`. Mirrored
    means counted from the right (x) or from the bottom (y).
    """

    time_word: int
    passed_over: int
    always_zero: int
    x_shift: int
    x_mask: int
    y_shift: int
    y_mask: int
    p_shift: int
    on: int
    mirrored_x: bool = False
    mirrored_y: bool = False


def new_clock(records: int) -> NDArray[np.int64]:
    """The clock of a file of which nothing was read, and which has at least that many records.

    Its first records are believed no more than those behind damage, unless there are too few to contradict them.
    """
    clock = np.zeros(10, np.int64)
    clock[PLACE] = clock[BACK] = -1
    clock[JUMPED] = clock[AWAY] = -WARY
    clock[BAD] = 0 if records > WARY else -WARY
    return clock


@njit(cache=True)
def unwrapped(raw, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The 64-bit time of 32 raw bits near `place`: one turn on after a fall by more than half the range."""
    if place < 0:
        return raw
    time = (place & ~(WRAP_US - 1)) + raw
    if place - time > HALF_US:
        return time + WRAP_US
    if time - place > HALF_US and time >= WRAP_US:
        return time - WRAP_US
    return time


@njit(cache=True)
def placed(clock, number, raw, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The 64-bit time of record `number`, more than a second from `place`; moves the clock's place if it counts.

    A false place half a turn away would make all later times false.
    """
    clock[PLACE], back, time = place, clock[BACK], unwrapped(raw, place)
    jumped = number - clock[JUMPED] < SOON
    far_turn = time >> 32 > place >> 32 and time - place > NEAR_US
    if jumped and back >= 0 and not 0 <= time - place <= NEAR_US:
        returned = unwrapped(raw, back)
        if -NEAR_US <= returned - back <= PAUSE_US:  # the jump was none
            clock[PLACE], clock[JUMPED], clock[BAD] = returned, -WARY, number
            return returned
    goes_on, step = number == clock[AWAY] + 1, time - clock[BEFORE]
    clock[AGREED] = clock[AGREED] + 1 if goes_on and -JUMP_US <= step <= JUMP_US else 1
    clock[ROSE] = clock[ROSE] + 1 if goes_on and step >= -JUMP_US else 1
    clock[BEFORE], clock[AWAY] = time, number
    if clock[AGREED] >= AGREEING or clock[ROSE] >= RISING:
        clock[PLACE], clock[JUMPED] = time, -WARY
    elif place < 0 or (time > place and number - clock[BAD] > WARY and not (jumped and far_turn)):
        if not jumped:
            clock[BACK] = place
        clock[PLACE], clock[JUMPED] = time, number
    return time


@njit(cache=True)
def refuse(clock, refused, number, record, count, is_outside):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Counts a refused record, and takes back a jump of the clock that it makes doubtful."""
    if refused[REFUSED] == 0:
        refused[FIRST_RECORD], refused[FIRST_COUNT], refused[FIRST_OUTSIDE] = record, count, is_outside
    refused[REFUSED] += 1
    if number - clock[JUMPED] < SOON and clock[BACK] >= 0:
        clock[PLACE], clock[JUMPED] = clock[BACK], -WARY
    clock[BAD] = number


@njit(cache=True)
def zero_filled(words, record, filled):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether the record, which is all zeros, is one of a run of such."""
    stop = RECORD_WORDS * (record + FILL)
    return filled or (stop <= len(words) and not words[RECORD_WORDS * record : stop].any())


@njit(cache=True)
def decode(words, records, layout, clock, refused, width, height, t, x, y, p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Decodes the first `records` of `words` uint32 [2 M] into the columns t, x, y, p; returns the number of events.

    Words behind them are only looked at. Refused, that is left out and counted in `refused` [4]: events outside the
    sensor and zero-filled records.
    """
    count, place, first, filled = 0, clock[PLACE], clock[NEXT], clock[FILLED] != 0
    times, addresses = words[layout.time_word :: 2], words[1 - layout.time_word :: 2]
    left, right = (width - 1, -1) if layout.mirrored_x else (0, 1)
    top, down = (height - 1, -1) if layout.mirrored_y else (0, 1)
    refused[:] = 0
    for record in range(records):
        raw, word = np.int64(times[record]), np.int64(addresses[record])
        if word & layout.passed_over:
            continue
        column, row = (word >> layout.x_shift) & layout.x_mask, (word >> layout.y_shift) & layout.y_mask
        inside = column < width and row < height and word & layout.always_zero == 0
        filled = raw == 0 and word == 0 and zero_filled(words, record, filled)
        if not inside or filled:
            clock[PLACE] = place
            refuse(clock, refused, first + record, record, count, not inside)
            place = clock[PLACE]
            continue
        time = place + (raw - (place & (WRAP_US - 1)))
        if place >= 0 and -JUMP_US <= time - place <= JUMP_US:
            place = max(place, time)
        else:
            time = placed(clock, first + record, raw, place)
            place = clock[PLACE]
        t[count] = time
        x[count] = left + right * column
        y[count] = top + down * row
        p[count] = (word >> layout.p_shift) & 1 == layout.on
        count += 1
    clock[PLACE], clock[NEXT], clock[FILLED] = place, first + records, filled
    return count
