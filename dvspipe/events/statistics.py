"""What a recording is like in a few numbers, to lay real and simulated recordings side by side. Knows no files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvspipe.events.columns import Events

AREA_WINDOW_US = 50_000


def statistics(events: Events) -> dict[str, float]:
    """Figures of events in any order.

    `events`; `duration_s` from the first to the last; `rate_hz` events per second; `on_fraction`; `interval_median_us`
    and `interval_p90_us` between two events of the same pixel; `active_area`, the share of pixels that fire within
    50 ms, mean over the windows. What cannot be said about so few events is nan.
    """
    n = len(events)
    span_us = int(events.t.max() - events.t.min()) if n else 0
    intervals = _intervals(events)
    return {
        "events": float(n),
        "duration_s": span_us * 1e-6,
        "rate_hz": n / (span_us * 1e-6) if span_us else float("nan"),
        "on_fraction": float(events.p.mean()) if n else float("nan"),
        "interval_median_us": float(np.median(intervals)) if len(intervals) else float("nan"),
        "interval_p90_us": float(np.percentile(intervals, 90)) if len(intervals) else float("nan"),
        "active_area": _active_area(events) if n else float("nan"),
    }


def _pixel(events: Events) -> NDArray[np.int64]:
    return events.y.astype(np.int64) * events.sensor_size[0] + events.x


def _intervals(events: Events) -> NDArray[np.int64]:
    """Times in µs between successive events of one pixel, all pixels together."""
    pixel = _pixel(events)
    order = np.lexsort((events.t, pixel))
    same = np.diff(pixel[order]) == 0
    return np.diff(events.t[order])[same]


def _active_area(events: Events) -> float:
    width, height = events.sensor_size
    window = (events.t - events.t.min()) // AREA_WINDOW_US
    fired = np.unique(window * (width * height) + _pixel(events))
    return len(fired) / (width * height) / int(window.max() + 1)
