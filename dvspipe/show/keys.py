"""The keyboard as a remote control of a live run, while standard input is a terminal.

A daemon thread reads single keys (cbreak mode: Ctrl-C still interrupts); the terminal's mode is put back however the
run ends. Knows key codes and a `Remote`; not what is on screen.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Any

from dvspipe.errors import DvspipeError
from dvspipe.show.moment import Remote

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_STEPS_US = {
    b"right": 1_000_000, b"left": -1_000_000, b"up": 10_000_000, b"down": -10_000_000,
    b"shift-right": 10_000_000, b"shift-left": -10_000_000,
}  # fmt: skip
_ARROWS = {b"A": b"up", b"B": b"down", b"C": b"right", b"D": b"left"}
_KEY = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])|[\x00-\xff]", re.DOTALL)
_UNFINISHED = re.compile(rb"\x1b(?:O|\[[0-?]*)?\Z")  # a sequence whose rest is still on its way


class Keys:
    """Context manager. space: pause, play; `.`: one bin; left, right: 1 s, up, down and with shift: 10 s; + -: speed;
    q: stop. `now_us` tells the sensor time to seek from. `active` is False, and nothing is touched, where `stream` is no
    terminal, or the terminal is somebody else's: a job in the background must not take its keys.
    """

    def __init__(self, remote: Remote, now_us: Callable[[], int], stream: Any = None) -> None:
        self._remote, self._now_us = remote, now_us
        self._sought = (-1, -1)  # where we were when we last sought, and where to
        self._stream = sys.stdin if stream is None else stream
        self.active = False
        self._before: list[Any] | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Keys:
        with suppress(AttributeError, ValueError, OSError):  # a stream without a file is no terminal either
            self._file = self._stream.fileno()
            self._before = _cbreak(self._file) if os.isatty(self._file) and _in_front(self._file) else None
        self.active = self._before is not None
        if self.active:
            atexit.register(self._restore)
            self._wake, self._bell = os.pipe()
            self._thread = Thread(target=self._listen, name="dvspipe-keys", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self._thread is not None:
            os.write(self._bell, b".")
            self._thread.join()
            self._thread = None
            os.close(self._wake)
            os.close(self._bell)

    def press(self, key: bytes) -> None:
        """What one key does; unknown keys do nothing."""
        remote = self._remote
        if key == b" ":
            (remote.play if remote.paused else remote.pause)()
        elif key == b".":
            remote.step()
        elif key in (b"q", b"Q"):
            remote.stop()
        elif key in (b"+", b"=", b"-", b"_"):
            with suppress(DvspipeError):  # a source whose speed is not ours to choose
                remote.set_speed(_next_speed(remote.speed, faster=key in (b"+", b"=")))
        elif key in _STEPS_US:
            self._seek(_STEPS_US[key])

    def _seek(self, by_us: int) -> None:
        """From where we are, or, where the last seek has not shown yet, from where it went."""
        now = self._now_us()
        start = self._sought[1] if self._sought[0] == now else now
        self._sought = (now, max(0, start + by_us))
        self._remote.seek(self._sought[1])

    def _listen(self) -> None:
        rest = b""
        with suppress(OSError):  # the terminal is gone
            while data := self._read():
                found, rest = keys(rest + data)
                for key in found:
                    self.press(key)

    def _read(self) -> bytes:
        """What was typed; empty at the end."""
        ready, *_ = select.select([self._file, self._wake], [], [])
        return b"" if self._wake in ready else os.read(self._file, 64)

    def _restore(self) -> None:
        """The terminal as it was; once."""
        if self._before is None:
            return
        import termios

        atexit.unregister(self._restore)
        before, self._before = self._before, None
        with suppress(termios.error, OSError):
            if _in_front(self._file):  # else the shell has it, and setting it would stop us
                termios.tcsetattr(self._file, termios.TCSADRAIN, before)


def keys(data: bytes) -> tuple[list[bytes], bytes]:
    """Bytes from a terminal -> keys (arrows by name: b"left", b"shift-left") and the unfinished rest."""
    unfinished = _UNFINISHED.search(data)
    end = unfinished.start() if unfinished else len(data)
    return list(_named(data[:end])), data[end:]


def _named(data: bytes) -> Iterator[bytes]:
    for found in _KEY.findall(data):
        if len(found) == 1:
            yield found
        elif arrow := _ARROWS.get(found[-1:]):
            yield (b"shift-" if b";2" in found else b"") + arrow


def _cbreak(file: int) -> list[Any] | None:
    """Keys one by one, unseen; returns the mode from before. None where there is no such mode."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        return None
    with suppress(termios.error):
        before: list[Any] = termios.tcgetattr(file)
        tty.setcbreak(file, termios.TCSANOW)
        return before
    return None


def _next_speed(speed: float, faster: bool) -> float:
    """The next rung; as fast as possible (0) lies above the fastest."""
    if faster:
        return next((rung for rung in SPEEDS if rung > speed), speed) if speed else speed
    return next((rung for rung in reversed(SPEEDS) if rung < speed or not speed), SPEEDS[0])


def _in_front(file: int) -> bool:
    """Whether this terminal listens to us."""
    return os.tcgetpgrp(file) == os.getpgrp()
