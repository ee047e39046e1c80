"""From raw columns to `Events` that lie inside the sensor: what the format files share. Knows no format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.events import Events
from dvspipe.recordings.recording import Damage, Recording
from dvspipe.recordings.strays import judge, smooth

LARGEST_T = 2.0**62
Rows = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]  # t, x, y, p [N] of any number type
Columns = tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.bool_]]


def empty_columns(room: int) -> Columns:
    """Uninitialised t, x, y, p [room] for a decoder to fill."""
    return np.empty(room, np.int64), np.empty(room, np.uint16), np.empty(room, np.uint16), np.empty(room, np.bool_)


def filled(columns: Columns, count: int, sensor_size: tuple[int, int]) -> Events:
    """The first `count` events; copied when they are few, so that a small chunk does not hold a large buffer."""
    t, x, y, p = columns
    if count <= len(t) // 2:
        return Events(t[:count].copy(), x[:count].copy(), y[:count].copy(), p[:count].copy(), sensor_size)
    return Events(t[:count], x[:count], y[:count], p[:count], sensor_size)


class Deliverer:
    """Hands a recording's events on and keeps what a damage report needs: the last good time, and whether to go on."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.last_t: int | None = None
        self.going = True

    def deliver(self, events: Events) -> Iterator[Events]:
        """Yields the events unless there are none, and remembers the last time."""
        if len(events):
            self.last_t = int(events.t[-1])
            yield events

    def report(self, kind: str, offset: int, lost_bytes: int, note: str = "") -> None:
        """Reports damage; `going` tells afterwards whether to read on. Raises as `Recording.report` does."""
        self.going = self.recording.report(Damage(kind, offset, lost_bytes, self.last_t, note)) and self.going

    def around(self, events: Events, before: int, kind: str, offset: int, lost: int, note: str) -> Iterator[Events]:
        """Yields `events[:before]`, reports, and yields the rest if reading may go on."""
        yield from self.deliver(events[:before])
        self.report(kind, offset, lost, note)
        if self.going:
            yield from self.deliver(events[before:])

    def inside(self, rows: Rows, offset: int = 0, row_bytes: int = 0) -> Iterator[Events]:
        """Yields the rows that lie inside the sensor and have possible times, and reports the others.

        `offset` is the byte of row 0 and `row_bytes` the bytes of a row; 0 where the container hides them.
        """
        t, x, y, p = rows
        size = self.recording.sensor_size
        outside = ~((x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1]))  # true for NaN too
        timeless = ~(np.abs(t) < LARGEST_T) if t.dtype.kind == "f" else np.zeros(len(t), np.bool_)
        t = np.where(timeless, 0, np.rint(t)).astype(np.int64) if t.dtype.kind == "f" else t
        bad = outside | timeless
        if bad.any():
            bad[~bad] = stray_times(t[~bad])
        else:
            bad = stray_times(t)
        if not bad.any():
            yield from self.deliver(Events.of(t, x, y, p, size))
            return
        first, lost = int(np.argmax(bad)), int(np.count_nonzero(bad))
        events = Events.of(t[~bad], x[~bad], y[~bad], p[~bad], size)
        kind = "out-of-bounds" if outside[first] else "corrupt"
        yield from self.around(events, first, kind, offset + first * row_bytes, lost * row_bytes, f"{lost} events")


def stray_times(t: NDArray[Any]) -> NDArray[np.bool_]:
    """[N] True where the times around it contradict a time, as far as these alone can tell; see `strays`."""
    t = t.astype(np.int64, copy=False)
    if not len(t) or smooth(t, int(t[0])):
        return np.zeros(len(t), np.bool_)
    stray, decided = judge(t)
    stray[decided:] = False
    return stray
