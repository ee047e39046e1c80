"""The worker's side of `guarded`: forks for every reading, runs the decoder under its limits, sends what it yields."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from dvspipe.recordings.guarded import CAN_FORK, LENGTH, Chunk, Limits, ending

PIPE_BYTES = 1 << 20
SET_PIPE_SIZE = 1031  # Linux: fcntl.F_SETPIPE_SZ
SAID, TOO_LONG = 17, 1  # exit statuses: it has sent its last message; faulthandler stopped it
Decoder = Callable[..., Iterator[Chunk]]


def work() -> None:
    """The life of a worker: a job a line on stdin, chunks on stdout, until stdin ends."""
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not mix with the chunks
    with suppress(ImportError, OSError):
        from fcntl import fcntl

        fcntl(out, SET_PIPE_SIZE, PIPE_BYTES)
    while line := sys.stdin.buffer.readline():
        job = json.loads(line)
        sys.path[:] = job["path"]
        try:
            module, _, name = job["decoder"].partition(":")
            decoder = getattr(import_module(module), name)
        except Exception as error:
            _send(out, _last(message=f"{job['decoder']} cannot be loaded ({error})"))
            continue
        child = os.fork() if CAN_FORK else 0
        if not child:
            _run(decoder, job["arguments"], Limits(*job["limits"]), out)
        _tell_end(out, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), Limits(*job["limits"]))


def _tell_end(out: int, code: int, limits: Limits) -> None:
    """Says how a reading ended that could not say so itself."""
    message = f"the decoder crashed ({ending(code)})"
    if code == TOO_LONG:
        message = f"the decoder took longer than {limits.seconds:g} s over one chunk and was stopped"
    if code != SAID:
        _send(out, _last(message=message))


def _last(**facts: str) -> Chunk:
    return Chunk({"ended": True, **facts}, [])


def _run(decoder: Decoder, arguments: list[Any], limits: Limits, out: int) -> NoReturn:
    """One reading, from its first chunk to its end, and the end of this process."""
    _limit_memory(limits.memory_bytes)
    with suppress(BrokenPipeError), Path(os.devnull).open("wb") as nowhere:
        try:
            chunks = decoder(*arguments)
            while chunk := _watched(chunks, limits.seconds, nowhere):
                _send(out, chunk)
            _send(out, _last())
        except BrokenPipeError:
            raise
        except BaseException as error:  # a panic of Rust code is a BaseException
            _send(out, _last(error=type(error).__name__, message=str(error) or type(error).__name__))
    os._exit(SAID)


def _watched(chunks: Iterator[Chunk], seconds: float, nowhere: BinaryIO) -> Chunk | None:
    """The next chunk, None at the end; the process exits when it takes too long, even inside compiled code."""
    faulthandler.dump_traceback_later(seconds, file=nowhere, exit=True)
    try:
        return next(chunks, None)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _limit_memory(more_bytes: int) -> None:
    """Lets this process take that much memory more than it has, where the system can hold it to that."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        held = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (held + more_bytes, hard))


def _send(out: int, chunk: Chunk) -> None:
    columns = [np.ascontiguousarray(column) for column in chunk.columns]
    header = json.dumps([chunk.facts, [(column.dtype.str, column.shape) for column in columns]]).encode()
    _write(out, memoryview(LENGTH.pack(len(header)) + header))
    for column in columns:
        _write(out, column.reshape(-1).view(np.uint8).data)


def _write(out: int, view: memoryview) -> None:
    while len(view):
        view = view[os.write(out, view) :]
