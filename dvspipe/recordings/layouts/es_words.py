"""The inner loop of the Event Stream reader: bytes to columns. Compiled by numba; reads no file.

A DVS event has five bytes: one with the time since the event before it (7 bits) and the polarity, then x and y. An
ATIS event has 6 bits of time, then the polarity, then whether it is about exposure. Bytes of their own lengthen time.
"""

from __future__ import annotations

import numpy as np
from numba import njit

EVENT_BYTES = 5
FILL_BYTES = 15  # three events at pixel (0, 0) in one µs: zero-filled
SURE_EVENTS = 16  # events in a row inside the sensor, where reading may go on behind damage
ENDED, COUNT = 32, 31  # a chain of events that reaches the end of the data, and how many it has
RESET, DVS_LONGER, DVS_LONGER_US, ATIS_LONGER, ATIS_LONGER_US = 0xFE, 0xFF, 127, 0xFC, 63
# Carried from block to block: the byte reached, the time there, and what was met (0 the block's end, else a fault).
AT, TIME, FAULT = range(3)
OUTSIDE_FAULT, FILL_FAULT = 1, 2


@njit(cache=True)
def lengthening(byte, is_atis):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The µs that a byte between events adds to the time; -1 for the first byte of an event."""
    if is_atis:
        return ATIS_LONGER_US * (byte & 3) if byte & ATIS_LONGER == ATIS_LONGER else -1
    if byte == DVS_LONGER:
        return DVS_LONGER_US
    return 0 if byte == RESET else -1


@njit(cache=True)
def fault_at(data, at, width, height):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """What is wrong with the event at byte `at`: outside the sensor, zero-filled, or (0) nothing."""
    x, y = data[at + 1] | data[at + 2] << 8, data[at + 3] | data[at + 4] << 8
    if x >= width or y >= height:
        return OUTSIDE_FAULT
    if data[at] == 0 and x == 0 and y == 0 and at + FILL_BYTES <= len(data):
        for byte in range(at + EVENT_BYTES, at + FILL_BYTES):
            if data[byte] != 0:
                return 0
        return FILL_FAULT
    return 0


@njit(cache=True)
def decode(data, at_end, is_atis, walk, width, height, t, x, y, p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Decodes `data` uint8 [M] from its start into the columns t, x, y, p [>= M / 5]; returns the number of events.

    Stops before a faulty event, and unless `at_end` where less than `FILL_BYTES` are left to judge one by. ATIS
    exposure events are passed over.
    """
    at, time, count, fault = 0, walk[TIME], 0, 0
    need = EVENT_BYTES if at_end else FILL_BYTES
    while at < len(data):
        longer = lengthening(data[at], is_atis)
        if longer >= 0:
            time += longer
            at += 1
            continue
        if at + need > len(data):
            break
        fault = fault_at(data, at, width, height)
        if fault != 0:
            break
        byte = data[at]
        time += byte >> 2 if is_atis else byte >> 1
        if not is_atis or byte & 1 == 0:
            t[count], p[count] = time, byte & 2 != 0 if is_atis else byte & 1 != 0
            x[count], y[count] = data[at + 1] | data[at + 2] << 8, data[at + 3] | data[at + 4] << 8
            count += 1
        at += EVENT_BYTES
    walk[AT], walk[TIME], walk[FAULT] = at, time, fault
    return count


@njit(cache=True)
def next_start(data, stop, at_end, is_atis, width, height):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The first byte before `stop` where events without fault begin; -1 if there is none.

    `SURE_EVENTS` of them; if `at_end`, at least two and then the end of `data`. Goes backwards, so that it takes one
    way through the data, whatever they hold.
    """
    chain = np.zeros(len(data) + EVENT_BYTES, np.uint8)  # events without fault from each byte on
    chain[-2 * EVENT_BYTES + 1 :] = ENDED
    found = -1
    for at in range(len(data) - EVENT_BYTES, -1, -1):
        if lengthening(data[at], is_atis) >= 0:
            chain[at] = chain[at + 1]
        elif fault_at(data, at, width, height) == 0:
            following = chain[at + EVENT_BYTES]
            chain[at] = following | SURE_EVENTS if following & COUNT >= SURE_EVENTS - 1 else following + 1
        sure = chain[at] & SURE_EVENTS or (at_end and chain[at] & ENDED and chain[at] & COUNT > 1)
        if at < stop and sure:
            found = at
    return found
