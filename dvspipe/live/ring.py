"""The bounded queue of bins between the reader's thread and the network, and what happens when it is full.

Every policy counts what it costs: bins and events that no network saw, bins that were summed. Knows no clock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from dvspipe.live.bins import LiveBin

RING_BINS = 4
Drop = Literal["oldest", "newest", "merge", "block"]


class Ring:
    """At most `size` bins wait. A further one pushes the `oldest` out, is itself (the `newest`) left out, is `merge`d
    into the last one waiting (no event is lost, but the network takes fewer steps), or waits for room (`block`).
    """

    def __init__(self, size: int = RING_BINS, drop: Drop = "oldest") -> None:
        self.size, self.drop = size, drop
        self.dropped_bins = self.dropped_events = self.merged_bins = 0
        self._bins: deque[LiveBin] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, each: LiveBin, drop: Drop | None = None) -> None:
        """Adds a bin by the ring's policy, or by `drop` for once. Only `block` ever waits, until there is room or the
        ring is closed.
        """
        policy = drop or self.drop
        with self._changed:
            if policy == "block":
                self._changed.wait_for(lambda: len(self._bins) < self.size or self._closed)
            if len(self._bins) < self.size:
                self._bins.append(each)
            elif policy == "merge" and self._bins[-1].stretch == each.stretch:
                last = self._bins.pop()
                self.merged_bins += 1
                self._bins.append(replace(each, frame=last.frame + each.frame, merged=last.merged + 1))
            elif policy == "newest":
                self._lose(each)
            else:
                self._lose(self._bins.popleft())
                self._bins.append(each)
            self._changed.notify_all()

    def _lose(self, lost: LiveBin) -> None:
        self.dropped_bins += 1 + lost.merged
        self.dropped_events += int(lost.frame.sum())

    def clear(self) -> None:
        """Forgets the waiting bins, uncounted: somebody went elsewhere in the recording and does not want them."""
        with self._changed:
            self._bins.clear()
            self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """No more bins; an error in the reader reaches the consumer."""
        with self._changed:
            self._closed, self._error = True, self._error or error
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
                self._changed.notify_all()
            yield each
