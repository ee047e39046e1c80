"""Time to the first right answer and to the one that stays."""

import numpy as np

from dvspipe.metrics.decision_time import decision_times

RIGHT = np.array(  # rows: 50, 100, 200 ms; columns: samples
    [
        [True, True, False, False],
        [True, False, False, True],
        [True, True, False, False],
    ]
)


def test_first_and_stable():
    result = decision_times([50, 100, 200], RIGHT)
    assert result["first_correct_ms"] == 50  # samples at 50, 50, never, 100
    assert result["first_correct_share"] == 0.75
    assert result["stable_correct_ms"] == 125  # 50 and 200: the others are wrong at the end
    assert result["stable_correct_share"] == 0.5


def test_never_right():
    result = decision_times([50, 100, 200], np.zeros((3, 5), bool))
    assert result["first_correct_ms"] is None and result["stable_correct_ms"] is None
    assert result["first_correct_share"] == result["stable_correct_share"] == 0.0
