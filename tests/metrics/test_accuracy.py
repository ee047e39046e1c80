"""Accuracy and latency figures against hand-made cases."""

import numpy as np
import pytest

from dvspipe.metrics.accuracy import confusion, recall, wilson
from dvspipe.metrics.latency import percentiles


def test_confusion_and_recall():
    table = confusion([0, 0, 1, 1], [0, 1, 1, 1], classes=3)
    assert table.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert recall(table) == [0.5, 1.0, None]


def test_wilson_against_published_values():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20
    assert wilson(81, 263) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert wilson(0, 20) == (0.0, pytest.approx(0.1611, abs=1e-4))
    assert wilson(0, 0) == (0.0, 1.0)


def test_percentiles_leave_the_warm_up_out():
    slow_start = [1000.0] * 10 + list(np.arange(1, 101, dtype=float))
    figures = percentiles(slow_start)
    assert figures["max_ms"] == 100
    assert figures["p50_ms"] == pytest.approx(50.5)
    assert percentiles([5.0, 7.0])["max_ms"] == 7
    assert percentiles([])["p50_ms"] is None
