"""Times that their neighbours contradict: a flipped bit, a packet whose clock is damaged, words that were never times.

One such time in the far future would close every bin up to itself, and all later events would come too late. What
counts is whether time comes back: a pause, however long, goes on behind itself, and times that only rise are never
refused. So events behind a jump of more than a second are held back until enough others bear them out. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import DamagedRecordingError
from dvspipe.events import Events
from dvspipe.recordings.damage import Damage

JUMP_US = 1_000_000
NEAR_US = 10_000  # how far behind the last good time a stream may go on
WITNESSES = 4  # events in a row that agree within a second: random 32-bit times never do
FEW = 3 * WITNESSES  # too few to say that most of them are none
BELIEVED = 16_384  # events behind a jump without coming back: more than a packet of any format holds
LONE_US = 86_400 * JUMP_US  # no recording pauses longer than a day
ROUNDS = 5
FAR = 1 << 61  # µs: no time lies as far, and differences between nearer ones cannot overflow


class Verdict(NamedTuple):
    """Which times are stray [N], and how many from the front are decided; the others need more events behind them."""

    stray: NDArray[np.bool_]
    decided: int


class Reported(Protocol):
    """What the gate needs of a recording."""

    sensor_size: tuple[int, int]
    damage: Damage | None

    def report(self, damage: Damage) -> bool:
        """True when reading may go on."""
        ...


def steady(recording: Reported, chunks: Iterator[Events], most: int) -> Iterator[Events]:
    """The chunks, of at most `most` events, without those of stray times, which are reported. Holds back at most a chunk, and
    that behind a jump only.
    """
    gate = _Gate(recording, most)
    try:
        for chunk in chunks:
            yield from gate.take(chunk)
            if not gate.going:
                return
    except DamagedRecordingError:
        yield from gate.flush()
        raise
    yield from gate.flush()


class _Gate:
    """What was held back, and the last good time."""

    def __init__(self, recording: Reported, most: int) -> None:
        self.recording, self.most, self.going = recording, most, True
        self.held: Events = Events.empty(recording.sensor_size)
        self.reached = -FAR

    def take(self, chunk: Events) -> Iterator[Events]:
        joined = Events.concatenate([self.held, chunk], chunk.sensor_size) if len(self.held) else chunk
        verdict = judge(joined.t, self.reached)
        self.held = joined[verdict.decided :]
        yield from self._deliver(joined[: verdict.decided], verdict.stray[: verdict.decided])

    def flush(self) -> Iterator[Events]:
        """Decides on what is held back: there is nothing more to come."""
        held, self.held = self.held, self.held[:0]
        yield from self._deliver(held, judge(held.t, self.reached, at_end=True).stray)

    def _deliver(self, events: Events, stray: NDArray[np.bool_]) -> Iterator[Events]:
        """Yields the events up to the first stray one, reports, and yields the others if reading may go on."""
        first = int(np.argmax(stray)) if stray.any() else len(events)
        yield from self._pass(events[:first])
        if first == len(events):
            return
        self._report(events[stray])
        if self.going:
            yield from self._pass(events[first:][~stray[first:]])

    def _pass(self, events: Events) -> Iterator[Events]:
        for start in range(0, len(events), self.most):
            piece = events[start : start + self.most]
            self.reached = int(piece.t[-1])
            yield piece

    def _report(self, refused: Events) -> None:
        last = self.reached if self.reached > -FAR else None
        held = self.recording.damage
        if held and held.last_good_t_us in refused.t:  # a format's report may have trusted one of them
            self.recording.damage = replace(held, last_good_t_us=last)
        note = f"{len(refused)} times that the events around them contradict"
        waiting, self.held = self.held, self.held[:0]  # where reading fails, nothing behind is delivered
        self.going = self.recording.report(Damage("corrupt", 0, 0, last, note))
        self.held = waiting


def judge(t: NDArray[np.int64], reached: int = -FAR, at_end: bool = False) -> Verdict:
    """Judges times [N] in file order that follow the good time `reached`.

    Stray are: times in runs of fewer than 4 that do not lie between their trusted neighbours; longer runs that jump
    ahead and that most of what follows lies before again; times below 0 behind ones above a second; the first or
    the last of a file if they lie more than a day apart from the others.
    """
    if smooth(t, int(t[0]) if reached == -FAR and _sound_start(t) else reached):
        return Verdict(np.zeros(len(t), np.bool_), len(t))
    t = np.clip(t, -FAR, FAR)
    stray = np.abs(t) == FAR
    stray[~stray] = _days_apart(t[~stray], reached, at_end)
    doubt = len(t)
    for _ in range(ROUNDS):  # one damaged time may hide behind another
        kept = np.flatnonzero(~stray)
        runs = _Runs.of(t[kept], reached)
        bad = runs.bad(t[kept])
        if runs.falls and runs.tail and not bad.any():
            bad, early = _excursions(t[kept], reached)
            doubt = min([doubt, *kept[early]])
        stray[kept[bad]] = True
        if not bad.any():
            break
    tail = int(kept[runs.tail]) if runs.tail < len(kept) else len(t)
    stray[tail:] |= _contradicted(t[tail:], stray[tail:], runs.good)
    kept = np.flatnonzero(~stray)
    step = np.diff(t[kept], prepend=reached)
    if at_end:
        return Verdict(stray, len(t))
    jumps = np.append(kept[np.flatnonzero(step > JUMP_US)], doubt)
    waiting = np.sort(jumps[len(t) - jumps < BELIEVED])
    return Verdict(stray, min(int(waiting[0]) if len(waiting) else len(t), max(tail, len(t) - BELIEVED)))


def smooth(t: NDArray[np.int64], reached: int) -> bool:
    """Whether no time lies more than a second from the one before it: almost always so, and quick to tell."""
    step = t[1:] - t[:-1]
    inside = not len(step) or (step.min() >= -JUMP_US and step.max() <= JUMP_US)
    return bool(inside and (not len(t) or abs(int(t[0]) - reached) <= JUMP_US))


def _sound_start(t: NDArray[np.int64]) -> bool:
    """Whether times that nothing precedes, if they are smooth, are believed whole: enough of them, and not zeroed bytes."""
    return len(t) >= BELIEVED and abs(int(t[0])) < FAR // 2 and not (t[1] == 0 and t[-1] == 0)


class _Runs(NamedTuple):
    """Times [N] cut wherever they jump by more than a second. Per time: the end of the trusted run before its own and
    the start of the one after it, and whether its own is trusted. Then whether time ever falls, how many times there
    are up to the end of the last trusted run, and the time there.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    trusted: NDArray[np.bool_]
    falls: bool
    tail: int
    good: int

    @classmethod
    def of(cls, t: NDArray[np.int64], reached: int) -> _Runs:
        step = np.diff(t, prepend=reached)
        cut = np.abs(step) > JUMP_US
        starts = np.union1d(0, np.flatnonzero(cut))[: len(t)]
        lengths = np.diff(starts, append=len(t))
        ends = t[starts + lengths - 1]
        trusted = (lengths >= WITNESSES) & ~_zeroed(t, starts, lengths)
        trusted[:1] |= not cut[:1].any()
        places = np.flatnonzero(trusted)
        nth = np.searchsorted(places, np.arange(len(starts)))
        stops = (starts + lengths)[places]
        before = np.append(reached, ends[places])[nth]
        after = np.append(t[starts[places]], FAR)[nth]
        set_back = after < before - JUMP_US  # then it counts whether time ever gets there again
        peaks = np.append(np.maximum.accumulate(ends[places][::-1])[::-1], FAR)
        after[set_back] = np.maximum(peaks[nth], before)[set_back]
        tail = int(stops[-1]) if len(stops) else 0
        before, after, trusted = (np.repeat(column, lengths) for column in (before, after, trusted))
        falls, good = bool((step < -JUMP_US).any()), int(t[tail - 1]) if tail else reached
        return cls(before, after, trusted, falls, tail, good)

    def bad(self, t: NDArray[np.int64]) -> NDArray[np.bool_]:
        """[N] Times in short runs that do not lie between their trusted neighbours, and those that fell below 0."""
        lone = ~self.trusted & ((t < self.before - JUMP_US) | (t > self.after + JUMP_US))
        return (lone | ((t < 0) & (np.maximum.accumulate(self.before) > JUMP_US))) & self.falls


def _zeroed(t: NDArray[np.int64], starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which runs are zeroed bytes, which say nothing: the first time may have kept a part of itself."""
    return (t[starts + np.minimum(lengths - 1, 1)] == 0) & (t[starts + lengths - 1] == 0)


def _excursions(t: NDArray[np.int64], reached: int) -> tuple[NDArray[np.bool_], list[int]]:
    """[N] Times in runs that jump ahead of what precedes them, and before which most of what follows lies again; and
    the first index of those of which more that follows has yet to be seen."""
    step = np.diff(t, prepend=reached)
    falls = np.flatnonzero(step < -JUMP_US)
    found = np.zeros(len(t), np.bool_)
    good, passed, early = reached, 0, list[int]()
    for start in np.flatnonzero(step > JUMP_US).tolist():
        if start < passed:
            continue
        returns = falls[np.searchsorted(falls, start) :]
        returns = returns[t[returns] < t[start] - JUMP_US]
        if not len(returns):
            continue
        good = int(t[start - 1]) if start > passed else good
        for stop in returns[:ROUNDS].tolist():
            window = _window(stop - start)
            if _goes_on(t[stop : stop + window], good, int(t[start]), stop - start):
                found[start:stop] = True
                passed = stop
                early += [start] if stop + window > len(t) else []
                break
    return found, early[:1]


def _window(length: int) -> int:
    """How many of the events behind a run bear witness against it."""
    return 4 * length + FEW


def _goes_on(following: NDArray[np.int64], good: int, ahead: int, length: int) -> bool:
    """Whether the times that follow go on at `good`, as if the run of `length` that began at `ahead` had not been.

    Zeroed bytes say nothing. Where nothing precedes the run, it takes a whole window of times in good order.
    """
    window = _window(length)
    between = (following >= good - NEAR_US) & (following < ahead - JUMP_US) & (following != 0)
    if good == -FAR:
        step = np.diff(following)
        orderly = np.count_nonzero((step >= -NEAR_US) & (step <= JUMP_US))
        between = between[: window * (len(following) == window and orderly > 0.9 * window)]
    return 2 * int(np.count_nonzero(between)) > max(len(following), length)


def _contradicted(t: NDArray[np.int64], stray: NDArray[np.bool_], good: int) -> NDArray[np.bool_]:
    """[N] Of the times behind the last trusted one, `good`: those that a later one lies before; all behind the first of
    them where they are most."""
    later = np.where(stray | (t < good - JUMP_US), FAR, t)
    bad = stray | (t > np.minimum.accumulate(later[::-1])[::-1] + JUMP_US)
    if 2 * np.count_nonzero(bad) > len(t) > FEW:
        bad[int(np.argmax(bad)) :] = True
    return bad


def _days_apart(t: NDArray[np.int64], reached: int, at_end: bool) -> NDArray[np.bool_]:
    """[N] Times more than a day from the longest stretch that has no such step in it, or from the last good time where
    nothing more follows. What a file begins with is left, unless it is very little: it comes before all damage."""
    known = at_end and reached > -FAR
    starts = np.append(0, np.flatnonzero(np.abs(np.diff(t)) > LONE_US) + 1)
    if not len(t) or (len(starts) == 1 and not known):
        return np.zeros(len(t), np.bool_)
    lengths = np.diff(starts, append=len(t))
    lows, highs = np.minimum.reduceat(t, starts), np.maximum.reduceat(t, starts)
    main = int(np.argmax(lengths * ~_zeroed(t, starts, lengths)))
    low, high = (reached, reached) if known else (lows[main], highs[main])
    far = (highs < low - LONE_US) | (lows > high + LONE_US)
    far[0] &= reached > -FAR or lengths[0] < FEW
    return np.repeat(far, lengths)
