"""EVT2.1: 64-bit words to columns. Compiled by numba; the clock and what to do at damage are in `evt_clock.py`.

Bits 60..63 type; OFF and ON vectors: 54..59 the lower time, 43..53 x of the first of 32 pixels, 32..42 y, 0..31 which
of the pixels fired; TIME_HIGH: 32..59 the upper time. https://docs.prophesee.ai/stable/data/encoding_formats/evt21.html
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvspipe.recordings.layouts.evt_clock import (
    AT,
    BASE,
    EARLY,
    JUMP_US,
    LOST,
    NOT_LOST,
    TIME_HIGH,
    Clock,
    lose,
    lowest,
    pass_over,
    time_high,
    types,
    zero_filled,
)
from dvspipe.recordings.recording import CHUNK_EVENTS

EVT_CLOCK = "014c9764"  # the first digits of that file's SHA-256: a change there must compile these loops anew
WORD_EVENTS = 32
SAMPLES = (8, 16, 32, 64, 512, 65_536)  # words that may tell the order of the halves
PIECE_WORDS = CHUNK_EVENTS // 8
CLOCK = Clock(
    kind_shift=60,
    value_shift=32,
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
    """Decodes `words` uint64 [M] into the columns t, x, y, p [>= 32 M]; returns the number of events.

    state[AT] as in `evt2_words.decode`. Pixels outside the sensor are refused, the others of their word are not.
    """
    at, count, base = 0, 0, state[BASE]
    while at < len(words):
        word = np.int64(words[at])
        kind = (word >> 60) & 15
        if word == 0 and base >= 0:
            run = zero_filled(words, at, state, count, final)
            if run < 0:
                break
            if run > 0:
                base, at = -1, at + run
                continue
        if kind <= 1 and base >= 0:
            row, column = (word >> 32) & 0x7FF, (word >> 43) & 0x7FF
            time, mask = base | (word >> 54) & 63, word & 0xFFFFFFFF
            room = max(0, width - column) if row < height else 0
            if room < 32 and mask >> room:
                lose(state, at, 1, count, True)
                mask &= (1 << room) - 1
            while mask:
                t[count], x[count], y[count], p[count] = time, column + lowest(mask), row, kind
                mask &= mask - 1
                count += 1
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


def has_swapped_halves(words: NDArray[np.uint64]) -> bool:
    """Whether the 32-bit halves of the words [M] lie the other way round, as the IMX636 sends them.

    In the right order the words are of known types and the TIME_HIGHs among them go up. As few words as tell are
    asked, for behind lost bytes the halves of a file may change places.
    """
    for count in SAMPLES:
        told, told_swapped = _sense(words[:count]), _sense(swapped(words[:count]))
        if told.clean != told_swapped.clean or count >= len(words):
            break
    return told_swapped > told


def swapped(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The words [M] with their 32-bit halves exchanged."""
    return words >> np.uint64(32) | words << np.uint64(32)


class Sense(NamedTuple):
    """Of some words: whether all fit, how many more times go on than do not and types are reserved, and the times."""

    clean: bool
    gain: int
    times: int


def _sense(words: NDArray[np.uint64]) -> Sense:
    kinds = (words >> np.uint64(60)).astype(np.int64)
    times = (words[kinds == TIME_HIGH] >> np.uint64(32)).astype(np.int64)
    steps = np.diff(times)
    going_on = int(np.count_nonzero((steps >= 0) & (steps <= JUMP_US >> CLOCK.unit_shift)))
    stray = len(steps) - going_on + int(np.count_nonzero(~(CLOCK.known >> kinds) & 1))
    return Sense(going_on > 1 and stray == 0, going_on - stray, len(times))
