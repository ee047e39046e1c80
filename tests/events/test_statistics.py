"""Statistics on events small enough to count by hand."""

import math

import numpy as np
import pytest

from dvspipe.events import Events
from dvspipe.events.statistics import statistics


def test_figures_of_a_recording_counted_by_hand():
    events = Events.of([0, 10, 40, 100_000], [1, 1, 2, 1], [0, 0, 0, 0], [1, 1, 0, 1], (4, 2))
    found = statistics(events)
    assert found["events"] == 4 and found["duration_s"] == pytest.approx(0.1)
    assert found["rate_hz"] == pytest.approx(40.0)
    assert found["on_fraction"] == 0.75
    assert found["interval_median_us"] == (10 + 99_990) / 2
    assert found["interval_p90_us"] == pytest.approx(10 + 0.9 * 99_980)
    assert found["active_area"] == pytest.approx((2 + 0 + 1) / 8 / 3)


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    events = Events.of(*rng.integers(0, 100, (3, 500)), rng.integers(0, 2, 500), (100, 100))
    assert statistics(events) == statistics(events[rng.permutation(500)])


def test_nothing_can_be_said_about_no_events():
    found = statistics(Events.empty((4, 4)))
    assert found.pop("events") == 0 and found.pop("duration_s") == 0
    assert all(math.isnan(value) for value in found.values())
