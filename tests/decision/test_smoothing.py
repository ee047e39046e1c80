"""Evidence: how per-bin scores become decisions."""

import math

import numpy as np
import pytest

from dvspipe.decision.smoothing import Evidence


def one_hot(k, classes=3):
    return np.eye(classes)[k]


def test_nothing_is_decided_on_no_evidence():
    evidence = Evidence(classes=3, bin_ms=10, tau_ms=100, threshold=0.0)
    assert evidence.update(np.zeros(3)) == (None, 0.0)


def test_evidence_follows_the_leaky_formula():
    evidence = Evidence(classes=3, bin_ms=25, tau_ms=100, threshold=0.5)
    keep = math.exp(-0.25)
    for n in range(1, 8):
        decided, confidence = evidence.update(one_hot(1))
        assert evidence.value[1] == pytest.approx(1 - keep**n)
        assert decided == (1 if 1 - keep**n >= 0.5 else None)
        assert confidence == 1.0


def test_without_memory_the_score_decides_alone():
    evidence = Evidence(classes=3, bin_ms=25, tau_ms=0, threshold=0.3)
    evidence.update(one_hot(0))
    assert evidence.update(np.array([0.1, 0.2, 0.3])) == (2, pytest.approx(0.5))
    assert evidence.update(np.array([0.1, 0.2, 0.29]))[0] is None


def test_reset_forgets():
    evidence = Evidence(classes=3, bin_ms=25, tau_ms=100, threshold=0.1)
    evidence.update(one_hot(0))
    evidence.reset()
    assert not evidence.value.any()
