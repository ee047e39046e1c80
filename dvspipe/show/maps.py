"""Arrays of numbers -> small pictures for a page: heat (nothing to most) and balance (weaker, neutral, stronger).

One pixel per value, as a PNG inside a data address: the page enlarges it without smoothing. Knows no layers and no
networks.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import palette

if TYPE_CHECKING:
    from PIL import Image

_LEVELS = 128


def heat(values: NDArray[Any], top: float) -> str:
    """[H,W], 0 to `top`, as `data:image/png;base64,...`; what is above `top` is shown as `top`."""
    return _picture(np.asarray(values, float) / (top or 1.0), palette.HEAT)


def balance(values: NDArray[Any], neutral: float, reach: float) -> str:
    """[H,W], from `neutral` - `reach` to `neutral` + `reach`, likewise."""
    return _picture(0.5 + (np.asarray(values, float) - neutral) / (2 * (reach or 1.0)), palette.BALANCE)


def photo(pixels: NDArray[np.uint8]) -> str:
    """Colours [H,W,3], likewise."""
    from PIL import Image

    return _address(Image.fromarray(pixels))


def shades(shares: NDArray[Any], stops: Sequence[str]) -> NDArray[np.uint8]:
    """Shares 0..1 of any shape in the colours between `stops`, [...,3]; what is outside is cut off."""
    table = np.frombuffer(_colours(stops), np.uint8).reshape(_LEVELS, 3)
    return np.asarray(table[_levels(shares)])


def gradient(stops: Sequence[str]) -> str:
    """The scale as a CSS gradient, from left to right."""
    return f"linear-gradient(90deg,{','.join(stops)})"


def _picture(shares: NDArray[Any], stops: Sequence[str]) -> str:
    """Shares 0..1 [H,W], or [W] as one row, in the colours between `stops`."""
    from PIL import Image

    still = Image.fromarray(_levels(np.atleast_2d(shares)), mode="P")
    still.putpalette(_colours(stops))
    return _address(still)


def _levels(shares: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray((np.clip(shares, 0, 1) * (_LEVELS - 1)).round().astype(np.uint8))


def _address(still: Image.Image) -> str:
    file = io.BytesIO()
    still.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _colours(stops: Sequence[str]) -> bytes:
    """`_LEVELS` colours from the first stop to the last."""
    known = np.array([palette.rgb(stop) for stop in stops], float)
    at, marks = np.linspace(0, 1, _LEVELS), np.linspace(0, 1, len(stops))
    mixed = np.stack([np.interp(at, marks, channel) for channel in known.T], axis=1)
    return bytes(mixed.round().astype(np.uint8).tobytes())
