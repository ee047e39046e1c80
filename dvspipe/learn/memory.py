"""Keeps freed memory in the process while a network trains or is evaluated on a CPU.

glibc gives every large tensor back to the system when it is freed, and the next one of its size is faulted in anew, page
by page. The activations of a training step are the same sizes again and again, so that costs a fifth of the step.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # malloc.h
NEVER, MANY, SMALL = -1, 65536, 1 << 16
KEPT_GROWTH = 2.2  # what a process that keeps freed memory grew to, in needs of a step: its heap falls into pieces

_gives_back = False


def keep_freed_memory() -> bool:
    """Tells glibc's malloc to take memory from the heap and never to trim it; True where that was possible.

    The process then holds its peak until it ends, and up to `KEPT_GROWTH` times what it needs. Nothing is done where
    `give_back_freed_memory` was called before; other systems and C libraries are left as they are.
    """
    return not _gives_back and _set(M_MMAP_MAX, 0) and _set(M_TRIM_THRESHOLD, NEVER)


def give_back_freed_memory() -> bool:
    """The contrary, for machines with just enough: a process never holds more than it needs, and a step takes a fifth
    (float32) to four fifths (bfloat16) longer. For the rest of the process; True where that was possible.
    """
    global _gives_back
    _gives_back = True
    return _set(M_MMAP_MAX, MANY) and _set(M_MMAP_THRESHOLD, SMALL)


def _set(parameter: int, value: int) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    return mallopt is not None and bool(mallopt(parameter, value))
