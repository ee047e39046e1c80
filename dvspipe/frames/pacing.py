"""Real time: releases closed bins when the camera would have, through a bounded ring that never waits for a slow reader.

Deadlines are absolute (`due = start + bin end / speed`): sleeping for one bin at a time would drift.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RING_BINS = 4


@dataclass(frozen=True, slots=True)
class LiveBin:
    """One closed bin. `index` counts bins from the start, so a gap shows bins that were dropped.

    `frame` [2,H,W]; `ready_s` is the perf_counter time from which a decision's latency counts: the moment the last event of
    the bin was there (at speed 0: the moment the bin was closed).
    """

    index: int
    frame: NDArray[np.int32]
    ready_s: float


class Ring:
    """A bounded queue of bins between the reader's thread and the network. Full means the oldest bin is dropped."""

    def __init__(self, size: int = RING_BINS) -> None:
        self.size, self.dropped_bins, self.dropped_events = size, 0, 0
        self._bins: deque[LiveBin] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, each: LiveBin) -> None:
        """Adds a bin at once; drops and counts the oldest when there is no room."""
        with self._changed:
            if len(self._bins) >= self.size:
                lost = self._bins.popleft()
                self.dropped_bins += 1
                self.dropped_events += int(lost.frame.sum())
            self._bins.append(each)
            self._changed.notify()

    def close(self, error: BaseException | None = None) -> None:
        """No more bins; an error in the reader reaches the consumer."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """True once either side has closed."""
        return self._closed

    def __len__(self) -> int:
        return len(self._bins)

    def __iter__(self) -> Iterator[LiveBin]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._bins or self._closed)
                if not self._bins:
                    if self._error is not None:
                        raise self._error
                    return
                each = self._bins.popleft()
            yield each


def unpaced(frames: Iterable[NDArray[np.int32]]) -> Iterator[LiveBin]:
    """Speed 0: every bin as soon as it is asked for; nothing dropped, deterministic."""
    for index, frame in enumerate(frames):
        yield LiveBin(index, frame, time.perf_counter())


def paced(frames: Iterable[NDArray[np.int32]], bin_us: int, speed: float, ring: Ring) -> Iterator[LiveBin]:
    """Bins at `speed` times real time, read in a thread of their own. Leaving the iteration ends the thread.

    The camera's clock starts so that the first bin is due when it has been read: opening a file and compiling are no
    part of a recording, and must not push its first bins out of the ring.
    """

    def read() -> None:
        start = 0.0
        try:
            for index, frame in enumerate(frames):
                if index == 0:
                    start = time.perf_counter() - bin_us / 1e6 / speed
                due = start + (index + 1) * bin_us / 1e6 / speed
                wait = due - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                if ring.closed:
                    return
                ring.put(LiveBin(index, frame, max(due, time.perf_counter()) if wait < 0 else due))
            ring.close()
        except BaseException as error:
            ring.close(error)

    reader = threading.Thread(target=read, name="dvspipe-reader", daemon=True)
    reader.start()
    try:
        yield from ring
    finally:
        ring.close()
        reader.join(timeout=5)
