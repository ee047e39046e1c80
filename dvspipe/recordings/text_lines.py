"""The inner loop of the text reader: lines of four integers to columns. Compiled by numba; reads no file."""

from __future__ import annotations

from numba import njit

TAB, NEWLINE, RETURN, SPACE, COMMA, MINUS, ZERO, NINE = 9, 10, 13, 32, 44, 45, 48, 57
MOST_DIGITS = 18  # what fits into int64

# What one call found: lines seen, bad lines, and of the bad ones their bytes in all, then of the first its line (from
# 1), byte, output count before it, and whether it was four integers but outside the sensor.
LINES, BAD, BAD_BYTES, FIRST_LINE, FIRST_BYTE, FIRST_COUNT, FIRST_OUTSIDE = range(7)


@njit(cache=True)
def parse_line(data, at, stop, values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Integers of the line at `at` into values [5]; returns how many (-1 for anything else) and where the line ends."""
    found = 0
    while at < stop and data[at] != NEWLINE:
        byte = data[at]
        if byte in (SPACE, COMMA, TAB, RETURN):
            at += 1
            continue
        sign = 1
        if byte == MINUS:
            sign = -1
            at += 1
        first, value = at, 0
        while at < stop and ZERO <= data[at] <= NINE:
            value = value * 10 + (data[at] - ZERO)
            at += 1
        separated = at == stop or data[at] <= SPACE or data[at] == COMMA
        if not separated or not 0 < at - first <= MOST_DIGITS or found == 4:
            while at < stop and data[at] != NEWLINE:
                at += 1
            return -1, at
        values[found] = sign * value
        found += 1
    return found, at


@njit(cache=True)
def parse(data, roles, values, seen, t, x, y, p, width, height):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Parses `data` uint8 [M] into the columns t, x, y, p [>= M / 8]; returns the number of events.

    `roles` [4] says which value of a line is t, x, y and p. Empty lines are passed over; `seen` [7] tells of bad ones.
    """
    count, at, stop = 0, 0, len(data)
    seen[:] = 0
    while at < stop:
        start = at
        found, at = parse_line(data, at, stop, values)
        at += 1
        seen[LINES] += 1
        if found == 0:
            continue
        column, row, polarity = values[roles[1]], values[roles[2]], values[roles[3]]
        good = found == 4 and -1 <= polarity <= 1
        inside = 0 <= column < width and 0 <= row < height
        if good and inside:
            t[count], x[count], y[count], p[count] = values[roles[0]], column, row, polarity > 0
            count += 1
            continue
        if seen[BAD] == 0:
            seen[FIRST_LINE], seen[FIRST_BYTE], seen[FIRST_COUNT], seen[FIRST_OUTSIDE] = seen[LINES], start, count, good
        seen[BAD] += 1
        seen[BAD_BYTES] += at - start
    return count
