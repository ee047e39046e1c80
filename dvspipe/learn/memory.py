"""Keeps freed memory in the process while a network trains or is evaluated on a CPU.

glibc gives every large tensor back to the system when it is freed, and the next one of its size is faulted in anew, page
by page. The activations of a training step are the same sizes again and again, so that costs a fifth of the step.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
NEVER = -1


def keep_freed_memory() -> bool:
    """Tells glibc's malloc to take memory from the heap and never to trim it; True where that was possible.

    The process then holds its peak until it ends. Other systems and C libraries are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
