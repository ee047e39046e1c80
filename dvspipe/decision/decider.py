"""Outputs of a network, bin by bin -> the class that is decided, or none: leaky evidence, two thresholds, a refractory time.

Per bin, in this order:

1. A bin with fewer than `min_rate` events/s is quiet. Its score is 0 for every class; otherwise the score is the output
   itself (spike rates 0..1) or its softmax (real-valued outputs).
2. Evidence e <- a e + (1 - a) score, a = exp(-bin / evidence_ms): a leaky mean, so 0..1 for every class.
3. The leading class is ready when its evidence has been at `hi` or above, leading, for `hold_ms`; or at once where it is
   ahead of the second by more than `margin` (early exit).
4. A ready class is decided, and replaces what was decided. Another class than the last one has to wait until
   `refractory_ms` after that one was decided. What is decided is given up below `lo`, and after `quiet_ms` of quiet bins.

One compiled loop runs over one bin or over a whole recording, so that replaying logged outputs decides what was decided
live, however the bins are grouped. Knows no network, no frames and no clock but the bins'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvspipe.errors import UsageError

NONE = -1  # where a class number stands for no decision
LABEL, LAST, LEADING, HELD, AGE, QUIET = range(6)  # memory: two classes, the leading one, and three counts of bins
LONG_AGO = 1 << 30
SHARES = ("hi", "lo", "margin")


@dataclass(frozen=True, slots=True)
class DecisionSettings:
    """When evidence becomes a decision. Times in ms; `hi`, `lo` and `margin` are evidence, 0..1; `min_rate` in events/s.

    `evidence_ms` 0 means no memory, `margin` 1 no early exit. Raises UsageError for values out of range.
    """

    evidence_ms: float = 300.0
    hi: float = 0.25
    lo: float = 0.15
    hold_ms: float = 0.0
    margin: float = 1.0
    refractory_ms: float = 300.0
    min_rate: float = 400.0
    quiet_ms: float = 100.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value, most = getattr(self, name), 1.0 if name in SHARES else math.inf
            if not (0 <= value <= most and math.isfinite(value)):
                raise UsageError(f"decision setting {name} = {value}: allowed is 0 to {most:g}, and finite.")
        if self.lo > self.hi:
            raise UsageError(
                f"decision settings lo = {self.lo}, hi = {self.hi}: what is decided at hi is given up below lo, which may "
                "therefore be at most hi."
            )


class Decision(NamedTuple):
    """`label` is the number of the decided class or None.

    `confidence` 0..1: evidence of the decided class (of the leading one where nothing is decided), divided by that of
    all classes where they amount to more than 1. Of softmax scores, the leaky mean of its probability. Spike rates
    trained to one-hot by mean squared error estimate that probability too, without having to add up to 1.
    """

    label: int | None
    confidence: float


class Decider:
    """Decides bin by bin. `spikes` says whether outputs are spike rates (0..1) or real-valued scores.

    `evidence` [K] is what has gathered. Raises UsageError for a bin length that is not above 0.
    """

    def __init__(self, settings: DecisionSettings, classes: int, bin_ms: float, spikes: bool = True) -> None:
        if not bin_ms > 0:
            raise UsageError(f"bin_ms = {bin_ms}: a bin must last longer than 0 ms.")
        self.settings, self.classes, self.bin_ms, self.spikes = settings, classes, bin_ms, spikes
        self._keep = math.exp(-bin_ms / settings.evidence_ms) if settings.evidence_ms else 0.0
        self._levels = np.array([settings.hi, settings.lo, settings.margin, settings.min_rate])
        waits = (settings.hold_ms, settings.refractory_ms, settings.quiet_ms)
        self._waits = np.array([math.ceil(wait / bin_ms - 1e-9) for wait in waits], np.int64)
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as after a gap in the recording."""
        self.evidence = np.zeros(self.classes)
        self._memory = np.array([NONE, NONE, NONE, 0, LONG_AGO, 0], np.int64)

    def update(self, output: ArrayLike, event_rate: float) -> Decision:
        """Takes the output [K] of one bin and its events per second."""
        labels, confidences = self.replay(np.asarray(output)[None], np.array([event_rate], np.float64))
        label = int(labels[0])
        return Decision(None if label == NONE else label, float(confidences[0]))

    def replay(
        self, outputs: ArrayLike, event_rates: ArrayLike, resets: ArrayLike | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Takes outputs [bins,K] and events per second [bins]; gives labels [bins], `NONE` where nothing is decided, and
        confidences [bins].

        `resets` [bins] is True where everything is forgotten before the bin. Goes on from what was decided before, and
        equals as many single updates. Raises UsageError for outputs that do not fit.
        """
        scores, rates = np.ascontiguousarray(outputs, np.float64), np.ascontiguousarray(event_rates, np.float64)
        forget = np.zeros(len(rates), np.bool_) if resets is None else np.ascontiguousarray(resets, np.bool_)
        if scores.shape != (len(rates), self.classes) or len(forget) != len(rates):
            raise UsageError(
                f"outputs {list(scores.shape)} with {len(rates)} event rates and {len(forget)} resets: this decider takes "
                f"[bins, {self.classes}] and one of each per bin."
            )
        labels, confidences = np.empty(len(rates), np.int64), np.empty(len(rates))
        told = (self._keep, self._levels, self._waits, self.spikes)
        _decide(scores, rates, forget, told, self.evidence, self._memory, labels, confidences)
        return labels, confidences

    def skip(self, bins: int) -> None:
        """Time passes over `bins` that nobody looked at: evidence leaks, nothing is decided or given up."""
        self.evidence *= self._keep**bins
        self._memory[AGE] += bins


def event_rates(frames: NDArray[np.integer], bin_us: int) -> NDArray[np.float64]:
    """Events per second of every bin: frames of counts [T,2,H,W] -> [T]."""
    rates: NDArray[np.float64] = frames.sum((1, 2, 3), dtype=np.int64) * (1e6 / bin_us)
    return rates


@numba.njit(cache=True)
def _decide(scores, rates, forget, told, evidence, memory, labels, confidences):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Runs over the bins; `evidence` [K] and `memory` [6] are carried from one to the next."""
    keep, levels, waits, spikes = told
    score = np.empty(len(evidence))
    for k in range(len(rates)):
        if forget[k]:
            evidence[:], memory[: LEADING + 1], memory[HELD], memory[AGE], memory[QUIET] = 0.0, NONE, 0, LONG_AGO, 0
        quiet = rates[k] < levels[3]
        _score(scores[k], quiet, spikes, score)
        for c in range(len(evidence)):
            evidence[c] = keep * evidence[c] + (1.0 - keep) * score[c]
        memory[QUIET] = memory[QUIET] + 1 if quiet else 0
        best, ready = _ready(evidence, levels, waits, memory)
        _settle(evidence, levels, waits, memory, best, ready)
        shown = best if memory[LABEL] == NONE else memory[LABEL]
        labels[k], confidences[k] = memory[LABEL], evidence[shown] / max(1.0, evidence.sum())


@numba.njit(cache=True)
def _score(output, quiet, spikes, score):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """What this bin says of every class, 0..1."""
    if quiet:
        score[:] = 0.0
    elif spikes:
        score[:] = output
    else:
        top, total = output.max(), 0.0
        for c in range(len(score)):
            score[c] = math.exp(output[c] - top)
            total += score[c]
        score /= total


@numba.njit(cache=True)
def _ready(evidence, levels, waits, memory):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """The leading class (the first of equals), and whether it may be decided."""
    best, second = 0, -1.0
    for c in range(1, len(evidence)):
        if evidence[c] > evidence[best]:
            best, second = c, evidence[best]
        else:
            second = max(second, evidence[c])
    top = evidence[best]
    high = top > 0.0 and top >= levels[0]
    memory[HELD] = memory[HELD] + 1 if high and memory[LEADING] == best else 0
    memory[LEADING] = best if high else NONE
    return best, (high and memory[HELD] >= waits[0]) or top - max(second, 0.0) > levels[2]


@numba.njit(cache=True)
def _settle(evidence, levels, waits, memory, best, ready):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Keeps, replaces or gives up what is decided."""
    label = memory[LABEL]
    memory[AGE] = min(memory[AGE] + 1, LONG_AGO)
    if memory[QUIET] > 0 and memory[QUIET] >= waits[2]:
        memory[LABEL] = NONE
    elif ready and best != label and (best == memory[LAST] or memory[AGE] >= waits[1]):
        memory[LABEL], memory[LAST], memory[AGE] = best, best, 0
    elif label != NONE and evidence[label] < levels[1]:
        memory[LABEL] = NONE
