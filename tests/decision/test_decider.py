"""The decider: each of its rules, and that one bin at a time, replay, and the rules written out plainly all agree."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from dvspipe.decision.decider import NONE, Decider, DecisionSettings, event_rates
from dvspipe.errors import UsageError

BUSY = 1e6  # events/s
PLAIN = DecisionSettings(evidence_ms=0, hi=0.5, lo=0.5, refractory_ms=0, min_rate=0, quiet_ms=0)


def decide(settings, rows, rates=None, bin_ms=50, spikes=True, resets=None):
    """Class names 'a', 'b', 'c' or '.', one letter per bin."""
    outputs = np.array(rows, float)
    rates = np.full(len(outputs), BUSY) if rates is None else np.array(rates, float)
    labels, _ = Decider(settings, outputs.shape[1], bin_ms, spikes).replay(outputs, rates, resets)
    return "".join("." if label == NONE else "abc"[label] for label in labels)


A, B, C, SILENT = np.eye(3)[0], np.eye(3)[1], np.eye(3)[2], np.zeros(3)


def plainly(settings, outputs, rates, bin_ms, spikes):
    """The module's text in plain Python: [(label, confidence)]."""
    keep = math.exp(-bin_ms / settings.evidence_ms) if settings.evidence_ms else 0.0
    evidence, label, last, told = [0.0] * len(outputs[0]), None, None, []
    since, leading, high_since, busy_at = math.inf, None, None, -1
    for k, (output, rate) in enumerate(zip(outputs, rates)):
        quiet = rate < settings.min_rate
        busy_at = busy_at if quiet else k
        top = max(output)
        exps = [math.exp(value - top) for value in output]
        score = list(output) if spikes else [value / sum(exps) for value in exps]
        score = [0.0] * len(output) if quiet else score
        evidence = [keep * old + (1 - keep) * new for old, new in zip(evidence, score)]
        first, second = sorted(evidence, reverse=True)[:2]
        best = evidence.index(first)
        high = first > 0 and first >= settings.hi
        if high and leading != best:
            high_since = k
        leading = best if high else None
        held = high and (k - high_since) * bin_ms >= settings.hold_ms - 1e-6
        ready = held or first - second > settings.margin
        since += bin_ms
        if quiet and (k - busy_at) * bin_ms >= settings.quiet_ms - 1e-6:
            label = None
        elif ready and best != label and (best == last or since >= settings.refractory_ms - 1e-6):
            label, last, since = best, best, 0.0
        elif label is not None and evidence[label] < settings.lo:
            label = None
        told.append((label, evidence[best if label is None else label] / max(1.0, sum(evidence))))
    return told


def drawn(seed):
    """Settings, outputs that linger on a class, and event rates with quiet stretches."""
    rng = np.random.default_rng(seed)
    hi = rng.random()
    settings = DecisionSettings(
        evidence_ms=float(rng.choice([0, 30, 100, 300])),
        hi=hi,
        lo=hi * rng.random(),
        hold_ms=float(rng.choice([0, 60, 150])),
        margin=float(rng.choice([1.0, 0.5, 0.2])),
        refractory_ms=float(rng.choice([0, 100, 300])),
        min_rate=float(rng.choice([0, 300])),
        quiet_ms=float(rng.choice([0, 50, 120])),
    )
    classes = np.repeat(rng.integers(0, 4, 40), 10)
    outputs = 0.7 * rng.random((400, 4)) * np.eye(4)[classes] + 0.3 * rng.random((400, 4))
    return settings, outputs, np.repeat(rng.integers(0, 1000, 80), 5).astype(float)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("spikes", [True, False])
def test_replay_equals_single_bins_and_the_rules_in_plain_words(seed, spikes):
    settings, outputs, rates = drawn(seed)
    outputs = outputs if spikes else 6 * outputs - 3
    labels, confidences = Decider(settings, 4, 30, spikes).replay(outputs, rates)
    one = Decider(settings, 4, 30, spikes)
    single = [one.update(output, rate) for output, rate in zip(outputs, rates)]
    assert [NONE if each.label is None else each.label for each in single] == labels.tolist()
    assert [each.confidence for each in single] == confidences.tolist()
    expected = plainly(settings, outputs.tolist(), rates.tolist(), 30, spikes)
    assert [NONE if label is None else label for label, _ in expected] == labels.tolist()
    assert [sure for _, sure in expected] == pytest.approx(confidences.tolist())
    assert len(set(labels.tolist())) > 2 or settings.hi > 0.5  # otherwise nothing was put to the test


def test_any_grouping_of_bins_decides_the_same():
    settings, outputs, rates = drawn(3)
    whole, _ = Decider(settings, 4, 30).replay(outputs, rates)
    parts, decider, low = [], Decider(settings, 4, 30), 0
    for size in (1, 7, 0, 150, 242):
        parts.append(decider.replay(outputs[low : low + size], rates[low : low + size])[0])
        low += size
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_evidence_follows_the_leaky_formula():
    decider = Decider(DecisionSettings(evidence_ms=100, hi=0.5, lo=0.4), 3, 25)
    for n in range(1, 8):
        decision = decider.update(B, BUSY)
        gathered = 1 - math.exp(-0.25) ** n
        assert decider.evidence.tolist() == pytest.approx([0, gathered, 0])
        assert decision.label == (1 if gathered >= 0.5 else None)
        assert decision.confidence == pytest.approx(gathered)


def test_silence_decides_nothing_whatever_the_threshold():
    assert decide(replace(PLAIN, hi=0, lo=0), [SILENT] * 3) == "..."


def test_hysteresis_keeps_what_is_above_the_lower_threshold():
    settings = replace(PLAIN, hi=0.6, lo=0.3)
    rows = [[level, 0, 0] for level in (0.5, 0.7, 0.4, 0.3, 0.2, 0.5, 0.6)]
    assert decide(settings, rows) == ".aaa..a"


def test_a_class_is_replaced_only_by_one_that_reaches_hi():
    settings = replace(PLAIN, hi=0.6, lo=0.1)
    rows = [[0.7, 0, 0], [0.2, 0.5, 0], [0.2, 0.6, 0]]
    assert decide(settings, rows) == "aab"


def test_hold_wants_the_same_class_above_hi_for_that_long():
    settings = replace(PLAIN, hold_ms=100)  # two bins after the first
    assert decide(settings, [A, A, A, A]) == "..aa"
    assert decide(settings, [A, A, B, A, A, A]) == ".....a"
    assert decide(replace(PLAIN, hold_ms=90), [A, A, A]) == "..a"  # a part of a bin is a whole one


def test_a_clear_lead_decides_at_once():
    settings = replace(PLAIN, hold_ms=200, margin=0.5)
    assert decide(settings, [[0.9, 0.5, 0], [0.9, 0.3, 0]]) == ".a"
    assert decide(replace(settings, margin=1.0), [A, A]) == ".."


def test_refractory_time_is_between_two_different_classes():
    settings = replace(PLAIN, refractory_ms=150)
    assert decide(settings, [A, B, B, B, B]) == "a..bb"
    assert decide(settings, [A, SILENT, A, B]) == "a.a."  # the same class may come back at once
    assert decide(settings, [A, SILENT, SILENT, B]) == "a..b"


def test_few_events_add_no_evidence_and_end_a_decision_in_time():
    settings = replace(PLAIN, lo=0, min_rate=100, quiet_ms=100)
    assert decide(settings, [A] * 5, rates=[200, 99, 99, 99, 100]) == "aa..a"
    decider = Decider(replace(settings, evidence_ms=100), 3, 50)
    decider.update(A, 200)
    before = decider.evidence[0]
    decider.update(A, 50)
    assert decider.evidence[0] == pytest.approx(before * math.exp(-0.5))


def test_scores_are_compared_by_their_softmax():
    settings = replace(PLAIN, hi=0.6, lo=0.6)
    rows = [[2.0, 0, 0], [-1.0, -2.0, -2.0], [900.0, 900.0, 0]]
    share = math.exp(2) / (math.exp(2) + 2)
    decider = Decider(settings, 3, 50, spikes=False)
    first = decider.update(rows[0], BUSY)
    assert first == (0, pytest.approx(share))
    assert decide(settings, rows, spikes=False) == "a.."  # 0.79, 0.58, 0.5


def test_confidence_is_a_share_where_evidence_adds_up_to_more_than_one():
    decider = Decider(PLAIN, 3, 50)
    assert decider.update([0.8, 0.1, 0], BUSY).confidence == pytest.approx(0.8)
    assert decider.update([0.9, 0.8, 0.3], BUSY).confidence == pytest.approx(0.45)
    assert decider.update([0.2, 0.3, 0], BUSY) == (None, pytest.approx(0.3))  # of the leading class


def test_resets_forget_everything():
    settings = DecisionSettings(evidence_ms=200, hi=0.2, lo=0.1, min_rate=0)
    assert decide(settings, [A, B, SILENT], resets=[False, True, True]) == "ab."
    decider = Decider(settings, 3, 50)
    decider.update(A, BUSY)
    decider.reset()
    assert not decider.evidence.any()
    assert decider.update(B, BUSY).label == 1  # no refractory time either


def test_skipped_bins_leak_and_let_time_pass():
    settings = DecisionSettings(evidence_ms=100, hi=0.3, lo=0.01, refractory_ms=300, min_rate=0)
    decider = Decider(settings, 3, 50)
    assert decider.update(A, BUSY).label == 0
    gathered = decider.evidence[0]
    decider.skip(5)
    assert decider.evidence[0] == pytest.approx(gathered * math.exp(-2.5))
    assert decider.update(B, BUSY).label == 1  # 300 ms later


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hi": 1.2}, "hi = 1.2: allowed is 0 to 1"),
        ({"evidence_ms": -1}, "evidence_ms = -1: allowed is 0 to inf"),
        ({"quiet_ms": math.nan}, "quiet_ms = nan"),
        ({"hi": 0.2, "lo": 0.3}, "lo = 0.3, hi = 0.2"),
    ],
)
def test_wrong_settings_are_told(wrong, message):
    with pytest.raises(UsageError, match=message):
        DecisionSettings(**wrong)


def test_outputs_that_do_not_fit_are_told():
    decider = Decider(PLAIN, 3, 50)
    with pytest.raises(UsageError, match=r"outputs \[1, 4\]"):
        decider.update(np.zeros(4), BUSY)
    with pytest.raises(UsageError, match="2 event rates"):
        decider.replay(np.zeros((3, 3)), np.zeros(2))
    with pytest.raises(UsageError, match="bin_ms = 0"):
        Decider(PLAIN, 3, 0)


def test_event_rates_count_both_polarities():
    frames = np.zeros((2, 2, 3, 3), np.int32)
    frames[1, 0, 0, 0], frames[1, 1, 2, 2] = 2, 3
    assert event_rates(frames, 50_000).tolist() == [0, 100]


def test_a_bin_takes_under_20_us():
    decider, output = Decider(DecisionSettings(), 11, 50), np.random.default_rng(0).random(11)
    best = math.inf
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(50):
            decider.update(output, BUSY)
        best = min(best, (time.perf_counter() - start) / 50)
    assert best < 20e-6
