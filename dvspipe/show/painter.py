"""A thread that draws when it is woken, so that whoever has news never waits for a screen.

Knows when to draw; not what.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

_JOIN_S = 2.0  # a terminal that takes nothing more must not hold up the end of a run


class Painter:
    """Calls `draw` after every `wake`, and where `changed` says so, asked every `look_s` seconds (a window's size, a pause).

    What is woken while it draws is drawn once. An error in `draw` ends the drawing and is raised by `close`; a screen that
    went away (OSError) only ends it.
    """

    def __init__(self, draw: Callable[[], None], changed: Callable[[], bool], look_s: float = 0.2) -> None:
        self._draw, self._changed, self._look_s = draw, changed, look_s
        self._woken, self._over = Event(), False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="dvspipe-painter", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Returns at once."""
        self._woken.set()

    def close(self) -> bool:
        """Ends the thread. False when it still hangs on its screen. Raises what `draw` raised."""
        self._over = True
        self._woken.set()
        self._thread.join(_JOIN_S)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with suppress(OSError):
                while not self._over:
                    woken = self._woken.wait(self._look_s)
                    self._woken.clear()
                    if not self._over and (woken or self._changed()):
                        self._draw()
        except Exception as error:
            self._error = error
