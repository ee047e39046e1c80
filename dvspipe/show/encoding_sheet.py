"""Strips of encoders beside the image they were made of, as one picture: 1280 units wide, two dots to the unit.

Every pixel of a cell is a whole number of dots, so that none is larger than its neighbour. Knows strips (`encoding`) and
words, no encoder.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dvspipe.show import palette
from dvspipe.show.encoding import Strip

DOTS = 2  # per unit
WIDTH, MARGIN = 1280, 36
INK, MUTED, LINE = "#1b1e23", "#646b76", "#d5d2ca"
MOST_CELLS, IN_A_LINE = 16, 8  # of a strip; of longer codes evenly chosen steps are shown
_LEFT, _WIDEST, _GAP, _STATS = 200, 340, 34, 94  # the image's column, at least and at most; between columns; figures
_BETWEEN, _TITLE, _BELOW, _NUMBERS = 5, 22, 22, 15  # between cells, above and below them, below those of many lines
_LARGEST, _SMALLEST = 112, 56  # sides of a cell; below the latter strips stand in one column instead of two
_FEW, _LARGER = 4, 170  # strips: they stand in one column, with cells up to this
_LEAST = 62  # height that the figures of a strip need
_TOP, _HEADS = 96, 16  # where the columns begin, and how far below it their strips
_NOTES = (
    "share per step: of all pixel values,",
    "those that spike; full height is 1",
    "read back: what the code still holds",
    "error: mean distance from the image,",
    "in values of 0 to 1",
)


@dataclass(frozen=True)
class Sheet:
    """What is on the picture. `image` and `seen` [H,W,3]: as it came, and what the encoders see; `left_out` (name, why)."""

    title: str
    about: str
    image: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    strips: Sequence[Strip]
    left_out: Sequence[tuple[str, str]] = ()


class _Plan(NamedTuple):
    """How strips stand: in columns of `width`, cells of (W,H) units, whose pixels are `factor` dots (0: shrunk smoothly),
    `steps` in lines of `line` cells.
    """

    columns: int
    left: float
    width: float
    factor: int
    cell: tuple[float, float]
    steps: list[int]
    line: int

    @property
    def lines(self) -> int:
        """Of cells, per strip."""
        return -(-len(self.steps) // self.line)

    @property
    def high(self) -> float:
        """Of the cells of one strip."""
        below = _NUMBERS if self.lines > 1 else 0
        return max(_LEAST, self.lines * (self.cell[1] + below + _BETWEEN) - _BETWEEN)

    def place(self, index: int) -> tuple[float, float]:
        """Of a cell, from the first one's corner."""
        row, column = divmod(index, self.line)
        below = _NUMBERS if self.lines > 1 else 0
        return column * (self.cell[0] + _BETWEEN), row * (self.cell[1] + below + _BETWEEN)


def draw_sheet(sheet: Sheet) -> Image.Image:
    """The whole picture."""
    plan = _plan(sheet)
    rows = -(-len(sheet.strips) // plan.columns)
    high = _TITLE + plan.high + _BELOW
    end = _TOP + _HEADS + rows * high
    bottom = max(end + 18 * len(sheet.left_out), _TOP + _left_height(plan, sheet)) + MARGIN - _BELOW / 2
    canvas = Image.new("RGB", (WIDTH * DOTS, round(bottom * DOTS)), "white")
    pen = _Pen(canvas)
    pen.write(MARGIN, MARGIN - 4, sheet.title, 26, bold=True)
    pen.write(MARGIN, MARGIN + 30, sheet.about, 13, MUTED)
    _left_column(pen, plan, sheet)
    first = MARGIN + plan.left + _GAP
    for slot, strip in enumerate(sheet.strips):
        column, row = divmod(slot, rows)
        at = (first + column * (plan.width + _GAP), _TOP + _HEADS + row * high)
        if row == 0:
            _heads(pen, plan, at)
        _strip(pen, plan, strip, at)
    for line, (name, why) in enumerate(sheet.left_out):
        after = pen.write(first, end + 18 * line, name, 12, bold=True)
        pen.write(after + 6, end + 18 * line, f"left out: {textwrap.shorten(why, 130, placeholder=' ...')}", 12, MUTED)
    return canvas


def _plan(sheet: Sheet) -> _Plan:
    """Two columns where strips are many and cells stay large enough, else one; what is left over goes to the image."""
    total = max(len(strip.cells) for strip in sheet.strips)
    steps = sorted({round(float(step)) for step in np.linspace(0, total - 1, min(total, MOST_CELLS))})
    line = -(-len(steps) // -(-len(steps) // IN_A_LINE))
    tall, wide = sheet.seen.shape[:2]
    for columns in (2, 1) if len(sheet.strips) > _FEW else (1,):
        across = (WIDTH - 2 * MARGIN - _LEFT) / columns - _GAP
        room = (across - _STATS - 38 - (line - 1) * _BETWEEN) / (line + 1)
        largest = (_LARGEST if len(sheet.strips) > _FEW else _LARGER) * DOTS
        factor = int(min(room * DOTS / wide, largest / wide, largest / tall))
        if factor * wide >= _SMALLEST * DOTS:
            break
    scale = factor / DOTS if factor else min(room / wide, largest / DOTS / wide, largest / DOTS / tall)
    cell = (scale * wide, scale * tall)
    width = (line + 1) * cell[0] + (line - 1) * _BETWEEN + _STATS + 38
    left = min(float(_WIDEST), WIDTH - 2 * MARGIN - columns * (width + _GAP))
    return _Plan(columns, left, width, factor, cell, steps, line)


def _heads(pen: _Pen, plan: _Plan, at: tuple[float, float]) -> None:
    """What stands in the columns, above the first strip."""
    for index, step in enumerate(plan.steps if plan.lines == 1 else ()):
        pen.write(at[0] + plan.place(index)[0], at[1] - 18, f"step {step + 1}", 11, MUTED)
    if plan.lines > 1:
        pen.write(at[0], at[1] - 18, "number of the step below it", 11, MUTED)
    pen.write(_stats_at(plan, at[0]), at[1] - 18, "share per step", 11, MUTED)
    pen.write(_decoded_at(plan, at[0]), at[1] - 18, "read back", 11, MUTED)


def _strip(pen: _Pen, plan: _Plan, strip: Strip, at: tuple[float, float]) -> None:
    x, y = at
    after = pen.write(x, y, strip.name, 14, bold=True)
    pen.write(after + 8, y + 1, strip.words, 12, MUTED)
    top = y + _TITLE
    for index, step in enumerate(plan.steps):
        if step >= len(strip.cells):
            break
        left, upper = x + plan.place(index)[0], top + plan.place(index)[1]
        pen.cell(strip.cells[step], left, upper, plan, palette.ON if strip.analog[step] else LINE)
        if strip.analog[step] and min(plan.cell[0] - 12, plan.cell[1]) > 28 and not any(strip.analog[:step]):
            pen.tag(left, upper + plan.cell[1], "analog")
        if plan.lines > 1:
            pen.write(left, upper + plan.cell[1] + 2, str(step + 1), 9.5, MUTED)
    _stats(pen, plan, strip, (_stats_at(plan, x), top))
    if strip.decoded is not None:
        pen.cell(strip.decoded, _decoded_at(plan, x), top, plan, LINE)


def _stats(pen: _Pen, plan: _Plan, strip: Strip, at: tuple[float, float]) -> None:
    """A bar per step, full height is 1, and the figures below."""
    x, y = at
    high = min(30.0, plan.high - 18 * len(strip.figures) - 2)
    each = (_STATS - 8) / max(5, len(strip.bars))
    for step, (share, real) in enumerate(zip(strip.bars, strip.analog)):
        left, right = x + step * each, x + (step + 0.8) * each
        pen.bar(left, y, right, y + high, "#f0eee9")
        pen.bar(left, y + high * (1 - share), right, y + high, palette.ON if real else INK)
    for line, (number, words) in enumerate(strip.figures):
        after = pen.write(x, y + high + 6 + 16 * line, number, 12, bold=True)
        pen.write(after + 4, y + high + 6.5 + 16 * line, words.replace("spikes per pixel", "spikes/pixel"), 11, MUTED)


def _stats_at(plan: _Plan, x: float) -> float:
    return x + plan.width - _STATS - 16 - plan.cell[0]


def _decoded_at(plan: _Plan, x: float) -> float:
    return x + plan.width - plan.cell[0]


def _pictures(sheet: Sheet) -> list[tuple[NDArray[np.uint8], str]]:
    """What stands at the left: the image and what is seen of it, or both at once where they are the same."""
    if np.array_equal(sheet.image, sheet.seen):
        return [(sheet.image, "the image, as it is seen")]
    return [(sheet.image, "the image"), (sheet.seen, "what the encoders see")]


def _left_height(plan: _Plan, sheet: Sheet) -> float:
    pictures = sum(_scaled(plan, each)[1] + 34 for each, _ in _pictures(sheet))
    return pictures + 21.0 * len(_legend(sheet)) + 17.0 * len(_NOTES) + 14


def _scaled(plan: _Plan, image: NDArray[np.uint8]) -> tuple[float, float]:
    """(W,H) in the left column, at most 1.2 times as high as wide."""
    high, wide = image.shape[:2]
    scale = min(plan.left / wide, 1.2 * plan.left / high)
    return wide * scale, high * scale


def _left_column(pen: _Pen, plan: _Plan, sheet: Sheet) -> None:
    """The image, what the encoders see of it, and how to read the rest."""
    y = float(_TOP)
    for image, words in _pictures(sheet):
        wide, high = _scaled(plan, image)
        pen.picture(image, MARGIN, y, wide, high, smooth=image.shape[1] > wide)
        pen.write(MARGIN, y + high + 6, f"{words}, {image.shape[1]} x {image.shape[0]}", 12, MUTED)
        y += high + 34
    for colour, frame, words in _legend(sheet):
        pen.swatch(MARGIN, y, 13, colour, frame)
        pen.write(MARGIN + 21, y - 1, words, 12, MUTED)
        y += 21
    for line, words in enumerate(_NOTES):
        pen.write(MARGIN, y + 6 + 17 * line, words, 11.5, MUTED)


def _legend(sheet: Sheet) -> list[tuple[str, str, str]]:
    """(colour, frame, words) of what cells are made of."""
    blue, green, cyan, red, violet, yellow, black = palette.INKS[1:]
    grey = bool((sheet.seen == sheet.seen[..., :1]).all())
    inks = [(red, "spike of red"), (green, "of green"), (blue, "of blue"), (yellow, "of red and green")]
    inks += [(violet, "of red and blue"), (cyan, "of green and blue"), (black, "of all three")]
    shown = [(black, "spike")] if grey else inks
    others = [("#ffffff", LINE, "no spike"), ("#ffffff", palette.ON, "analog: real numbers")]
    return [(colour, colour, words) for colour, words in shown] + others


class _Pen:
    """Draws in units."""

    def __init__(self, canvas: Image.Image) -> None:
        self.canvas, self.draw = canvas, ImageDraw.Draw(canvas)

    def write(self, x: float, y: float, words: str, size: float, colour: str = INK, bold: bool = False) -> float:
        """Words whose upper left corner is (x,y); returns where they end."""
        font = _font(size, words.isascii())
        self.draw.text((x * DOTS, y * DOTS), words, fill=colour, font=font, stroke_width=size / 36 if bold else 0)
        return x + float(self.draw.textlength(words, font)) / DOTS

    def bar(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """A filled rectangle, nothing where it has no height."""
        box = [round(edge * DOTS) for edge in (left, top, right, bottom)]
        if box[3] > box[1]:
            self.draw.rectangle((box[0], box[1], max(box[0], box[2] - 1), box[3] - 1), fill=colour)

    def swatch(self, x: float, y: float, side: float, colour: str, frame: str) -> None:
        """A small square."""
        self.draw.rectangle(
            [edge * DOTS for edge in (x, y, x + side, y + side)], fill=colour, outline=frame, width=DOTS
        )

    def cell(self, colours: NDArray[np.uint8], x: float, y: float, plan: _Plan, frame: str) -> None:
        """One step with a frame around it."""
        self.picture(colours, x, y, *plan.cell, smooth=not plan.factor, frame=frame)

    def picture(
        self, colours: NDArray[np.uint8], x: float, y: float, wide: float, high: float, smooth: bool, frame: str = LINE
    ) -> None:
        """An image in a frame of one unit outside of it."""
        size = max(1, round(wide * DOTS)), max(1, round(high * DOTS))
        way: Any = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
        left, top = round(x * DOTS), round(y * DOTS)
        self.draw.rectangle((left - DOTS, top - DOTS, left + size[0] + DOTS - 1, top + size[1] + DOTS - 1), fill=frame)
        self.canvas.paste(Image.fromarray(colours).resize(size, way), (left, top))

    def tag(self, x: float, bottom: float, words: str) -> None:
        """A word on a cell's lower left corner."""
        font = _font(9, True)
        wide = float(self.draw.textlength(words, font)) + 6 * DOTS
        box = (x * DOTS - DOTS, (bottom - 13) * DOTS, x * DOTS + wide, bottom * DOTS + DOTS - 1)
        self.draw.rectangle(box, fill=palette.ON)
        self.draw.text((x * DOTS + 2 * DOTS, (bottom - 12) * DOTS), words, fill="#000000", font=font)


@cache
def _font(size: float, ascii_only: bool) -> Any:
    """PIL's own, or for letters that it lacks matplotlib's."""
    if ascii_only:
        return ImageFont.load_default(size * DOTS)
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size * 0.95 * DOTS)
