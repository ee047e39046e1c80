"""Pictures in a terminal, two pixels per character, and things side by side.

Knows glow, weights and characters; not what a view shows where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import palette
from dvspipe.show.maps import shades
from dvspipe.show.picture import colours

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment
    from rich.style import Style
    from rich.text import Text

_LEVELS = 6  # of glow per polarity on screen: few colours, so that equal neighbours are drawn as one
_WEIGHTS = 24  # shades of a weight
Row = list["Segment"]


class Block(NamedTuple):
    """Rows of characters, all `width` cells wide."""

    rows: list[Row]
    width: int


class SideBySide:
    """Blocks beside each other, top aligned, a gap between them.

    Lays its lines out itself: rich's tables measure every run of colour several times, which doubles a redraw's cost.
    """

    def __init__(self, blocks: Sequence[Block], gap: int = 3) -> None:
        self._blocks, self._gap = blocks, gap

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        from rich.segment import Segment

        gap = Segment(" " * self._gap)
        empty = [[Segment(" " * block.width)] for block in self._blocks]
        for line in zip_longest(*(block.rows for block in self._blocks)):
            yield Segment(" ")
            for place, row in enumerate(line):
                yield from [gap] * (place > 0)
                yield from row or empty[place]
            yield Segment.line()


def text_block(lines: Iterable[Text], width: int, console: Console) -> Block:
    """Lines of words, cut off and filled up to `width`."""
    rows = []
    for line in lines:
        line.truncate(width, overflow="ellipsis", pad=True)
        rows.append(list(line.render(console)))
    return Block(rows, width)


def events_block(glow: NDArray[Any]) -> Block:
    """Glow [2,H,W] (OFF, ON; 0..1) as a picture."""
    off, on = (np.asarray(glow) * (_LEVELS - 1)).round().astype(int)
    return _picture(on * _LEVELS + off, _mixture, _LEVELS**2)


def weights_block(weights: NDArray[Any], neutral: float, reach: float) -> Block:
    """Weights [H,W] from `neutral` - `reach` to `neutral` + `reach`: weaker cool, stronger warm."""
    shares = np.clip(0.5 + (np.asarray(weights, float) - neutral) / (2 * (reach or 1.0)), 0, 1)
    return _picture((shares * (_WEIGHTS - 1)).round().astype(int), _balance, _WEIGHTS)


def fitted(frame: NDArray[Any], width: int, height: int | None = None) -> NDArray[Any]:
    """Counts [C,H,W] for `width` x `height` pixels: sums over areas when larger, enlarged when smaller."""
    small = scaled(frame, width, height or width)
    return small * np.float32(max(1.0, frame[0].size / small[0].size))


def scaled(values: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """[C,H,W] for `width` x `height` pixels: means over areas when larger, whole-number enlargement when smaller."""
    import cv2

    scale = min(height / values.shape[1], width / values.shape[2])
    if scale >= 1:
        return values.repeat(int(scale), axis=1).repeat(int(scale), axis=2)
    size = (max(1, int(values.shape[2] * scale)), max(1, int(values.shape[1] * scale)))
    return np.stack([cv2.resize(np.asarray(each, np.float32), size, interpolation=cv2.INTER_AREA) for each in values])


def _picture(index: NDArray[np.int_], colour: Callable[[int], tuple[int, int, int]], count: int) -> Block:
    index = np.pad(index, ((0, index.shape[0] % 2), (0, 0)))
    pairs = index[::2] * count + index[1::2]
    return Block([_runs(row, colour, count) for row in pairs], index.shape[1])


def _runs(pairs: NDArray[np.intp], colour: Callable[[int], tuple[int, int, int]], count: int) -> Row:
    """One row of characters, equal neighbours as one segment."""
    from rich.segment import Segment

    starts = [0, *(np.flatnonzero(np.diff(pairs)) + 1).tolist()]
    return [
        Segment("▀" * (stop - start), _cell_style(int(pairs[start]), colour, count))
        for start, stop in zip(starts, [*starts[1:], len(pairs)])
    ]


@lru_cache(maxsize=_LEVELS**4 + _WEIGHTS**2)
def _cell_style(pair: int, colour: Callable[[int], tuple[int, int, int]], count: int) -> Style:
    """Upper pixel: colour, lower pixel: background."""
    from rich.color import Color
    from rich.style import Style

    upper, lower = (Color.from_rgb(*colour(index)) for index in divmod(pair, count))
    return Style(color=upper, bgcolor=lower)


def _mixture(index: int) -> tuple[int, int, int]:
    on, off = divmod(index, _LEVELS)
    red, green, blue = colours(np.array([off, on], float).reshape(2, 1, 1) / (_LEVELS - 1))[0, 0]
    return int(red), int(green), int(blue)


def _balance(index: int) -> tuple[int, int, int]:
    red, green, blue = shades(np.array(index / (_WEIGHTS - 1)), palette.BALANCE)
    return int(red), int(green), int(blue)
