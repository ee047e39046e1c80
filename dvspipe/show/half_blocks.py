"""A picture in a terminal: two pixels per character.

Knows glow and characters; not what stands beside the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show.picture import colours, shrink

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.style import Style

_LEVELS = 6  # of glow per polarity on screen: few colours, so that equal neighbours are drawn as one


class PictureBeside:
    """Glow [2,H,W] in half blocks, two pixels per character (upper: colour, lower: background), beside other things.

    Lays its lines out itself: rich's tables measure every run of colour several times, which doubles a redraw's cost.
    """

    def __init__(self, glow: NDArray[Any], beside: RenderableType) -> None:
        off, on = (np.asarray(glow) * (_LEVELS - 1)).round().astype(int)
        index = on * _LEVELS + off
        index = np.pad(index, ((0, index.shape[0] % 2), (0, 0)))
        self._pairs = index[::2] * _LEVELS**2 + index[1::2]
        self._beside = beside

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        from rich.segment import Segment

        width = self._pairs.shape[1]
        rest = options.update(width=max(1, options.max_width - width - 4))
        lines = console.render_lines(self._beside, rest, pad=False)
        rows = [_runs(row) for row in self._pairs]
        empty = [Segment(" " * width)]
        for picture, line in zip_longest(rows, lines):
            yield from (Segment(" "), *(picture or empty), Segment("   "), *(line or ()), Segment.line())


def _runs(pairs: NDArray[np.intp]) -> list[Segment]:
    """One row of characters, equal neighbours as one segment."""
    from rich.segment import Segment

    starts = [0, *(np.flatnonzero(np.diff(pairs)) + 1).tolist()]
    return [
        Segment("▀" * (stop - start), _cell_style(int(pairs[start])))
        for start, stop in zip(starts, [*starts[1:], len(pairs)])
    ]


def fitted(frame: NDArray[Any], cells: int) -> NDArray[Any]:
    """Counts [2,H,W] for `cells` x `cells` pixels: block sums when larger, whole-number enlargement when smaller."""
    small = shrink(frame, cells, cells)
    factor = max(1, cells // max(small.shape[1:]))
    return small.repeat(factor, axis=1).repeat(factor, axis=2)


@lru_cache(maxsize=_LEVELS**4)
def _cell_style(pair: int) -> Style:
    from rich.color import Color
    from rich.style import Style

    upper, lower = (Color.from_rgb(*_mixture(index)) for index in divmod(pair, _LEVELS**2))
    return Style(color=upper, bgcolor=lower)


def _mixture(index: int) -> tuple[int, int, int]:
    on, off = divmod(index, _LEVELS)
    red, green, blue = colours(np.array([off, on], float).reshape(2, 1, 1) / (_LEVELS - 1))[0, 0]
    return int(red), int(green), int(blue)
