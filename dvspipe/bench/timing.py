"""Taking time fairly: every variant in turn, A-B-C-A-B-C, so that a noisy machine hurts all alike.

Knows nothing of what it times.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

FEWEST = 3  # turns that count, however slow
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call: median and interquartile range of the repeats, and the very first call, compiling included."""

    median_s: float
    iqr_s: float
    first_s: float


def interleaved(
    cases: Mapping[str, Callable[[], object]],
    repeats: int = 30,
    warmup: int = 10,
    progress: Progress = lambda name, done, total: None,
    budget_s: float = math.inf,
) -> dict[str, Timing]:
    """Calls every case once (the first call), `warmup` times more and then `repeats` times, always one after the other in
    turn. On a GPU every call is waited for. `progress(case, done, total)` hears of every call. After `budget_s` seconds no
    further turn begins, once `FEWEST` count.
    """
    wait, total, done = waiting(), len(cases) * (1 + warmup + repeats), 0
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    gc.collect()
    start = time.perf_counter()
    for turn in range(1 + warmup + repeats):
        if turn > warmup + FEWEST and time.perf_counter() - start > budget_s:
            break
        for name, call in cases.items():
            seconds[name].append(once(call, wait))
            done += 1
            progress(name, done, total)
    return {name: summary(taken, warmup) for name, taken in seconds.items()}


def once(call: Callable[[], object], wait: Callable[[], object] = lambda: None) -> float:
    """Seconds of one call, its result kept until the clock has stopped."""
    wait()
    start = time.perf_counter()
    kept = call()
    wait()
    taken = time.perf_counter() - start
    del kept
    return taken


def summary(seconds: list[float], warmup: int) -> Timing:
    """Of the first call, then `warmup` calls that do not count, then those that do (at least one)."""
    counted = np.asarray(seconds[1 + warmup :] or seconds[-1:])
    low, median, high = np.percentile(counted, (25, 50, 75))
    return Timing(float(median), float(high - low), float(seconds[0]))


def waiting() -> Callable[[], Any]:
    """What makes sure that work is done: a GPU runs behind the program."""
    import torch

    return torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
