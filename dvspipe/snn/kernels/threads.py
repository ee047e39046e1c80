"""Splits a range of neurons over threads. Knows nothing of what is done to them.

Not numba's own parallel loops: its workqueue layer aborts the process on concurrent use, its OpenMP layer aborts in
forked children and keeps a second pool of spinning threads beside torch's, and parallel code takes ten times longer
to compile. Compiled code here releases the interpreter lock instead, and torch's own threads run it (`team`), or ordinary
ones where torch has none to lend.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from dvspipe.snn.kernels import team

ALIGN = 64  # parts begin at a cache line
SMALL = 1 << 15  # elements below which handing work over costs more than it saves

_pools: dict[int, ThreadPoolExecutor] = {}


def _forget_pools() -> None:
    """A forked child has the object but not its threads."""
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)


def _pool(workers: int) -> ThreadPoolExecutor:
    # setdefault, not a lock: a pool that loses the race has started no thread.
    return _pools.get(workers) or _pools.setdefault(workers, ThreadPoolExecutor(workers, "dvspipe-kernel"))


def split(work: Callable[[int, int], None], count: int, cost: int, align: int = ALIGN) -> None:
    """Calls `work(start, stop)` over [0, count) on `torch.get_num_threads()` threads, the caller being one of them.

    `cost` is the number of elements touched in all: small work stays on the caller's thread. Parts begin at multiples of
    `align`.
    """
    threads = 1 if cost < SMALL else torch.get_num_threads()
    share = -(-count // (threads * align)) * align
    parts = [(start, min(start + share, count)) for start in range(0, count, share)] if count else []
    if len(parts) > 1 and team.run(work, parts):
        return
    handed = [_pool(threads - 1).submit(work, *part) for part in parts[1:]]
    for part in parts[:1]:
        work(*part)
    for future in handed:
        future.result()
