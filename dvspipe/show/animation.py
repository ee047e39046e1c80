"""Frames of a clip -> a small looping GIF, ready to stand inside a page as a data address.

Written with a palette of its own (every mixture of ON and OFF in a few levels), so no colour is guessed and files
stay small. Knows nothing about decisions: a caption is a word it is given.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import ShapeError
from dvspipe.show.picture import EventPicture, colours, full_count, shrink

LIMIT = 300_000  # bytes of the data address
_LEVELS = 8  # per polarity: 64 colours
_GREYS = 16  # for the caption's letters
_SMALL = 16  # below this neither frames nor pixels are thinned out further
_CAPTION_WIDTH = 240  # pixels: narrower pictures are enlarged so that a caption can be read


def animation(
    frames: NDArray[Any], captions: Sequence[str] = (), frame_ms: float = 50.0, limit: int = LIMIT, decay: float = 0.5
) -> str:
    """`data:image/gif;base64,...` of counts [T,2,H,W] (OFF, ON), at most `limit` characters, `frame_ms` per frame.

    `captions`, one per frame or none at all, are written below the picture. Too large a clip is first thinned in time
    (frames are summed in pairs), then in space. Raises ShapeError for other shapes, for no frames, and for captions
    that do not fit.
    """
    frames = np.asarray(frames, np.float32)
    if frames.ndim != 4 or frames.shape[1] != 2 or not frames.size:
        raise ShapeError(f"an animation needs frames [T,2,H,W] with at least one frame, got {frames.shape}.")
    if len(captions) not in (0, len(frames)):
        raise ShapeError(f"{len(captions)} captions for {len(frames)} frames: give one per frame, or none.")
    while True:
        text = "data:image/gif;base64," + base64.b64encode(_gif(frames, captions, frame_ms, decay)).decode()
        if len(text) <= limit or (len(frames) <= _SMALL and frames.shape[-1] <= _SMALL):
            return text
        frames, captions, frame_ms = _smaller(frames, captions, frame_ms)


def _smaller(
    frames: NDArray[Any], captions: Sequence[str], frame_ms: float
) -> tuple[NDArray[Any], Sequence[str], float]:
    """Half the frames at half the pace while there are many, then half the pixels."""
    if len(frames) > 2 * _SMALL:
        return np.add.reduceat(frames, np.arange(0, len(frames), 2)), captions[::2], 2 * frame_ms
    half = np.asarray(shrink(frames, -(-frames.shape[-2] // 2), -(-frames.shape[-1] // 2)))
    return half, captions, frame_ms


def _gif(frames: NDArray[Any], captions: Sequence[str], frame_ms: float, decay: float) -> bytes:
    from PIL import Image

    glowing = EventPicture(decay=decay, full=full_count(frames))
    pictures = []
    for index, frame in enumerate(frames):
        off, on = (glowing.add(frame) * (_LEVELS - 1)).round().astype(np.uint8)
        cells = on * _LEVELS + off
        if captions:
            cells = _captioned(cells, captions[index])
        still = Image.fromarray(cells, mode="P")
        still.putpalette(_palette())
        pictures.append(still)
    file = io.BytesIO()
    pace = max(20, round(frame_ms / 10) * 10)  # GIF counts hundredths of a second; browsers slow anything under two
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=pace, loop=0, optimize=False)
    return file.getvalue()


def _palette() -> bytes:
    """64 mixtures of ON and OFF, then greys from the background to white."""
    on, off = np.divmod(np.arange(_LEVELS**2), _LEVELS)
    glow = np.stack([off, on])[:, None, :] / (_LEVELS - 1)
    mixtures = colours(glow)[0]
    greys = mixtures[0] + np.linspace(0, 1, _GREYS)[:, None] * (255.0 - mixtures[0])
    return bytes(np.concatenate([mixtures, greys.round().astype(np.uint8)]).tobytes())


def _captioned(cells: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    """The picture, enlarged by a whole factor, over a strip that holds the caption."""
    from PIL import Image, ImageDraw, ImageFont

    factor = max(1, -(-_CAPTION_WIDTH // cells.shape[1]))
    cells = cells.repeat(factor, axis=0).repeat(factor, axis=1)
    strip = Image.new("L", (cells.shape[1], 28), 0)
    draw = ImageDraw.Draw(strip)
    draw.text((strip.width // 2, 14), caption, fill=255, anchor="mm", font=ImageFont.load_default(size=15))
    letters = _LEVELS**2 + np.asarray(strip, np.uint16) * (_GREYS - 1) // 255
    return np.concatenate([cells, letters.astype(np.uint8)])
