"""The inner loop of the text writer: columns to lines of four integers. Compiled by numba; writes no file."""

from __future__ import annotations

import numpy as np
from numba import njit

MINUS, NEWLINE, ZERO = 45, 10, 48
LONGEST_LINE = 20 + 1 + 5 + 1 + 5 + 1 + 1 + 1  # int64, two uint16, a digit, three separators, a newline


@njit(cache=True)
def put(value, lines, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Writes the digits of a uint64 into `lines` at `at`; returns where they end."""
    ten, count, rest = np.uint64(10), 1, value
    while rest >= ten:
        count, rest = count + 1, rest // ten
    for place in range(at + count - 1, at - 1, -1):
        lines[place] = ZERO + value % ten
        value //= ten
    return at + count


@njit(cache=True)
def format_lines(t, x, y, p, separator, lines):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Writes columns t, x, y, p [N] as lines into `lines` uint8 [>= N * LONGEST_LINE]; returns the bytes written."""
    at = 0
    for i in range(len(t)):
        if t[i] < 0:
            lines[at] = MINUS
            at += 1
        at = put(np.uint64(abs(t[i])), lines, at)
        lines[at] = separator
        at = put(np.uint64(x[i]), lines, at + 1)
        lines[at] = separator
        at = put(np.uint64(y[i]), lines, at + 1)
        lines[at] = separator
        lines[at + 1] = ZERO + p[i]
        lines[at + 2] = NEWLINE
        at += 3
    return at
