"""The inner loop of the text reader: lines of numbers to columns, exact to the µs. Compiled by numba; reads no file.

Numbers are read digit by digit, never as floating point: 0.003811 s are 3811 µs, and 1468939993.067416 s lose nothing.
No function here calls itself: numba's cache gives such a one back broken.
"""

from __future__ import annotations

import numpy as np
from numba import njit

OTHER, DIGIT, SEPARATOR, END, POINT, SIGN, EXPONENT = range(7)  # kinds of bytes
KINDS = np.zeros(256, np.uint8)
for characters, kind in (
    (b"0123456789", DIGIT),
    (b" \t,;\r", SEPARATOR),
    (b"\n", END),
    (b"+-", SIGN),
    (b"eE", EXPONENT),
):
    KINDS[list(characters)] = kind
KINDS[ord(".")] = POINT
ZERO, MINUS, HASH, PERCENT = ord("0"), ord("-"), ord("#"), ord("%")
ROOM = 10**17  # a number below it takes another digit: 18 digits fit into int64
MOST_EXPONENT = 99
POWERS = 10 ** np.arange(19)

# What one call found: lines seen, bad lines, and of the bad ones their bytes in all, then of the first its line (from
# 1), byte, output count before it, and whether it was an event but outside the sensor.
LINES, BAD, BAD_BYTES, FIRST_LINE, FIRST_BYTE, FIRST_COUNT, FIRST_OUTSIDE = range(7)
IGNORED = -1  # role of a column that is none of t, x, y, p


@njit(cache=True)
def scaled(value, shift, exact):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """value * 10^shift as an integer, rounded unless it must be `exact`; and whether that is possible."""
    while shift > 0 and value:
        if value >= ROOM:
            return value, False
        value *= 10
        shift -= 1
    if shift >= 0 or value == 0:
        return value, True
    divisor = POWERS[min(-shift, 18)]
    whole, rest = value // divisor, value % divisor
    return whole + (2 * rest >= divisor), not (exact and rest)


@njit(cache=True)
def parse_exponent(data, at, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The integer at `at`, where it ends, and whether it is one of a sane size."""
    negative, value = data[at] == MINUS, 0
    if KINDS[data[at]] == SIGN:
        at += 1
    first = at
    while at < stop and KINDS[data[at]] == DIGIT:
        value = min(value * 10 + (data[at] - ZERO), MOST_EXPONENT + 1)
        at += 1
    return -value if negative else value, at, at > first and value <= MOST_EXPONENT


@njit(cache=True)
def parse_rest(data, at, stop, value, digits, shift, exact):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Goes on with a number behind its first `digits` digits, `value`, times 10^shift; returns it, its end, if it is one."""
    if at < stop and KINDS[data[at]] == POINT:
        at += 1
        while at < stop and KINDS[data[at]] == DIGIT:
            if value < ROOM:
                value = value * 10 + (data[at] - ZERO)
                shift -= 1
            at += 1
            digits += 1
    good = digits > 0
    if at + 1 < stop and KINDS[data[at]] == EXPONENT and good:
        power, at, good = parse_exponent(data, at + 1, stop)
        shift += power
    value, possible = scaled(value, shift, exact)
    return value, at, good and possible


@njit(cache=True)
def line_end(data, at, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Where the line ends that the byte at `at` belongs to."""
    while at < stop and KINDS[data[at]] != END:
        at += 1
    return at


@njit(cache=True)
def parse_line(data, at, stop, roles, shift, values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The line at `at` into values [4]; returns its columns (0: empty or a comment, -1: no event) and its end."""
    found = 0
    while at < stop and KINDS[data[at]] != END:
        if KINDS[data[at]] == SEPARATOR:
            at += 1
            continue
        if found == 0 and (data[at] == HASH or data[at] == PERCENT):
            break
        if found == len(roles):
            return -1, line_end(data, at, stop)
        role, value = roles[found], 0
        found += 1
        if role == IGNORED:
            while at < stop and KINDS[data[at]] != SEPARATOR and KINDS[data[at]] != END:
                at += 1
            continue
        negative = data[at] == MINUS
        if KINDS[data[at]] == SIGN:
            at += 1
        first = at
        while at < stop and KINDS[data[at]] == DIGIT and value < ROOM:
            value = value * 10 + (data[at] - ZERO)
            at += 1
        good, power = at > first, shift if role == 0 else 0
        if power or (at < stop and KINDS[data[at]] >= POINT):
            value, at, good = parse_rest(data, at, stop, value, at - first, power, role > 0 or shift == 0)
        if not good or (at < stop and KINDS[data[at]] != SEPARATOR and KINDS[data[at]] != END):
            return -1, line_end(data, at, stop)
        values[role] = -value if negative else value
    return found, line_end(data, at, stop)


@njit(cache=True)
def parse(data, roles, shift, values, seen, t, x, y, p, width, height):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Parses `data` uint8 [M] into the columns t, x, y, p [>= M / 8]; returns the number of events.

    `roles` [columns] says which of t, x, y, p (0..3) each column is; times are multiplied by 10^shift to µs. Empty lines
    and comments are passed over; `seen` [7] tells of bad ones. `values` int64 [4] is room to work in.
    """
    count, at, stop = 0, 0, len(data)
    seen[:] = 0
    while at < stop:
        start = at
        found, at = parse_line(data, at, stop, roles, shift, values)
        at += 1
        seen[LINES] += 1
        if found == 0:
            continue
        good = found == len(roles) and -1 <= values[3] <= 1
        inside = 0 <= values[1] < width and 0 <= values[2] < height
        if good and inside:
            t[count], x[count], y[count], p[count] = values[0], values[1], values[2], values[3] > 0
            count += 1
            continue
        if seen[BAD] == 0:
            seen[FIRST_LINE], seen[FIRST_BYTE], seen[FIRST_COUNT], seen[FIRST_OUTSIDE] = seen[LINES], start, count, good
        seen[BAD] += 1
        seen[BAD_BYTES] += at - start
    return count
