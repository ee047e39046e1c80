"""Fitting decision settings: the objective by hand, and a search that finds what helps, again and again the same."""

import time
from dataclasses import replace

import numpy as np
import pytest

from dvspipe.decision.decider import DecisionSettings
from dvspipe.decision.fitting import MOST_TRIALS, TAKEN_BACK_S, Logged, Objective, fit_decisions
from dvspipe.errors import UsageError

BIN_US = 100_000
AT_ONCE = DecisionSettings(evidence_ms=0, hi=0.5, lo=0.5, refractory_ms=0, min_rate=0, quiet_ms=0)


def spoken(letters, windows):
    """A recording whose network fires for class 'a', 'b' or none, a letter per bin of 100 ms."""
    outputs = np.array([np.eye(3)["ab".index(each)] if each in "ab" else np.zeros(3) for each in letters])
    ends = BIN_US * np.arange(1, len(letters) + 1)
    return Logged(outputs, np.full(len(letters), 1e5), ends, windows)


def noisy(seed, bins=300, classes=5, spikes=True):
    """Windows of 1 s with pauses of 1 s; inside, the right class fires in 6 of 10 bins; outside, few events and noise."""
    rng = np.random.default_rng(seed)
    windows = [
        (int(rng.integers(classes)), start * BIN_US, (start + 10) * BIN_US) for start in range(10, bins - 10, 20)
    ]
    truth, ends = np.full(bins, -1), BIN_US * np.arange(1, bins + 1)
    for label, start, stop in windows:
        truth[(ends > start) & (ends <= stop)] = label
    fires = np.where(rng.random(bins) < 0.6, truth, rng.integers(-1, classes, bins))
    outputs = np.vstack([np.eye(classes), np.zeros(classes)])[fires]
    rates = np.where(truth < 0, 500.0, 5000.0) * rng.uniform(0.5, 1.5, bins)
    return Logged(outputs if spikes else 8 * outputs, rates, ends, windows)


def test_the_objective_by_hand():
    # Window of class a over bins 2 to 6 (ends 0.3 to 0.7 s). Right: bins 0, 2, 3, 5, 6, 8, 9. A flip at bin 4.
    # False decisions at bins 1 and 7; what begins at bin 1 does not count again.
    one = spoken(".baaba" + "ab..", [(0, 2 * BIN_US, 7 * BIN_US)])
    expected = (0.7 - 4 * TAKEN_BACK_S) / 1.0  # b -> a at bin 2 crosses the onset and is no flip; a -> b -> a is two
    assert Objective([one], 100)(AT_ONCE) == pytest.approx(expected)


def test_recordings_do_not_run_into_each_other():
    first, second = spoken("..a", []), spoken("a..", [(0, 0, BIN_US)])
    alone = [Objective([each], 100)(AT_ONCE) for each in (first, second)]
    assert alone == pytest.approx([(0.2 - TAKEN_BACK_S) / 0.3, 1.0])
    assert Objective([first, second], 100)(AT_ONCE) == pytest.approx(np.mean(alone))


def test_overlapping_windows_are_right_with_either_class():
    both = [(0, 0, 3 * BIN_US), (1, BIN_US, 3 * BIN_US)]
    assert Objective([spoken("ab.", both)], 100)(AT_ONCE) == pytest.approx((0.2 - 2 * TAKEN_BACK_S) / 0.3)


@pytest.mark.parametrize("spikes", [True, False])
def test_fitting_gains_on_what_it_saw_and_on_what_it_did_not(spikes):
    seen, unseen = ([noisy(seed, spikes=spikes) for seed in seeds] for seeds in (range(6), range(100, 106)))
    start = DecisionSettings()
    begun = time.perf_counter()
    fit = fit_decisions(seen, 100, spikes, start)
    assert time.perf_counter() - begun < 20
    assert fit.before == Objective(seen, 100, spikes)(start)
    assert fit.after == Objective(seen, 100, spikes)(fit.settings) > fit.before + 0.1
    assert Objective(unseen, 100, spikes)(fit.settings) > Objective(unseen, 100, spikes)(start) + 0.1
    assert fit.settings.min_rate > 500  # most of the pauses have less
    assert fit.settings.refractory_ms == start.refractory_ms
    assert fit.trials <= MOST_TRIALS


def test_the_same_seed_finds_the_same():
    recordings = [noisy(1, bins=100), noisy(2, bins=100)]
    assert fit_decisions(recordings, 100, seed=4) == fit_decisions(recordings, 100, seed=4)


def test_no_single_change_of_the_grid_is_better():
    recordings = [noisy(1, bins=100), noisy(2, bins=100)]
    fit, objective = fit_decisions(recordings, 100), Objective(recordings, 100)
    for change in (
        {"evidence_ms": 100.0},
        {"evidence_ms": 500.0},
        {"hold_ms": 200.0},
        {"margin": 0.3},
        {"quiet_ms": 300.0},
    ):
        assert objective(replace(fit.settings, **change)) <= fit.after


def test_nothing_to_fit_on_is_told():
    with pytest.raises(UsageError, match="at least one recording"):
        fit_decisions([], 100)
    with pytest.raises(UsageError, match="at least one recording"):
        fit_decisions([spoken("", [])], 100)
