"""EVT3: 16-bit words to columns. Compiled by numba; the clock and what to do at damage are in `evt_clock.py`.

Bits 12..15 type; ADDR_Y says the row of what follows, ADDR_X gives one event, VECT_BASE_X says where the pixels of the
next VECT_12 and VECT_8 begin, TIME_LOW the lower 12 bits of time. ADDR_Y's bit 11 tells a slave camera from a master;
a file comes from one of them, so it is not looked at. TIME_LOW may step back by some us: cameras do that. One that
leaps is judged by those behind it, as TIME_HIGH is, because a flipped bit may make a TIME_LOW of an event.
https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dvspipe.recordings.layouts.evt_clock import (
    AT,
    BASE,
    BELIEVED,
    COLUMN,
    EARLY,
    FORGOTTEN,
    HIGH,
    JUMP_US,
    LOST,
    LOW,
    LOW_BASE,
    POLARITY,
    ROW,
    STRAY,
    STRAY_TIME,
    TIME_HIGH,
    UNDECIDED,
    UNKNOWN,
    Clock,
    beats,
    get_lost,
    lose,
    lowest,
    pass_over,
    time_high,
    types,
    zero_filled,
)
from dvspipe.recordings.recording import CHUNK_EVENTS

EVT_CLOCK = "014c9764"  # the first digits of that file's SHA-256: a change there must compile these loops anew
WORD_EVENTS = 12
PIECE_WORDS = CHUNK_EVENTS // 2
ADDR_Y, ADDR_X, VECT_BASE_X, VECT_12, VECT_8, TIME_LOW = 0x0, 0x2, 0x3, 0x4, 0x5, 0x6
CLOCK = Clock(
    kind_shift=12,
    value_shift=0,
    bits=12,
    unit_shift=12,
    largest_fall=JUMP_US >> 12,
    # Besides those above: continued 4, trigger, IMU, others, continued 12.
    known=types(ADDR_Y, ADDR_X, VECT_BASE_X, VECT_12, VECT_8, TIME_LOW, 0x7, TIME_HIGH, 0xA, 0xD, 0xE, 0xF),
    sure=1,
    look=PIECE_WORDS,
    companion=TIME_LOW,
    climb=1 << 10,
)
LEAP_US = 64  # a TIME_LOW that goes on or back by no more is believed at once
JITTER_US = 32  # cameras step back by less
HALF_US = 2048  # of the 4096 us after which TIME_LOW runs over
LOW_VOTES, LOW_LOOK = 3, 512  # TIME_LOWs that together refute one, and the words they are looked for in


@njit(cache=True)
def decode(words, state, t, x, y, p, width, height, final):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Decodes `words` uint16 [M] into the columns t, x, y, p [>= 12 M]; returns the number of events.

    state[AT] as in `evt2_words.decode`. An event whose row, column or time is not known is left out.
    """
    at, count = 0, 0
    time, row, column, polarity = now(state), state[ROW], state[COLUMN], state[POLARITY]
    while at < len(words):
        word = np.int64(words[at])
        kind, value = word >> 12, word & 0x7FF
        if kind == ADDR_X and row >= 0 and value < width:
            t[count], x[count], y[count], p[count] = time, value, row, (word >> 11) & 1
            count += 1
        elif kind == ADDR_Y and time >= 0 and word != 0 and value < height:
            row = value
        elif kind == VECT_BASE_X and time >= 0:
            column, polarity = value, (word >> 11) & 1
        elif kind in (VECT_12, VECT_8) and row >= 0 and column >= 0:
            size = 12 if kind == VECT_12 else 8
            mask = word & ((1 << size) - 1)
            room = max(0, width - column)
            if room < size and mask >> room:
                lose(state, at, 1, count, True)
                mask &= (1 << room) - 1
            while mask:
                t[count], x[count], y[count], p[count] = time, column + lowest(mask), row, polarity
                mask &= mask - 1
                count += 1
            column += size
        else:
            state[ROW], state[COLUMN], state[POLARITY] = row, column, polarity
            taken = other(words, at, state, count, height, final)
            if taken < 0:
                break
            time, row, column = now(state), state[ROW], state[COLUMN]
            at += taken - 1
        at += 1
    state[AT], state[ROW], state[COLUMN], state[POLARITY] = at, row, column, polarity
    return count


@njit(cache=True)
def now(state):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The time in µs of the events that follow, UNKNOWN while either half of it is."""
    return state[BASE] + state[LOW] if state[BASE] >= 0 and state[LOW] >= 0 else UNKNOWN


@njit(cache=True)
def other(words, at, state, count, height, final):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Takes the words at `at` that are not plain events; returns how many, -1 where more words must tell."""
    word = np.int64(words[at])
    kind, value = word >> 12, word & 0x7FF
    if kind == TIME_HIGH:
        return 1 if time_high(words, at, state, CLOCK, count, final) else -1
    if kind == TIME_LOW and state[BASE] >= 0:
        return 1 if time_low(words, at, state, count, final) else -1
    if kind == ADDR_Y and now(state) >= 0:
        run = zero_filled(words, at, state, count, final) if word == 0 else 0
        if run != 0:
            return run
        state[ROW] = value
        if value >= height:
            lose(state, at, 1, count, True)
            state[ROW] = FORGOTTEN
    elif kind in (ADDR_X, VECT_12, VECT_8):
        placeless(at, kind, state, count)
    else:
        pass_over(at, kind, state, CLOCK, count)
    return 1


@njit(cache=True)
def placeless(at, kind, state, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Counts an event outside the sensor, hidden by damage, or before the stream said where and when."""
    single = kind == ADDR_X
    if single and state[ROW] >= 0:
        lose(state, at, 1, count, True)
    elif state[LOST] or state[ROW] == FORGOTTEN or (not single and state[COLUMN] == FORGOTTEN):
        lose(state, at, 1, count, False)
    else:
        state[EARLY] += 1
    if not single and state[COLUMN] >= 0:
        state[COLUMN] += 12 if kind == VECT_12 else 8


@njit(cache=True)
def time_low(words, at, state, count, final):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Takes the TIME_LOW at `at`; False where the words behind it do not decide yet whether to believe it."""
    low = np.int64(words[at]) & 0xFFF
    step = low - state[LOW]
    if state[LOW] >= 0 and state[LOW_BASE] == state[BASE] and not -LEAP_US <= step <= LEAP_US:
        verdict = judge_low(words, at, state, low, final)
        if verdict == UNDECIDED:
            return False
        if verdict == STRAY:
            lose(state, at, 1, count, False)
            state[COLUMN] = FORGOTTEN
            return True
        if step < -HALF_US:  # it ran over and no TIME_HIGH said so
            lose(state, at, 1, count, False)
            get_lost(state, STRAY_TIME)
            return True
    state[LOW], state[LOW_BASE] = low, state[BASE]
    return True


@njit(cache=True)
def judge_low(words, at, state, low, final):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether the TIME_LOWs behind word `at` go on from `low`: not if the next ones all go on from the one before it.

    Asked are at most those up to a new TIME_HIGH or to garbage, and if in doubt it is believed.
    """
    stop = min(len(words), at + LOW_LOOK)
    before, against = state[LOW], 0
    for later in range(at + 1, stop):
        word = np.int64(words[later])
        kind, each = word >> 12, word & 0xFFF
        if word == 0 or not (CLOCK.known >> kind) & 1:
            return BELIEVED
        if kind == TIME_HIGH and not (beats(state) and each == state[HIGH] & 0xFFF):
            return BELIEVED
        if kind != TIME_LOW:
            continue
        as_before = each >= before - JITTER_US and not before < low <= each + JITTER_US
        if not as_before:
            return BELIEVED
        against += 1
        if against == LOW_VOTES:
            return STRAY
    return BELIEVED if final or stop - at == LOW_LOOK else UNDECIDED
