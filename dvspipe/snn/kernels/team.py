"""The threads that torch itself works with, for compiled code of our own.

Torch's wheels for Linux bring GNU's OpenMP. Its threads wait busily for the next operator, so threads of our own beside
them would find every core taken and run one after the other on the caller's; the team that stands ready takes no time to
wake. `GOMP_parallel` is what every program compiled with `-fopenmp` calls (libgomp manual, §Implementing PARALLEL).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_forked = False


def _fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fork)  # a forked child has the team's books but not its threads


def run(work: Callable[[int, int], None], parts: list[tuple[int, int]]) -> bool:
    """`work(*part)` for every part, on a team of as many threads, the caller being one of them; False, with nothing done,
    where torch has no such team. What `work` raises is raised here.
    """
    library = None if _forked else _library()
    if library is None:
        return False
    raised: list[BaseException] = []

    def member(_: Any) -> None:
        try:  # the team may be smaller than asked for
            for part in parts[library.omp_get_thread_num() :: library.omp_get_num_threads()]:
                work(*part)
        except BaseException as error:
            raised.append(error)

    library.GOMP_parallel(_CALLBACK(member), None, len(parts), 0)
    if raised:
        raise raised[0]
    return True


class _Library:
    def __init__(self, path: str) -> None:
        free, held = ctypes.CDLL(path), ctypes.PyDLL(path)  # without and with the interpreter's lock
        self.GOMP_parallel = free.GOMP_parallel
        self.GOMP_parallel.argtypes = (_CALLBACK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        self.GOMP_parallel.restype = None
        self.omp_get_thread_num, self.omp_get_num_threads = held.omp_get_thread_num, held.omp_get_num_threads


@cache
def _library() -> _Library | None:
    try:
        return _Library(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    except (OSError, AttributeError):  # another system, or a torch built with another kind of threads
        return None
