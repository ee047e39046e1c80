"""Latency: percentiles of a recorded list, after a stated warm-up. Wall-clock only; knows no network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WARM_UP = 10  # the first decisions pay for caches and first calls; they are left out and this number is reported


def percentiles(milliseconds: Sequence[float], warm_up: int = WARM_UP) -> dict[str, float | None]:
    """`p50_ms, p95_ms, p99_ms, max_ms` of latencies in ms. All None when nothing was measured.

    The warm-up is left out only where at least as many measurements remain.
    """
    kept = list(milliseconds[warm_up:] if len(milliseconds) >= 2 * warm_up else milliseconds)
    if not kept:
        return {"p50_ms": None, "p95_ms": None, "p99_ms": None, "max_ms": None}
    p50, p95, p99 = np.percentile(kept, (50, 95, 99)).tolist()
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "max_ms": float(max(kept))}
