"""The clock of Prophesee's EVT words, and which of its TIME_HIGH words to believe. Compiled by numba.

An EVT stream says the upper bits of the time once (TIME_HIGH) and then only the lower ones, so one flipped bit would
carry every event behind it far away. A TIME_HIGH that repeats the last one or lies next to it, as they do in a camera's
stream, is believed at once. About any other the next ones are asked: those that go on from it speak for it, those that
go on from the one believed last against it, and two votes decide. So pauses of any length stay and flipped bits go.
Words behind a TIME_HIGH that is not believed are lost up to the next. Two words of reserved types close together, or
zeros, are garbage: all is lost up to a TIME_HIGH that fits, or that four others speak for. Knows no other word.

numba keeps the loops of `evt*_words.py` compiled, with what they call from here, as long as their own text is the same:
so these name this file's sum, and a test holds them to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Clock(NamedTuple):
    """How an encoding stores time.

    The type is in bits `kind_shift` and up, TIME_HIGH's `bits` from bit `value_shift` on, in units of 2^`unit_shift`
    us. TIME_HIGH falling by more than `largest_fall` has run over; falling by less it has fallen. `known` has one bit
    for each type that is not reserved. A step of at most `sure` either way is believed at once; any other TIME_HIGH is
    judged by at most the `look` words from it on. `companion` is the type that follows every TIME_HIGH before an event
    (0: none). faery crosses long pauses by TIME_HIGHs one right behind the other, all but the last `climb` above it.
    """

    kind_shift: int
    value_shift: int
    bits: int
    unit_shift: int
    largest_fall: int
    known: int
    sure: int
    look: int
    companion: int
    climb: int


def types(*kinds: int) -> int:
    """One bit for each of the word types."""
    return sum(1 << kind for kind in kinds)


TIME_HIGH = 8
JUMP_US, LONGEST_LAST_PAUSE_US = 1_000_000, 3_600_000_000
BEAT_US = 64  # cameras tell their time at least so often
JITTER = 16  # units: a fall this small is never an overflow
# Votes that decide: in order, with a reserved word among them, behind garbage or for a jump of a clock that never jumps.
VOTES, DIRTY_VOTES, STRICT_VOTES = 2, 3, 4
HISTORY = 16  # TIME_HIGHs after which a stream's habits are known
CLOSE_WORDS = 16  # two reserved words within so many are garbage
ZERO_WORDS = 4  # so many zeros in a row are no words
MOST_VOTES = 16  # TIME_HIGHs asked about one
BELIEVED, STRAY, UNDECIDED = range(3)  # verdicts
HELD, PAUSED, AGAINST, SILENT = range(4)  # votes

# What goes from call to call. Time: TIME_HIGH believed (-1: none), its µs (-1: no word can be timed), how reading was
# lost, word of the last reserved type, words with events before the first time, TIME_HIGHs believed, their largest step,
# how many of late came within 64 us of the one before.
HIGH, BASE, LOST, BAD_AT, EARLY, SEEN, LARGEST, REPEATS = range(8)
# EVT3: row, TIME_LOW, BASE when it came, vector base, polarity. UNKNOWN: not yet said, FORGOTTEN: lost by damage.
ROW, LOW, LOW_BASE, COLUMN, POLARITY = range(8, 13)
# In one call: words taken; words lost, and of the first the word, the events before it, whether it was outside.
AT, LOST_WORDS, FIRST_WORD, FIRST_COUNT, FIRST_OUTSIDE = range(13, 18)
STATES = 18
UNKNOWN, FORGOTTEN = -1, -2
NOT_LOST, STRAY_TIME, GARBAGE = range(3)  # state[LOST]

DE_BRUIJN = 0x077CB531
PLACES = np.argsort([(DE_BRUIJN << place & 0xFFFFFFFF) >> 27 for place in range(32)])


def new_state() -> NDArray[np.int64]:
    """The state before the first word. The lower time is 0 until it is said: faery leaves out a first TIME_LOW of 0."""
    state = np.zeros(STATES, np.int64)
    state[[HIGH, BASE, ROW, COLUMN]] = UNKNOWN
    state[BAD_AT] = -CLOSE_WORDS - 1
    return state


@njit(cache=True)
def step_to(high, value, clock):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Units from the full TIME_HIGH `high` to the stored `value`, overflows counted; below 0 where it has fallen."""
    period = 1 << clock.bits
    step = (value - high) & (period - 1)
    fall = period - step
    if fall <= high and (fall <= JITTER or (fall <= clock.largest_fall and value < high & (period - 1))):
        return -fall
    return step


@njit(cache=True)
def time_high(words, at, state, clock, count, final):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Takes the TIME_HIGH at `at`; False where the words behind it do not decide yet whether to believe it.

    `count` is the number of events so far, `final` whether no words will follow.
    """
    value = (np.int64(words[at]) >> clock.value_shift) & ((1 << clock.bits) - 1)
    high = state[HIGH]
    step = step_to(high, value, clock) if high >= 0 else 0
    if high < 0 or not -clock.sure <= step <= clock.sure:
        if at + 1 == len(words) and not final:
            return False
        climbing = (step if high >= 0 else value) == clock.climb and climbs(words, at, value, clock)
        verdict = BELIEVED if climbing else judge(words, at, state, clock, value, final)
        if verdict == UNDECIDED:
            return False
        if verdict == STRAY:
            lose(state, at, 1, count, False)
            get_lost(state, max(state[LOST], STRAY_TIME))
            return True
    if high >= 0:
        state[LARGEST] = max(state[LARGEST], step)
        repeated = abs(step) << clock.unit_shift <= BEAT_US
        state[REPEATS] = min(state[REPEATS] + 1, 4 * HISTORY) if repeated else state[REPEATS] // 2
    state[HIGH] = high + step if high >= 0 else value
    state[BASE] = state[HIGH] << clock.unit_shift
    state[SEEN] += 1
    state[LOST] = NOT_LOST
    return True


@njit(cache=True)
def climbs(words, at, value, clock):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether another TIME_HIGH follows at once and goes up from `value`: so no event depends on this one."""
    if at + 1 >= len(words) or (np.int64(words[at + 1]) >> clock.kind_shift) & 15 != TIME_HIGH:
        return False
    following = (np.int64(words[at + 1]) >> clock.value_shift) & ((1 << clock.bits) - 1)
    return 0 < step_to(value, following, clock) <= clock.climb


@njit(cache=True)
def beats(state):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether the stream tells its time again and again, as cameras do in quiet too: then it does not jump."""
    return state[REPEATS] >= HISTORY // 2


@njit(cache=True)
def judge(words, at, state, clock, value, final):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether the TIME_HIGHs behind word `at` bear out that the clock jumped to `value`."""
    stop = min(len(words), at + clock.look)
    high, garbage = state[HIGH], state[LOST] == GARBAGE
    jump = step_to(high, value, clock) if high >= 0 else (JUMP_US >> clock.unit_shift) + 1
    before = told = high + jump if high >= 0 else value
    near, lonely = 0 < jump <= JUMP_US >> clock.unit_shift, high >= 0 and is_lonely(words, at, clock)
    need, refute = STRICT_VOTES if garbage or beats(state) else VOTES, STRICT_VOTES if garbage else VOTES
    asked, held, paused, against, reserved = 0, 0, 0, 0, 0
    for later in range(at + 1, stop):
        word = np.int64(words[later])
        kind = (word >> clock.kind_shift) & 15
        if not (clock.known >> kind) & 1:
            reserved, need, refute = reserved + 1, max(need, DIRTY_VOTES), max(refute, DIRTY_VOTES)
            if reserved > 1 or garbage:
                return judge_at_end(state, clock, jump, held, against, lonely or held == 0)
        if kind != TIME_HIGH:
            continue
        if later + 1 == len(words) and not final:
            return UNDECIDED  # it may be lonely
        if is_lonely(words, later, clock):
            continue
        each = (word >> clock.value_shift) & ((1 << clock.bits) - 1)
        vote = vote_of(high, told, before, each, near, clock)
        if vote == HELD:
            held += 1
        elif vote == PAUSED and (near or not (lonely or reserved or against)):
            paused += 1
        elif vote == AGAINST or (vote == PAUSED and not near):
            against += refute if lonely else 1
        asked, before = asked + 1, before + step_to(before, each, clock)
        if held >= need or held + paused >= (need if near else STRICT_VOTES):
            return BELIEVED
        if against >= refute:
            return STRAY
        if asked == MOST_VOTES:
            break
    if not final and stop - at < clock.look and asked < MOST_VOTES:
        return UNDECIDED
    return judge_at_end(state, clock, jump, held + paused, against, lonely or (asked > 0 and held + paused == 0))


@njit(cache=True)
def vote_of(high, told, before, each, near, clock):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """What the TIME_HIGH `each` says of the jump from `high` to `told`; `before` is the one before it.

    HELD: it goes on from there. AGAINST: it goes on from `high` as if nothing had been, or lies before `told`. PAUSED:
    it comes later still, behind a pause. SILENT: where the clock runs over too often to tell.
    """
    second = JUMP_US >> clock.unit_shift
    as_before = high >= 0 and -clock.sure <= step_to(high, each, clock) <= second
    if 0 <= step_to(told, each, clock) <= second and (near or not as_before):
        return HELD
    step = step_to(before, each, clock)
    # A clock told again within 64 us is told in quiet too: such a stream never pauses.
    repeats = abs(step) << clock.unit_shift <= BEAT_US
    # One that runs over every few seconds may do so on the way, one that does every few hours may not.
    period = 1 << clock.bits
    ahead = each > before & (period - 1) or period << clock.unit_shift < LONGEST_LAST_PAUSE_US
    if as_before or (not near and (repeats or not ahead or step < 0)):
        return AGAINST
    beyond = high < 0 or step_to(high, each, clock) > told - high
    return PAUSED if ahead and beyond and step > 0 and not repeats else SILENT


@njit(cache=True)
def is_lonely(words, at, clock):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Whether the TIME_HIGH at `at` lacks its companion, as one has that damage made of another word."""
    if clock.companion == 0:
        return False
    return at + 1 >= len(words) or np.int64(words[at + 1]) >> clock.kind_shift != clock.companion


@njit(cache=True)
def judge_at_end(state, clock, jump, held, against, doubtful):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The verdict where too few TIME_HIGHs follow, because the stream ends or garbage begins.

    One that contradicts may be the stray one itself. With none at all, a pause is believed unless its TIME_HIGH is
    `doubtful`, or it lasts more than an hour. A stream that told its time again and again so far does not pause.
    """
    near, is_first = 0 < jump <= JUMP_US >> clock.unit_shift, state[HIGH] < 0
    usual = near and (jump <= max(state[LARGEST], 2 * BEAT_US >> clock.unit_shift) or state[SEEN] < HISTORY)
    if state[LOST] == GARBAGE:
        return BELIEVED if near and against == 0 and not doubtful else STRAY
    if beats(state) and not usual:
        return BELIEVED if held >= VOTES and against == 0 and not doubtful else STRAY
    if doubtful and not (near or is_first):
        return STRAY
    if held or against:
        return BELIEVED if held >= against or (against == 1 and (usual or is_first)) else STRAY
    if near or is_first:
        return BELIEVED
    longest = min(LONGEST_LAST_PAUSE_US >> clock.unit_shift, 1 << (clock.bits - 1))
    return BELIEVED if 0 < jump <= longest else STRAY


@njit(cache=True)
def lose(state, at, words, count, outside):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Counts words from `at` as lost; `count` is the number of events before them."""
    if state[LOST_WORDS] == 0:
        state[FIRST_WORD], state[FIRST_COUNT], state[FIRST_OUTSIDE] = at, count, outside
    state[LOST_WORDS] += words


@njit(cache=True)
def get_lost(state, how):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """From here on no word can be timed, until a TIME_HIGH is believed."""
    state[BASE], state[LOST] = UNKNOWN, how
    state[ROW] = state[LOW] = state[COLUMN] = FORGOTTEN


@njit(cache=True)
def pass_over(at, kind, state, clock, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Takes a word that is neither event nor time: of another known type, of a reserved one, or while lost."""
    reserved = not (clock.known >> kind) & 1
    if reserved or state[LOST] != NOT_LOST:
        lose(state, at, 1, count, False)
    if not reserved:
        return
    if at - state[BAD_AT] <= CLOSE_WORDS and state[LOST] != GARBAGE:
        get_lost(state, GARBAGE)
    state[BAD_AT] = at
    state[ROW] = state[COLUMN] = FORGOTTEN


@njit(cache=True)
def zeros(words, at):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The number of zero words from `at` on."""
    run = 0
    while at + run < len(words) and words[at + run] == 0:
        run += 1
    return run


@njit(cache=True)
def zero_filled(words, at, state, count, final):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Zero words at `at` that are damage, taken as lost; 0 where they are words, -1 where more words must tell."""
    run = zeros(words, at)
    if run >= ZERO_WORDS:
        lose(state, at, run, count, False)
        get_lost(state, GARBAGE)
        return run
    return -1 if at + run == len(words) and not final else 0


@njit(cache=True)
def lowest(mask):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """The place of the lowest of 32 bits that is set: one of a de Bruijn sequence's 32 different windows tells it."""
    return PLACES[((mask & -mask) * DE_BRUIJN & 0xFFFFFFFF) >> 27]
