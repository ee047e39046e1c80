"""Choosing decision settings on logged outputs: a bounded, seeded search that maximises one stated objective.

Give it recordings of training subjects only. Knows no network and no files: outputs, event rates and labelled windows.

The objective is a share of the time played, 1 at best. Time counts as right where the decision in force is the label of a
window there, or none outside all windows. From it goes a quarter of a second for every answer that has to be taken back:
a flip (a standing decision given up or replaced inside a window) or a false decision (one begun outside):

    (right seconds - 0.25 (flips + false decisions)) / seconds

A share of time because that is what somebody watching sees, and because latency then counts by itself: every bin until
the right class is in force is a bin lost. Time alone would buy a bin of earliness with any amount of flicker, so what is
taken back has a price in the same coin: about as long as a person takes to notice it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.decision.decider import NONE, Decider, DecisionSettings
from dvspipe.errors import UsageError

TAKEN_BACK_S = 0.25  # what a flip and a false decision cost
DRAWN, CLIMBS, MOST_TRIALS = 1000, 16, 6000
EVIDENCE_MS = (0, 50, 100, 150, 200, 300, 400, 500, 700, 1000)
LEVELS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
SHARES_OF_HI = (0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
MARGINS = (1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1)
HELD_BINS, QUIET_BINS = (0, 1, 2, 3, 4, 6, 8), (1, 2, 3, 4, 6, 8, 12, 16)
GAIN = 1e-12  # less is rounding
QUIET_SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


class Logged(NamedTuple):
    """One recording: outputs [bins,K] of a network whose state was carried, events per second [bins], ends of the bins in
    µs [bins], and labelled windows as (class, start_us, stop_us).
    """

    outputs: NDArray[np.floating]
    event_rates: NDArray[np.float64]
    t_us: NDArray[np.int64]
    windows: Sequence[tuple[int, int, int]]


class Fit(NamedTuple):
    """The settings found, the objective of those given and of those found, and how many were tried."""

    settings: DecisionSettings
    before: float
    after: float
    trials: int


class Objective:
    """The objective of the module's text, for any settings on the same recordings. Raises UsageError without any bin."""

    def __init__(self, recordings: Sequence[Logged], bin_ms: float, spikes: bool = True) -> None:
        if not sum(len(each.t_us) for each in recordings):
            raise UsageError("fitting decisions needs at least one recording with one whole bin of events.")
        self.bin_ms, self.spikes = bin_ms, spikes
        self.outputs = np.concatenate([each.outputs for each in recordings]).astype(np.float64)
        self.rates = np.concatenate([each.event_rates for each in recordings])
        self.classes = self.outputs.shape[1]
        self.begins = np.concatenate([np.arange(len(each.t_us)) == 0 for each in recordings])
        allowed, within = zip(*(_allowed(each, self.classes) for each in recordings))
        self._allowed, self._within = np.concatenate(allowed), np.concatenate(within)

    def __call__(self, settings: DecisionSettings) -> float:
        """How good the decisions are with these settings."""
        decider = Decider(settings, self.classes, self.bin_ms, self.spikes)
        label, _ = decider.replay(self.outputs, self.rates, self.begins)
        before = np.concatenate([[NONE], label[:-1]])
        before[self.begins] = NONE
        right = np.count_nonzero(self._allowed[np.arange(len(label)), label])
        changed = label != before
        flips = np.count_nonzero(changed & (before != NONE) & self._within)
        false = np.count_nonzero(changed & (label != NONE) & self._allowed[:, NONE])
        bin_s = self.bin_ms / 1000
        return float((right * bin_s - TAKEN_BACK_S * (flips + false)) / (len(label) * bin_s))


def _allowed(logged: Logged, classes: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """[bins, K+1]: whether a class, or none (last column), is right at a bin's end; [bins]: whether bin and the one before
    end in one window.
    """
    allowed, within = np.zeros((len(logged.t_us), classes + 1), np.bool_), np.zeros(len(logged.t_us), np.bool_)
    allowed[:, NONE] = True
    for label, start_us, stop_us in logged.windows:
        low, high = np.searchsorted(logged.t_us, (start_us, stop_us), "right")
        allowed[low:high, label] = True
        allowed[low:high, NONE] = False
        within[low + 1 : high] = True
    return allowed, within


def fit_decisions(
    recordings: Sequence[Logged],
    bin_ms: float,
    spikes: bool = True,
    start: DecisionSettings | None = None,
    seed: int = 0,
    on_trial: Callable[[int, int], None] = lambda done, most: None,
) -> Fit:
    """The best settings found: a thousand are drawn from a grid, and from the best sixteen and `start` (default:
    `DecisionSettings()`) one setting at a time is changed until none gains. At most 6,000 are tried: seconds.

    `refractory_ms` stays as given: it is what people put up with, not what data say. The same arguments give the same
    settings. Raises UsageError where there is no bin at all.
    """
    objective, rng = Objective(recordings, bin_ms, spikes), np.random.default_rng(seed)
    grid, search, given = _grid(objective), _Search(objective, on_trial), start or DecisionSettings()
    drawn = [_drawn(given, grid, rng) for _ in range(DRAWN)]
    starts = [given, *sorted(drawn, key=search.value, reverse=True)[:CLIMBS]]
    best = max((search.climb(grid, each) for each in starts), key=search.value)
    return Fit(best, search.value(given), search.value(best), len(search.known))


Grid = dict[str, list[float]]


def _grid(objective: Objective) -> Grid:
    """What is tried of every setting. Event rates come from the data, times in whole bins; lo is a share of hi."""
    rates = np.quantile(objective.rates, QUIET_SHARES)
    return {
        "evidence_ms": [float(each) for each in EVIDENCE_MS],
        "hi": list(LEVELS),
        "lo": list(SHARES_OF_HI),
        "min_rate": [0.0, *dict.fromkeys(float(f"{rate:.2g}") for rate in rates)],
        "quiet_ms": [bins * objective.bin_ms for bins in QUIET_BINS],
        "hold_ms": [bins * objective.bin_ms for bins in HELD_BINS],
        "margin": list(MARGINS),
    }


def _with(settings: DecisionSettings, name: str, value: float) -> DecisionSettings:
    """One setting changed; `lo` is given, and kept when hi changes, as a share of hi."""
    if name == "lo":
        return replace(settings, lo=round(settings.hi * value, 6))
    if name == "hi":
        share = settings.lo / settings.hi if settings.hi else 0.0
        return replace(settings, hi=value, lo=min(value, round(value * share, 6)))
    return replace(settings, **{name: float(value)})


def _drawn(start: DecisionSettings, grid: Grid, rng: np.random.Generator) -> DecisionSettings:
    settings = start
    for name, values in grid.items():
        settings = _with(settings, name, values[int(rng.integers(len(values)))])
    return settings


class _Search:
    """Remembers what was tried, so that climbs share their steps."""

    def __init__(self, objective: Objective, on_trial: Callable[[int, int], None]) -> None:
        self.objective, self.on_trial = objective, on_trial
        self.known: dict[DecisionSettings, float] = {}

    def value(self, settings: DecisionSettings) -> float:
        """The objective, computed once."""
        if settings not in self.known:
            self.known[settings] = self.objective(settings)
            self.on_trial(len(self.known), MOST_TRIALS)
        return self.known[settings]

    def climb(self, grid: Grid, start: DecisionSettings) -> DecisionSettings:
        """Up to where no single change gains; of equals the one that was there before stays."""
        best, gained = start, True
        while gained:
            gained = False
            for name, choice in ((name, choice) for name, choices in grid.items() for choice in choices):
                tried = _with(best, name, choice)
                if len(self.known) < MOST_TRIALS and self.value(tried) > self.value(best) + GAIN:
                    best, gained = tried, True
        return best
