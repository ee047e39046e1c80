"""Spread and paired differences against hand-made and textbook cases."""

import pytest

from dvspipe.metrics.paired import mean_std, paired_difference


def test_mean_and_sample_deviation():
    assert mean_std([1.0, 2.0, 3.0]) == {"mean": 2.0, "std": 1.0}
    assert mean_std([5.0]) == {"mean": 5.0, "std": None}


def test_paired_interval_is_students():
    # differences 1, 2, 3: mean 2, sd 1, t(0.975, 2) = 4.3027
    found = paired_difference([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert found["mean"] == 2.0
    assert found["low"] == pytest.approx(2 - 4.30265 / 3**0.5, abs=1e-4)
    assert found["high"] == pytest.approx(2 + 4.30265 / 3**0.5, abs=1e-4)
    assert paired_difference([1.0], [0.5]) == {"mean": 0.5, "low": None, "high": None}
    with pytest.raises(ValueError, match="paired"):
        paired_difference([1.0], [1.0, 2.0])
