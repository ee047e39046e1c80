"""How long one has to look until the answer is right, and until it stays right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def decision_times(t_ms: Sequence[float], correct: NDArray[np.bool_]) -> dict[str, Any]:
    """`correct` [times, samples]: whether the answer after observing `t_ms[k]` (ascending) was right.

    Returns `first_correct_ms` and `stable_correct_ms`, medians over the samples that reach it, with
    `first_correct_share` and `stable_correct_share` of samples that do; stable means right from then on to the last
    time. None and 0 where no sample does. The times are as fine as `t_ms`.
    """
    times = np.asarray(t_ms, float)
    # A sample is stable from the first time after its last wrong answer.
    settled = np.logical_and.accumulate(correct[::-1], axis=0)[::-1]
    return {**_median("first_correct", times, correct), **_median("stable_correct", times, settled)}


def _median(name: str, times: NDArray[np.float64], reached: NDArray[np.bool_]) -> dict[str, float | None]:
    ever = reached.any(0)
    when = times[reached.argmax(0)[ever]]
    return {f"{name}_ms": float(np.median(when)) if len(when) else None, f"{name}_share": float(ever.mean())}
