"""Fits events of one sensor to the size another was trained on: the centred square (or rectangle) is cut out and scaled.

Knows nothing about networks; integer arithmetic only, so that every chunk is fitted alike.
"""

from __future__ import annotations

import numpy as np

from dvspipe.events.columns import Events


def fit_sensor(events: Events, size: tuple[int, int]) -> Events:
    """Events on a sensor of `size` (W, H): the largest centred part of the same aspect ratio, scaled down or up.

    Events outside that part are left out. Unchanged where the sizes agree.
    """
    if events.sensor_size == size:
        return events
    (width, height), (to_width, to_height) = events.sensor_size, size
    part_width = min(width, height * to_width // to_height)
    part_height = min(height, width * to_height // to_width)
    left, top = (width - part_width) // 2, (height - part_height) // 2
    x, y = events.x.astype(np.int64) - left, events.y.astype(np.int64) - top
    inside = (x >= 0) & (x < part_width) & (y >= 0) & (y < part_height)
    x, y = x[inside] * to_width // part_width, y[inside] * to_height // part_height
    return Events.of(events.t[inside], x, y, events.p[inside], size)
