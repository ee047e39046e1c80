"""Play, pause, step, seek, speed, stop: what anyone may ask of a running session, from any thread.

A request is noted and answered at the next bin; nobody waits. Knows no source and no view (`show.moment.Remote` is how
views see it).
"""

from __future__ import annotations

import math
import threading
import time

from dvspipe.errors import UsageError

FASTEST = 1000.0


class Controls:
    """`speed` is times real time, 0 as fast as possible. `paced` False: a camera sets the pace, so only `stop` is heard."""

    def __init__(self, speed: float = 1.0, paced: bool = True) -> None:
        self._changed = threading.Condition()
        self.speed, self.paced = checked_speed(speed), paced
        self.paused = self.stopped = False
        self._steps = 0
        self._seek_us: int | None = None
        self.version = 0  # counts what changes the clock, so that a pacer notices

    def pause(self) -> None:
        """Holds before the next bin."""
        self._set(paused=self.paced)

    def play(self) -> None:
        """Goes on."""
        self._set(paused=False)

    def step(self) -> None:
        """One more bin, then pause."""
        with self._changed:
            if self.paced:
                self._steps, self.paused = self._steps + 1, True
                self._notify()

    def seek(self, t_us: int) -> None:
        """Goes on at this sensor time, in µs."""
        with self._changed:
            if self.paced:
                self._seek_us = int(t_us)
                self._notify()

    def set_speed(self, speed: float) -> None:
        """Raises UsageError for a speed that is none."""
        if self.paced:
            self._set(speed=checked_speed(speed))

    def stop(self) -> None:
        """Ends the session after the present bin."""
        self._set(stopped=True)

    def _set(self, **values: float | bool) -> None:
        with self._changed:
            for name, value in values.items():
                setattr(self, name, value)
            self._notify()

    def _notify(self) -> None:
        self.version += 1
        self._changed.notify_all()

    @property
    def seeking(self) -> bool:
        """Whether a seek was asked for and not yet taken."""
        return self._seek_us is not None

    def take_seek(self) -> int | None:
        """The sensor time asked for since the last call, if any."""
        with self._changed:
            asked, self._seek_us = self._seek_us, None
            return asked

    def wait_until(self, due_s: float) -> bool:
        """Sleeps until `due_s` (perf_counter); True when it came, False as soon as anything was asked for.

        A pause holds for as long as it lasts; a step ends it for one bin.
        """
        with self._changed:
            seen = self.version
            while True:
                if self.stopped or self.seeking:
                    return False
                if self._steps:
                    self._steps -= 1
                    return True
                if not self.paused and self.version != seen:
                    return False
                left = math.inf if self.paused else due_s - time.perf_counter()
                if left <= 0:
                    return True
                self._changed.wait(None if left == math.inf else left)


def checked_speed(speed: float) -> float:
    """Raises UsageError unless it is 0 or a factor a clock can follow."""
    if not (speed == 0 or 1 / FASTEST <= speed <= FASTEST):
        raise UsageError(
            f"speed {speed:g}: allowed is 0 (as fast as possible) or a factor from {1 / FASTEST:g} to {FASTEST:g}, "
            "1 = real time."
        )
    return float(speed)
