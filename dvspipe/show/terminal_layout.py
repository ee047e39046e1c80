"""What fits into a terminal of a given size, and where it stands.

Panels are asked for in order of importance; the least important ones fall away. Knows panels and rows; not when to draw.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import terminal_panels as panels
from dvspipe.show.half_blocks import Block, SideBySide, events_block, fitted, scaled, text_block, weights_block
from dvspipe.show.terminal_panels import Shown

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_PIXELS = 64  # of the event picture at most, each way
_SIDE = 40  # cells beside the picture at least
_INSIDE = 44  # cells of what goes on inside the network, where it stands beside the evidence
_WIDE = 120  # cells from which it stands there
_GAP = 3
_MANY = 12  # rows of classes that other panels wait for
_MAP = 20  # pixels of a map of weights at most
_STRIPS = ("labelled", "decided", "events", "latency")


class Layout:
    """Rows of every panel for one size of terminal and one run: `rows[name]`, and the width of every column."""

    def __init__(self, shown: Shown, width: int, height: int) -> None:
        self.width = width
        self.beside = width >= _WIDE and shown.looks is not None
        self.picture_width = min(_PIXELS, width - _SIDE - _GAP - 2 - (self.beside and _INSIDE + _GAP))
        self.rows = _granted(height - 1, self._wishes(shown))
        if self.body < 5 or self.picture_width < 8:
            self.picture_width = 0

    @property
    def body(self) -> int:
        """Rows of the picture and what stands beside it."""
        return sum(self.rows[name] for name in ("headline", "evidence", "numbers", "air", "picture"))

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height that the event picture may have; at least one each."""
        return max(1, self.picture_width), max(1, min(2 * self.body, _PIXELS))

    def _wishes(self, shown: Shown) -> Iterable[tuple[str, int]]:
        """(panel, rows in all), the most important first."""
        classes = len(shown.evidence) or 1
        side = max(8, self.width - 2 - max(0, self.picture_width) - _GAP - (self.beside and _INSIDE + _GAP))
        yield from (("heading", 1), ("headline", 1), ("evidence", min(3, classes)), ("decided", 1))
        yield from [("labelled", 1)] if shown.labelled else []
        yield from (("evidence", min(6, classes)), ("latency", 1), ("events", 1), ("numbers", 2))
        yield "evidence", min(_MANY, panels.evidence_rows(classes, side, rows=11))
        yield from (("numbers", 3), ("gap", 1))
        yield from [("keys", 1)] if shown.keys else []
        looks = shown.looks
        if looks is not None and not self.beside:
            yield from [("spikes", 1)] if looks.rates else []
            yield from [("attention", 1)] if looks.time else []
        yield from [("position", 1)] if shown.stage.stop_us is not None else []
        yield from (("evidence", classes), ("air", 2))
        if looks is not None and not self.beside:
            yield from (("spikes", min(6, len(looks.rates))), ("attention", min(4, len(looks.time))))
        yield "picture", max(0, min(_PIXELS, self.picture_width) // 2 - classes - 6)


def screenful(shown: Shown, layout: Layout, glow: NDArray[Any] | None, console: Console) -> RenderableType:
    """Everything on screen."""
    from rich.console import Group
    from rich.text import Text

    width, rows = layout.width, layout.rows
    blocks = [events_block(scaled(glow, *layout.pixels))] if glow is not None and layout.picture_width else []
    beside = width - 2 - sum(block.width + _GAP for block in blocks) - (layout.beside and _INSIDE + _GAP)
    blocks.append(text_block(_side(shown, layout, max(8, beside)), max(8, beside), console))
    if layout.beside:
        blocks.append(_inside(shown, layout, console))
    below = [Text()] * rows["gap"]
    below += panels.strip_lines(shown, [name for name in _STRIPS if rows[name]], width - 2)
    if rows["spikes"]:
        below += panels.spike_lines(shown, width - 2, rows["spikes"])
    if rows["attention"] and shown.looks is not None:
        below += panels.attention_lines(shown.looks, width - 2, rows["attention"])
    below += [panels.position(shown, width - 2)] * rows["position"] + [panels.key_hints(shown)] * rows["keys"]
    parts: list[RenderableType] = [panels.heading(shown, width), SideBySide(blocks, _GAP)]
    return Group(*parts, SideBySide([text_block(below, max(8, width - 2), console)]))


def picture_size(layout: Layout, frame: NDArray[Any]) -> NDArray[Any]:
    """A frame [2,H,W], fitted into the place that its picture has."""
    return fitted(frame, *layout.pixels)


def _side(shown: Shown, layout: Layout, width: int) -> list[Text]:
    """Decision, evidence of every class, numbers: from top to bottom."""
    from rich.text import Text

    rows = layout.rows
    air = [Text()] if rows["air"] else []
    lines = [panels.headline(shown), *air]
    if rows["evidence"]:
        lines += panels.evidence(shown, width, rows["evidence"])
    return [*lines, *(air if rows["air"] > 1 else []), *panels.numbers(shown)[: rows["numbers"]]]


def _inside(shown: Shown, layout: Layout, console: Console) -> Block:
    """Spikes and attention, as many as the body has rows for."""
    from rich.text import Text

    looks = shown.looks
    assert looks is not None
    left = layout.body
    block = Block([], _INSIDE)
    for lines in (panels.spike_lines(shown, _INSIDE, 6), panels.attention_lines(looks, _INSIDE, 4)):
        if lines and left > len(lines):
            block.rows.extend(text_block([*lines, Text()], _INSIDE, console).rows)
            left -= len(lines) + 1
    if looks.space and left >= 5:
        block.rows.extend(_map(shown, left, console).rows)
    return Block(block.rows[: layout.body], _INSIDE)


def _map(shown: Shown, rows: int, console: Console) -> Block:
    """Weights over space of the first layer that has some: it sees the finest picture."""
    from rich.segment import Segment
    from rich.text import Text

    assert shown.looks is not None
    layer, weights = next(iter(shown.looks.space.items()))
    neutral = shown.looks.neutral or 0.0
    side = min(_MAP, 2 * (rows - 1))
    small = scaled(np.asarray(weights)[None], side, side)[0]
    reach = max(0.02, float(np.abs(small - neutral).max(initial=0.0)))
    drawn = weights_block(small, neutral, reach)
    note = f"attention, {layer}: {small.min():.2f} – {small.max():.2f}"
    title = text_block([Text(panels.printable(note), style="bold")], _INSIDE, console)
    fill = Segment(" " * max(0, _INSIDE - drawn.width))
    return Block([*title.rows, *([*row, fill] for row in drawn.rows)], _INSIDE)


def _granted(left: int, wishes: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Rows of every panel: each wish gets what is left, in order; a panel named twice grows."""
    rows = dict.fromkeys(
        ("heading", "headline", "evidence", "numbers", "air", "picture", *_STRIPS, "gap", "spikes", "attention", "keys",
         "position"), 0,
    )  # fmt: skip
    for name, upto in wishes:
        more = max(0, min(upto - rows[name], left))
        rows[name] += more
        left -= more
    return rows
