"""The clock of a live session: says when a bin is due, and waits until then.

Deadlines are absolute (`due = start + sensor time / speed`): sleeping for one bin at a time would drift. Knows no bins.
"""

from __future__ import annotations

import time

from dvspipe.live.controls import Controls


class Pacer:
    """Releases sensor times as a camera would. Its clock starts at the first time it is asked for, and again after a pause, a
    change of speed or a seek: opening a file and compiling are no part of a recording.
    """

    def __init__(self, controls: Controls) -> None:
        self.controls = controls
        self._anchor: tuple[float, int] | None = None
        self._version = controls.version

    def release(self, t_us: int) -> float | None:
        """Waits until sensor time `t_us` is due; gives the perf_counter time from which a decision's latency counts, None
        when the session is to stop or to go on elsewhere.
        """
        while True:
            ready = time.perf_counter()
            due = self._due(t_us, ready)
            if self.controls.wait_until(due):
                return max(due, ready) if self._anchor else time.perf_counter()
            if self.controls.stopped or self.controls.seeking:
                return None

    def _due(self, t_us: int, now: float) -> float:
        speed = self.controls.speed
        if speed == 0 or self.controls.paused:
            self._anchor = None
            return now
        if self._anchor is None or self._version != self.controls.version:
            self._anchor, self._version = (now, t_us), self.controls.version
        start, start_us = self._anchor
        return start + (t_us - start_us) / 1e6 / speed
