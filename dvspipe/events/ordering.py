"""Puts a stream of events in order of time, where it is out of order by a little: constant memory, one look ahead.

EVT3 cameras send times that step back by some microseconds, and several cameras on one bus interleave theirs; other
formats and readers take order for granted. Knows no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from dvspipe.errors import DvspipeError
from dvspipe.events.columns import Events

WINDOW_EVENTS = 1 << 18


def in_order(chunks: Iterable[Events], window: int = WINDOW_EVENTS) -> Iterator[Events]:
    """The same events ordered in time; events of one time keep their order.

    Holds back the latest `window` events, so an event may come that many events too late. Raises DvspipeError for one
    that comes later still.
    """
    held: list[Events] = []
    waiting, reached = 0, None
    for events in chunks:
        held.append(events)
        waiting += len(events)
        if waiting >= 2 * window:
            joined = _sorted(held, reached)
            yield joined[:-window]
            reached = int(joined.t[-window - 1])
            held, waiting = [joined[-window:]], window
    if waiting:
        yield _sorted(held, reached)


def _sorted(parts: list[Events], reached: int | None) -> Events:
    joined = Events.concatenate(parts, parts[0].sensor_size)
    if np.any(joined.t[1:] < joined.t[:-1]):
        joined = joined[np.argsort(joined.t, kind="stable")]
    if reached is not None and joined.t[0] < reached:
        raise DvspipeError(
            f"an event at {joined.t[0]} us comes after those up to {reached} us were passed on: the times are further "
            "out of order than can be sorted in a stream. Sort the file as a whole, or keep its order (.h5, .npz, .csv)."
        )
    return joined
