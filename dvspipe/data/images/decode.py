"""An image file -> uint8 pixels of 1 or 3 channels, with every conversion named. Knows no folder and no label.

What is converted: the rotation that EXIF asks for is applied (as in every viewer; torchvision ignores it), 16 bits become
8 by scaling, transparent pixels lie on black, palettes and CMYK become RGB, grey becomes RGB or colours grey (ITU-R 601)
as the channels say; of several frames the first counts. Two are not seen from outside and not named: PIL itself reads
RGB of 16 bits as 8 bits, and 1 bit as black and white.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

ORIENTATION = 0x0112  # EXIF tag; 1 is upright, 5..8 lie on the side
ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
GREY = ("1", "L", "LA", "La", *SIXTEEN_BIT)
EIGHT_BIT = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", *ALPHA)


def conversions(image: Image.Image, channels: int) -> list[str]:
    """What `decode` will do to an opened image, from its header. Raises ValueError for pixels that are not read."""
    mode = image.mode
    if mode not in EIGHT_BIT + SIXTEEN_BIT:
        raise ValueError(f"pixels of mode {mode} are not read. Save it as RGB or grey with 8 or 16 bits per channel")
    grey = mode in GREY
    steps = {
        "rotated as EXIF says": _turned(image),
        "16 bits scaled to 8": mode in SIXTEEN_BIT,
        "transparency laid on black": _transparent(image),
        "palette to RGB": mode in ("P", "PA"),
        "CMYK to RGB": mode == "CMYK",
        "grey to RGB": grey and channels == 3,
        "colours to grey": not grey and channels == 1,
    }
    return [step for step, is_done in steps.items() if is_done]


def size_of(image: Image.Image) -> tuple[int, int]:
    """(W, H) once upright."""
    width, height = image.size
    return (height, width) if _orientation(image) >= 5 else (width, height)


def decode(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """[C,H,W] of an opened image. Raises ValueError as `conversions`, and what PIL raises on a broken file."""
    conversions(image, channels)
    if _turned(image):
        image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BIT:
        image = _eight_bit(image)
    elif _transparent(image):
        over = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, (0, 0, 0, 255)), over)
    if channels == 1:
        return np.array(image.convert("L"))[None]
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def _eight_bit(image: Image.Image) -> Image.Image:
    """0..65535 -> 0..255, rounded."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError(f"pixels of {values.min()}..{values.max()}, allowed is 0..65535. Save it with 8 or 16 bits")
    return Image.fromarray(((values * 0xFF + 0x7FFF) // 0xFFFF).astype(np.uint8))


def _transparent(image: Image.Image) -> bool:
    return image.mode in ALPHA or (image.mode not in SIXTEEN_BIT and "transparency" in image.info)


def _turned(image: Image.Image) -> bool:
    return _orientation(image) != 1


def _orientation(image: Image.Image) -> int:
    found = image.getexif().get(ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1
