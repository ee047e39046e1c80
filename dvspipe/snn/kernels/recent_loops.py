"""The compiled squeeze of temporal attention that looks back, for inference: one call instead of a dozen small operators.

Plain loops over [T,B]. Knows no torch.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def recent_scores(mean, maximum, w0, w1, score):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """score [T,B] = w1 (relu(w0 · last means) + relu(w0 · last maxima)), each of the last n steps, oldest first.

    `mean` and `maximum` [n - 1 + T, B] begin with what was remembered; w0 [h,n], w1 [1,h].
    """
    bins = w0.shape[1]
    for t in range(score.shape[0]):
        for b in range(score.shape[1]):
            total = np.float32(0.0)
            for h in range(len(w0)):
                by_mean, by_max = np.float32(0.0), np.float32(0.0)
                for k in range(bins):
                    by_mean += w0[h, k] * mean[t + k, b]
                    by_max += w0[h, k] * maximum[t + k, b]
                total += w1[0, h] * (max(by_mean, np.float32(0.0)) + max(by_max, np.float32(0.0)))
            score[t, b] = total
