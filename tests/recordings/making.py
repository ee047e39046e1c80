"""What the builders of whole files share: a description of such a file, and the events that every one holds."""

import bisect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dvspipe.events import Events

SIZE = (128, 128)
COUNT = 3_000


@dataclass(frozen=True)
class Made:
    """A whole file. `stored(byte)`: how many events lie whole before that byte. `vital`: the byte ranges [start, stop)
    where damage may cost the whole file; the first is the header. `boundary(byte)`: whether a cut there is invisible.
    """

    data: bytes
    events: Events
    stored: Callable[[int], int]
    vital: tuple[tuple[int, int], ...]
    boundary: Callable[[int], bool] = lambda byte: False

    @property
    def header(self) -> int:
        return self.vital[0][1]


def rising(count=COUNT, first=1_000_000, step=1_500, size=SIZE, pauses=True, seed=0):
    """Events with strictly rising times and, if asked, four pauses of 2 to 5 s."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, step, count)
    if pauses:
        steps[rng.choice(np.arange(10, count), 4, replace=False)] += rng.integers(2_000_000, 5_000_000, 4)
    x, y, p = rng.integers(0, size[0], count), rng.integers(0, size[1], count), rng.integers(0, 2, count)
    return Events.of(first + np.cumsum(steps), x, y, p, size)


def rows_from(start, row_bytes, count):
    """`stored` of rows of `row_bytes` that begin at `start`."""
    return lambda byte: min(count, max(0, byte - start) // row_bytes)


def of_steps(offsets, counts):
    """`stored` where counts[i] events are whole once the byte offsets[i] is reached."""
    return lambda byte: ([0, *counts])[bisect.bisect_right(offsets, byte)]
