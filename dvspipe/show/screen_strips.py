"""The strips of the recorded screen: labelled over decided, event rate, latency, all over the same sensor time.

Knows the last bins and a box; not the rest of the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import live_words, palette
from dvspipe.show.canvas import Box, Picture, area, fill, ink_on, stripes, text_width, write
from dvspipe.show.history import NOTHING, UNKNOWN, History
from dvspipe.show.live_words import printable
from dvspipe.show.moment import Moment

SPAN_S = 20.0
_TICK_S = 5
Unit = Callable[[float], int]


@dataclass(frozen=True)
class Strips:
    """Where the strips stand, and which column of time every pixel shows."""

    rows: dict[str, Box]
    columns: int
    per: int
    column_of: NDArray[np.intp]
    numbers: tuple[int, int]  # where the line of numbers ends


def place(still: Picture, box: Box, bin_us: int, labelled: bool, unit: Unit) -> Strips:
    """Puts the strips into a box and draws what stays: titles and time."""
    left, right = box.x + unit(110), box.x + box.width - unit(112)
    width = max(8, right - left)
    heights = {**({"labelled": 26} if labelled else {}), "decided": 26, "events": 44, "latency": 44}
    rows, y = {}, box.y + unit(16)
    for name, height in heights.items():
        rows[name] = Box(left, y, width, unit(height))
        y += unit(height) + unit(6 if name == "labelled" else 10)
        base = rows[name].y + (rows[name].height + unit(10)) // 2
        write(still, {"events": "events/s"}.get(name, name), (box.x + unit(20), base), unit(14), palette.QUIET)
    bins = SPAN_S * 1e6 / bin_us
    per = max(1, ceil(bins / width))
    columns = max(1, min(width, ceil(bins / per)))
    strips = Strips(rows, columns, per, np.arange(width) * columns // width, (right, box.y + box.height - unit(12)))
    _draw_time(still, strips, columns * per * bin_us / 1e6, unit)
    return strips


def draw(screen: Picture, strips: Strips, history: History, moment: Moment, unit: Unit) -> None:
    """The last seconds up to now."""
    found = {which: history.labels(which, strips.columns, strips.per) for which in ("labelled", "decided")}
    other = (found["labelled"] >= 0) & (found["decided"] >= 0) & (found["labelled"] != found["decided"])
    for which, labels in found.items():
        if which in strips.rows:
            wrong = other if which == "decided" else np.zeros_like(other)
            _draw_labels(screen, strips, which, labels[strips.column_of], wrong, history.names, unit)
    rates = history.numbers("event_rate", strips.columns, strips.per)
    slow = history.numbers("latency_ms", strips.columns, strips.per, worst=True)
    _draw_curve(screen, strips, "events", rates, palette.ON, live_words.event_rate, unit)
    _draw_curve(screen, strips, "latency", slow, palette.OFF, lambda value: f"{value:g} ms", unit)
    _draw_numbers(screen, strips, moment, unit)


def round_above(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 ...: a scale that seldom changes."""
    if not value > 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power * (1 + 1e-9))


def _draw_time(still: Picture, strips: Strips, span_s: float, unit: Unit) -> None:
    """Seconds before now, below the strips, and fine lines through the curves."""
    latency, top = strips.rows["latency"], strips.rows["events"].y
    for back in range(0, int(span_s + 0.001) + 1, _TICK_S):
        x = latency.x + round(latency.width * (1 - back / span_s)) - (back == 0)
        fill(still, Box(x, top, 1, latency.y + latency.height - top), palette.TRACK)
        words = "now" if back == 0 else f"−{back} s"
        y = latency.y + latency.height + unit(16)
        write(still, words, (x, y), unit(12), palette.QUIET, anchor="middle")


def _draw_labels(
    screen: Picture, strips: Strips, which: str, labels: NDArray[np.intp], wrong: NDArray[np.bool_],
    names: Sequence[str], unit: Unit,
) -> None:  # fmt: skip
    """Blocks of colour, striped where wrong, with their name where there is room; a thin line where there is no label."""
    tint, box = list(palette.class_colours(names).values()), strips.rows[which]
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    blocks = [
        (int(labels[start]), box._replace(x=box.x + start, width=stop - start)) for start, stop in pairwise(edges)
    ]
    for label, block in blocks:
        if label == NOTHING:
            fill(screen, Box(block.x, box.y + box.height // 2, block.width, max(1, unit(2))), palette.TRACK)
        elif label != UNKNOWN:
            fill(screen, block, tint[label])
    if wrong.any():
        stripes(screen, box, wrong[strips.column_of])
    size, base = unit(13), box.y + (box.height + unit(9)) // 2
    for label, block in blocks:
        name = printable(names[label]) if label >= 0 else ""
        if name and block.width >= min(unit(64), text_width(name, size) + unit(12)):
            write(screen, name, (block.x + unit(6), base), size, ink_on(tint[label]), width=block.width - unit(10))


def _draw_curve(
    screen: Picture, strips: Strips, name: str, values: NDArray[np.float32], colour: str,
    words: Callable[[float], str], unit: Unit,
) -> None:  # fmt: skip
    """A filled curve under its scale, which is written at the right."""
    box = strips.rows[name]
    top = round_above(float(np.fmax.reduce(values, initial=0.0)))
    area(screen, box, (values / top)[strips.column_of], colour)
    at = (box.x + box.width + unit(8), box.y + unit(11))
    write(screen, words(top), at, unit(13), palette.QUIET)


def _draw_numbers(screen: Picture, strips: Strips, moment: Moment, unit: Unit) -> None:
    """The numbers of the moment, beside the strips that they belong to."""
    stats = moment.stats
    beside = strips.rows["latency"]
    x = beside.x + beside.width + unit(8)
    for place, name in enumerate(("p50", "p99")):
        if stats.get(f"{name}_ms") is not None:
            at = (x, beside.y + unit(27 + 16 * place))
            write(screen, f"{name} {stats[f'{name}_ms']:.2f} ms", at, unit(12), palette.WORDS)
    rates = strips.rows["events"]
    if stats.get("event_rate") is not None:
        words = live_words.event_rate(stats["event_rate"])
        write(screen, words, (x, rates.y + unit(30)), unit(13), palette.WORDS, bold=True)
    waiting = [f"waiting {stats['queue']} bins"] if stats.get("queue") is not None else []
    lost = [words] if (words := live_words.dropped(stats)) else []
    if lost or waiting:
        write(screen, "   ".join(waiting + lost), strips.numbers, unit(13), palette.QUIET, anchor="right")
