"""A foreign decoder in a process of its own: its crash, its endless loop, its hunger for memory become an error here.

`read("dvspipe.recordings.some_decoder:columns", path)` runs that generator in a worker process and yields what it
yields: chunks of columns with facts about them. The worker imports the decoder's module once and forks for every
reading, so each starts clean and costs milliseconds; the columns come as raw bytes through a pipe, decoded ahead while
the caller works. A worker is kept for the next reading. Where there is no fork (Windows) every reading starts its own.
The worker's side is `guarded_worker`. Knows no format; a decoder's module needs nothing of this one but `Chunk`.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe import errors

LARGEST_HEADER, LARGEST_COLUMN = 1 << 24, 1 << 30  # bytes: more than that no sane worker sends
CAN_FORK = hasattr(os, "fork")
LENGTH = struct.Struct("<I")


class Chunk(NamedTuple):
    """What a decoder yields: facts (anything that JSON holds) and arrays of numbers, of any shapes."""

    facts: dict[str, Any]
    columns: list[NDArray[Any]]


class Limits(NamedTuple):
    """What a decoder may take: wall-clock seconds for one chunk (not counting the reader's), and bytes of memory."""

    seconds: float = 8.0
    memory_bytes: int = 1 << 29


LIMITS = Limits()


class GuardError(Exception):
    """The decoder did not end well: it raised something, crashed, or went over a limit. The message says which."""


def read(decoder: str, *arguments: Any, limits: Limits = LIMITS) -> Iterator[Chunk]:
    """Yields the chunks of `decoder`, a generator function "module:name", called with `arguments` (JSON) in a worker.

    Raises GuardError when the decoder fails, after every chunk it had yielded, and the error itself where the decoder
    raised one of `dvspipe.errors` with a message.
    """
    worker = _taken()
    try:
        worker.ask({"decoder": decoder, "arguments": arguments, "limits": limits, "path": sys.path})
        while not (chunk := worker.receive()).facts.get("ended"):
            yield chunk
        worker.idle = CAN_FORK
        _raise(chunk.facts)
    finally:
        _put_back(worker)


def _raise(facts: dict[str, Any]) -> None:
    """Raises what the worker's last message says went wrong, if anything did."""
    known = getattr(errors, facts.get("error", ""), None)
    if isinstance(known, type) and issubclass(known, errors.DvspipeError):
        raise known(facts["message"])
    if "message" in facts:
        raise GuardError(facts["message"])


class _Worker:
    """A worker process, seen from this side. `idle` where it waits for another reading."""

    def __init__(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__}_worker import work; work()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the reader, who then closes the pipe
        )
        assert self.process.stdin and self.process.stdout
        self.jobs: BinaryIO = self.process.stdin  # type: ignore[assignment]
        self.chunks: BinaryIO = self.process.stdout  # type: ignore[assignment]
        self.idle = False

    def ask(self, job: dict[str, Any]) -> None:
        """Starts a reading."""
        self.idle = False
        with suppress(BrokenPipeError):  # a worker that is gone tells so when it is listened to
            self.jobs.write(json.dumps(job).encode() + b"\n")

    def receive(self) -> Chunk:
        """The next message. Raises GuardError when the worker is gone or talks nonsense."""
        (length,) = LENGTH.unpack(self._bytes(LENGTH.size))
        if length > LARGEST_HEADER:
            raise GuardError("the decoder crashed while it sent events")
        try:
            facts, kinds = json.loads(self._bytes(length))
            columns = [self._column(np.dtype(kind), shape) for kind, shape in kinds]
        except (ValueError, TypeError) as error:
            raise GuardError("the decoder crashed while it sent events") from error
        return Chunk(facts, columns)

    def _column(self, kind: np.dtype[Any], shape: list[int]) -> NDArray[Any]:
        if prod(shape) * kind.itemsize > LARGEST_COLUMN:
            raise ValueError(shape)
        column = np.empty(shape, kind)
        self._fill(column.reshape(-1).view(np.uint8).data)
        return column

    def _bytes(self, count: int) -> bytes:
        data = bytearray(count)
        self._fill(memoryview(data))
        return bytes(data)

    def _fill(self, view: memoryview) -> None:
        while len(view):
            count = self.chunks.readinto(view)  # type: ignore[attr-defined]
            if not count:
                raise GuardError(f"the decoder crashed ({ending(self.process.wait())})")
            view = view[count:]

    def close(self) -> None:
        """Ends the worker, and with it a reading under way."""
        if CAN_FORK and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # the worker and what it forked
        self.process.kill()
        self.process.wait()
        self.jobs.close()
        self.chunks.close()


_waiting: dict[int, list[_Worker]] = {}  # by process: a worker taken along through a fork belongs to the parent


def _taken() -> _Worker:
    with suppress(KeyError, IndexError):
        return _waiting[os.getpid()].pop()
    return _Worker()


def _put_back(worker: _Worker) -> None:
    if worker.idle and not _waiting.get(os.getpid()):
        _waiting[os.getpid()] = [worker]
    else:
        worker.close()


@atexit.register
def _close_all() -> None:
    for worker in _waiting.pop(os.getpid(), []):
        worker.close()


def ending(code: int) -> str:
    """What an exit status tells."""
    if code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"status {code}"
