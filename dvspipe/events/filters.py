"""Filters over events: crop, downsample, flip, cut in time, drop noise and hot pixels.

Pure functions: `Events` in, new `Events` out, nothing edited in place. The two that need the past take it as an
argument and hand it back, so that a stream filtered chunk by chunk gives what the whole recording gives. Knows
nothing of files or frames.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dvspipe.errors import DvspipeError
from dvspipe.events.columns import Events

NEVER = np.iinfo(np.int64).min


def crop(events: Events, left: int, top: int, width: int, height: int) -> Events:
    """Events inside the box, its upper left corner becoming (0, 0). Raises DvspipeError when the box leaves the
    sensor.
    """
    full_width, full_height = events.sensor_size
    fits = 0 <= left <= left + width <= full_width and 0 <= top <= top + height <= full_height
    if not fits or width < 1 or height < 1:
        raise DvspipeError(
            f"crop {width}x{height} at ({left}, {top}) must lie inside the {full_width}x{full_height} sensor."
        )
    x, y = events.x.astype(np.int32) - left, events.y.astype(np.int32) - top
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return Events.of(events.t[inside], x[inside], y[inside], events.p[inside], (width, height))


def downsample(events: Events, factor: int) -> Events:
    """Integer division of the coordinates; no event is lost. Where `factor` does not divide the sensor, the last
    column and row cover fewer pixels: 346x260 by 4 is 87x65.
    """
    if factor < 1:
        raise DvspipeError(f"factor = {factor}: allowed is a whole number of at least 1.")
    width, height = events.sensor_size
    size = (-(-width // factor), -(-height // factor))
    return Events(events.t, events.x // np.uint16(factor), events.y // np.uint16(factor), events.p, size)


def flip_left_right(events: Events) -> Events:
    """Mirrored at the vertical axis. A right hand becomes a left hand: labels that name a side change with it."""
    return Events(events.t, np.uint16(events.sensor_size[0] - 1) - events.x, events.y, events.p, events.sensor_size)


def flip_up_down(events: Events) -> Events:
    """Upside down."""
    return Events(events.t, events.x, np.uint16(events.sensor_size[1] - 1) - events.y, events.p, events.sensor_size)


def flip_polarity(events: Events) -> Events:
    """ON becomes OFF, OFF becomes ON: the scene's negative."""
    return Events(events.t, events.x, events.y, ~events.p, events.sensor_size)


def time_window(events: Events, start_us: int, stop_us: int, rezero: bool = False) -> Events:
    """Events with start_us <= t < stop_us; with `rezero` their times count from start_us."""
    kept = events.between(start_us, stop_us)
    return Events(kept.t - start_us, kept.x, kept.y, kept.p, kept.sensor_size) if rezero else kept


def denoise(
    events: Events, support_us: int, latest: NDArray[np.int64] | None = None
) -> tuple[Events, NDArray[np.int64]]:
    """Background-activity filter: keeps an event when one of its eight neighbours fired in the `support_us` before
    it.

    Noise is alone, edges move in company (T. Delbruck, "Frame-free dynamic digital vision", 2008). `latest` int64
    [H,W] is the time of every pixel's last event, None at the start of a recording; returns the kept events and the
    new `latest`.
    """
    if support_us < 0:
        raise DvspipeError(f"support_us = {support_us}: allowed is 0 or more.")
    width, height = events.sensor_size
    # A border of one pixel that never fires, so that the loop needs no special case at the edges.
    padded = np.full((height + 2, width + 2), NEVER, np.int64)
    if latest is not None:
        padded[1:-1, 1:-1] = latest
    keep = _supported(events.t, events.x, events.y, padded, support_us)
    return events[keep], padded[1:-1, 1:-1].copy()


@njit(cache=True, nogil=True)
def _supported(t, x, y, padded, support):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    keep = np.zeros(len(t), np.bool_)
    for i in range(len(t)):
        column, row, oldest = np.int64(x[i]), np.int64(y[i]), t[i] - support
        for dy in range(3):
            for dx in range(3):
                if (dy != 1 or dx != 1) and padded[row + dy, column + dx] >= oldest:
                    keep[i] = True
        padded[row + 1, column + 1] = t[i]
    return keep


def count_pixels(events: Events, counts: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Events per pixel, int64 [H,W], added to `counts` of the chunks before."""
    width, height = events.sensor_size
    flat = np.bincount(events.y.astype(np.int64) * width + events.x, minlength=width * height).reshape(height, width)
    return flat if counts is None else counts + flat


def find_hot_pixels(counts: NDArray[np.int64], factor: float = 10.0, least: int = 50) -> NDArray[np.bool_]:
    """Pixels bool [H,W] that fire far more than their neighbourhood: at least `least` events, and more than `factor`
    times the median of their eight neighbours. Compared locally, because a busy edge is no defect; a median, so that
    hot pairs are found too.
    """
    padded = np.pad(counts, 1, mode="reflect") if min(counts.shape) > 1 else np.pad(counts, 1)
    height, width = counts.shape
    around = [padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    return (counts >= least) & (counts > factor * np.median(np.stack(around), axis=0))


def remove_pixels(events: Events, pixels: NDArray[np.bool_]) -> Events:
    """Events whose pixel is False in `pixels` [H,W]."""
    return events[~pixels[events.y, events.x]]
