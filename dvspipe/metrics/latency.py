"""Latency: percentiles of a recorded list, after a stated warm-up. Wall-clock only; knows no network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WARM_UP = 10  # the first decisions pay for caches and first calls; they are left out and this number is reported
PERCENTILES = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "p999_ms": 99.9, "max_ms": 100}


def percentiles(milliseconds: Sequence[float], warm_up: int = WARM_UP) -> dict[str, float | None]:
    """`p50_ms, p95_ms, p99_ms, p999_ms, max_ms` of latencies in ms. All None when nothing was measured.

    The warm-up is left out only where at least as many measurements remain.
    """
    kept = np.asarray(milliseconds[warm_up:] if len(milliseconds) >= 2 * warm_up else milliseconds, float)
    if not len(kept):
        return dict.fromkeys(PERCENTILES)
    return dict(zip(PERCENTILES, np.percentile(kept, list(PERCENTILES.values())).tolist()))
