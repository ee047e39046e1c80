"""Strips of a terminal: one character per column of time.

Knows characters and colours; not where their numbers come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import palette
from dvspipe.show.history import NOTHING, UNKNOWN

if TYPE_CHECKING:
    from rich.text import Text

_HEIGHTS = " ▁▂▃▄▅▆▇"  # never the full block: strips below each other stay apart


def spark(values: NDArray[Any], low: float = 0.0, high: float | None = None) -> str:
    """Heights from `low` to `high` (None: the largest); blank where a value is NaN, never blank where it is not."""
    values = np.asarray(values, float)
    there = ~np.isnan(values)
    if not there.any():
        return " " * len(values)
    top = float(values[there].max()) if high is None else high
    share = np.clip((np.where(there, values, low) - low) / ((top - low) or 1.0), 0, 1)
    heights = np.where(there, 1 + (share * (len(_HEIGHTS) - 2)).round(), 0).astype(int)
    return "".join(_HEIGHTS[height] for height in heights.tolist())


def centred(values: NDArray[Any], neutral: float) -> str:
    """Heights around `neutral`, which is half way up, as far as the furthest value: weights below and above it."""
    reach = max(0.02, float(np.abs(np.asarray(values, float) - neutral).max(initial=0.0)))
    return spark(values, neutral - reach, neutral + reach)


def labelled_strip(labels: Sequence[int], names: Sequence[str]) -> Text:
    """One cell per column in the label's colour; a dot where there is none, blank where no bin was seen."""
    return _strip([(label, "▄") for label in labels], names)


def decided_strip(labels: Sequence[int], truth: Sequence[int], names: Sequence[str]) -> Text:
    """Likewise; a cross where something else was labelled."""
    wrong = (other not in (label, NOTHING, UNKNOWN) for label, other in zip(labels, truth))
    return _strip([(label, "×" if bad else "▄") for label, bad in zip(labels, wrong)], names)


def _strip(cells: Sequence[tuple[int, str]], names: Sequence[str]) -> Text:
    from rich.text import Text

    tint = list(palette.class_colours(names).values())
    strip = Text(no_wrap=True)
    for (label, mark), run in groupby(cells):
        count = len(list(run))
        if label in (UNKNOWN, NOTHING):
            strip.append((" " if label == UNKNOWN else "·") * count, palette.TRACK)
        else:
            strip.append(mark * count, tint[label])
    return strip
