"""Words, bars and areas on a picture uint8 [H,W,3], fast enough for video: letters are drawn once and kept.

Coordinates in pixels from the top left; what lies outside is cut off. Knows nothing about what is shown.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import palette

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Picture = NDArray[np.uint8]
_DIMMED = 0.45  # what stripes leave of a colour


class Box(NamedTuple):
    """A rectangle: its left and top edge, width and height."""

    x: int
    y: int
    width: int
    height: int

    def of(self, picture: Picture) -> Picture:
        """The pixels inside, as a view."""
        return picture[max(0, self.y) : self.y + self.height, max(0, self.x) : self.x + self.width]


def fill(picture: Picture, box: Box, colour: str) -> None:
    """A rectangle."""
    box.of(picture)[:] = palette.rgb(colour)


def panel(picture: Picture, box: Box, colour: str, radius: int) -> None:
    """A rectangle with round corners."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", (4 * box.width, 4 * box.height))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, *(4 * side - 1 for side in box[2:])), 4 * radius, fill=255)
    _blend(picture, _alpha(mask.resize(box[2:], Image.Resampling.BOX)), box.x, box.y, colour)


def write(
    picture: Picture, text: str, at: tuple[int, int], size: int, colour: str, bold: bool = False, anchor: str = "left",
    width: int | None = None,
) -> int:  # fmt: skip
    """Words on a baseline at (x, y), `size` in pixels, cut to `width` with an ellipsis; returns how wide they are.

    `anchor` is what of them stands at x: "left", "right" or "middle".
    """
    if width is not None:
        text = _cut(text, size, bold, width)
    letters = _letters(text, size, bold)
    if letters is None:
        return 0
    alpha, left, top, advance = letters
    x = at[0] - {"left": 0, "right": advance, "middle": advance // 2}[anchor]
    _blend(picture, alpha, x + left, at[1] + top, colour)
    return advance


def area(picture: Picture, box: Box, heights: NDArray[Any], colour: str) -> None:
    """A filled curve: shares 0..1 of the box's height, one per pixel of its width; nothing where NaN."""
    region = box.of(picture)
    pixels = np.where(np.isnan(heights), 0, 1 + np.nan_to_num(np.clip(heights, 0, 1)) * (box.height - 1)).round()
    from_below = np.arange(box.height, 0, -1)[:, None]
    rgb = np.array(palette.rgb(colour))
    region[from_below <= pixels] = (0.45 * rgb + 0.55 * region[0, 0]).astype(np.uint8)
    region[(from_below <= pixels) & (from_below > pixels - max(1, box.height // 24))] = rgb


def stripes(picture: Picture, box: Box, columns: NDArray[np.bool_]) -> None:
    """Darkens diagonal stripes of the columns marked, one mark per pixel of the box's width."""
    region = box.of(picture)
    wide = max(6, box.height // 3)
    diagonal = (np.arange(box.height)[:, None] + np.arange(box.width)) % wide < wide // 2
    chosen = diagonal & columns
    region[chosen] = (region[chosen] * _DIMMED).astype(np.uint8)


def ink_on(colour: str) -> str:
    """Dark or light words, whichever can be read on a colour."""
    red, green, blue = palette.rgb(colour)
    return palette.BACKGROUND if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


@lru_cache(maxsize=1024)
def text_width(text: str, size: int, bold: bool = False) -> int:
    """Pixels that words take."""
    return round(_font(size, bold).getlength(text))


def _blend(picture: Picture, alpha: NDArray[np.float32], x: int, y: int, colour: str) -> None:
    """Colour over picture, as far as `alpha` [h,w,1] covers it."""
    top, left = max(0, -y), max(0, -x)
    region = picture[y + top : y + alpha.shape[0], x + left : x + alpha.shape[1]] if y + alpha.shape[0] > 0 else None
    if region is None or not region.size:
        return
    cover = alpha[top : top + region.shape[0], left : left + region.shape[1]]
    rgb = np.array(palette.rgb(colour), np.float32)
    region[:] = region + (rgb - region) * cover + np.float32(0.5)


def _alpha(mask: Any) -> NDArray[np.float32]:
    return np.asarray(mask, np.float32)[..., None] / np.float32(255)


@lru_cache(maxsize=4096)
def _letters(text: str, size: int, bold: bool) -> tuple[NDArray[np.float32], int, int, int] | None:
    """How far letters cover their pixels [h,w,1], where that stands from the baseline's start, and their width."""
    from PIL import Image, ImageDraw

    font = _font(size, bold)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor="ls"))
    if right <= left or bottom <= top:
        return None
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font, anchor="ls")
    return _alpha(mask), left, top, round(font.getlength(text))


@lru_cache(maxsize=1024)
def _cut(text: str, size: int, bold: bool, width: int) -> str:
    if text_width(text, size, bold) <= width:
        return text
    while text and text_width(text + "…", size, bold) > width:
        text = text[:-1]
    return text + "…"


@lru_cache(maxsize=64)
def _font(size: int, bold: bool) -> FreeTypeFont:
    """DejaVu, which comes with matplotlib."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
