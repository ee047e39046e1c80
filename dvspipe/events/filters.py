"""Filters over events: crop, downsample, flip, cut in time, drop noise and hot pixels.

Pure functions: `Events` in, new `Events` out, nothing edited in place. The two that need the past take it as an
argument and hand it back, so that a stream filtered chunk by chunk gives what the whole recording gives. Knows
nothing of files or frames.
"""

from __future__ import annotations

import logging
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import DvspipeError
from dvspipe.events import kernels, reference
from dvspipe.events.columns import Events

NEVER = np.iinfo(np.int64).min


def chosen() -> Any:
    """The module of loops: compiled ones, or numpy's, with a line in the log, where numba compiles nothing."""
    if not numba.config.DISABLE_JIT:
        return kernels
    logging.getLogger(__name__).warning("NUMBA_DISABLE_JIT is set: events are filtered by numpy, many times slower.")
    return reference


loops = chosen()


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
    return _events(loops.inside(_columns(events), left, top, width, height), len(events), (width, height))


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
    kept = loops.supported(_columns(events), padded, support_us)
    return _events(kept, len(events), events.sensor_size), padded[1:-1, 1:-1].copy()


def count_pixels(events: Events, counts: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Events per pixel, int64 [H,W], added to `counts` of the chunks before."""
    width, height = events.sensor_size
    total = np.zeros((height, width), np.int64) if counts is None else counts.astype(np.int64)
    loops.count(np.ascontiguousarray(events.x), np.ascontiguousarray(events.y), total)
    return total


def find_hot_pixels(counts: NDArray[np.int64], factor: float = 10.0, least: int = 50) -> NDArray[np.bool_]:
    """Pixels bool [H,W] that fire far more than their neighbourhood: at least `least` events, and more than `factor`
    times the median of their eight neighbours. Compared locally, because a busy edge is no defect; a median, so that
    hot pairs are found too.
    """
    padded = np.pad(counts, 1, mode="reflect") if min(counts.shape) > 1 else np.pad(counts, 1)
    return (counts >= least) & (2 * counts > factor * loops.middle(padded))


def remove_pixels(events: Events, pixels: NDArray[np.bool_]) -> Events:
    """Events whose pixel is False in `pixels` [H,W]."""
    return _events(loops.sparing(_columns(events), np.ascontiguousarray(pixels)), len(events), events.sensor_size)


def _columns(events: Events) -> reference.Columns:
    """Contiguous ones: loops are compiled once per memory layout."""
    contiguous = np.ascontiguousarray
    return contiguous(events.t), contiguous(events.x), contiguous(events.y), contiguous(events.p)


def _events(kept: reference.Columns, of: int, sensor_size: tuple[int, int]) -> Events:
    """Copied when few of all are kept, so that they do not hold the room of all."""
    t, x, y, p = kept
    if 2 * len(t) < of:
        t, x, y, p = t.copy(), x.copy(), y.copy(), p.copy()
    return Events(t, x, y, p, sensor_size)
