"""EVT2: 32-bit words to columns. Compiled by numba; the clock and what to do at damage are in `evt_clock.py`.

Bits 28..31 type; OFF and ON events: 22..27 the lower time, 11..21 x, 0..10 y; TIME_HIGH: 0..27 the upper time.
https://docs.prophesee.ai/stable/data/encoding_formats/evt2.html
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dvspipe.recordings.layouts.evt_clock import (
    AT,
    BASE,
    EARLY,
    LOST,
    NOT_LOST,
    TIME_HIGH,
    Clock,
    lose,
    pass_over,
    time_high,
    types,
    zero_filled,
)
from dvspipe.recordings.recording import CHUNK_EVENTS

EVT_CLOCK = "014c9764"  # the first digits of that file's SHA-256: a change there must compile these loops anew
WORD_EVENTS = 1
PIECE_WORDS = CHUNK_EVENTS
CLOCK = Clock(
    kind_shift=28,
    value_shift=0,
    bits=28,
    unit_shift=6,
    largest_fall=3 << 26,  # of 4 << 26: a clock of 4.8 h that falls by less was set back
    known=types(0x0, 0x1, TIME_HIGH, 0xA, 0xE, 0xF),  # OFF, ON, trigger, others, continued
    sure=1,
    look=PIECE_WORDS,
    companion=0,
    climb=1 << 20,
)


@njit(cache=True)
def decode(words, state, t, x, y, p, width, height, final):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Decodes `words` uint32 [M] into the columns t, x, y, p [>= M]; returns the number of events.

    state[AT] tells how many words were taken: fewer than M where the last ones cannot be judged yet and more words
    will come (`final` False).
    """
    at, count, base = 0, 0, state[BASE]
    while at < len(words):
        word = np.int64(words[at])
        kind = word >> 28
        if word == 0 and base >= 0:
            run = zero_filled(words, at, state, count, final)
            if run < 0:
                break
            if run > 0:
                base, at = -1, at + run
                continue
        if kind <= 1 and base >= 0:
            column, row = (word >> 11) & 0x7FF, word & 0x7FF
            if column < width and row < height:
                t[count], x[count], y[count], p[count] = base | (word >> 22) & 63, column, row, kind
                count += 1
            else:
                lose(state, at, 1, count, True)
        elif kind == TIME_HIGH:
            if not time_high(words, at, state, CLOCK, count, final):
                break
            base = state[BASE]
        elif kind <= 1 and state[LOST] == NOT_LOST:
            state[EARLY] += 1
        else:
            pass_over(at, kind, state, CLOCK, count)
            base = state[BASE]
        at += 1
    state[AT] = at
    return count
