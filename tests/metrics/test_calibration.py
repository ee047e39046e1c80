"""Calibration against hand-made cases."""

import pytest

from dvspipe.metrics.calibration import calibration


def test_a_confidence_that_keeps_its_word_has_no_error():
    result = calibration([0.75] * 4 + [0.25] * 4, [True, True, True, False, True, False, False, False])
    assert result["ece"] == pytest.approx(0.0)
    assert [(row["low"], row["count"], row["accuracy"]) for row in result["bins"]] == [(0.2, 4, 0.25), (0.7, 4, 0.75)]


def test_error_is_the_gap_weighted_by_answers():
    result = calibration([1.0, 1.0, 1.0, 0.5], [True, False, False, True])
    assert result["ece"] == pytest.approx((3 * (1 - 1 / 3) + 1 * 0.5) / 4)
    assert result["bins"][-1]["high"] == 1.0  # full confidence belongs to the last bin


def test_no_answers_and_unequal_lengths():
    assert calibration([], [])["ece"] is None
    with pytest.raises(ValueError, match="2 confidences and 1 answers"):
        calibration([0.1, 0.2], [True])
