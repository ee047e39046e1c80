"""Frames of events -> a picture with afterglow: ON warm, OFF cool, on a dark background.

Knows counts per pixel and the palette; not where the picture will be shown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvspipe.events import Events
from dvspipe.show import palette

_SHOWN = 0.95  # share of the lit pixels that stay below full brightness
_GAMMA = 0.6  # lifts single events out of the dark


class EventPicture:
    """Afterglow of a stream: what is new shines, what is older fades.

    `decay` is the share of the glow that one further frame leaves. `full` is the count of events at which a pixel is
    fully lit; None learns it from the stream, slowly, so that brightness does not flicker.
    """

    def __init__(self, decay: float = 0.6, full: float | None = None) -> None:
        self.decay, self._fixed = decay, full
        self._full = full or 1.0
        self.glow: NDArray[np.float32] | None = None

    def add(self, frame: ArrayLike) -> NDArray[np.float32]:
        """Adds counts [2,H,W] (channel 0 = OFF, 1 = ON); returns the glow [2,H,W], 0..1. A new size starts anew."""
        counts = np.asarray(frame, np.float32)
        if self._fixed is None and counts.any():
            first = self.glow is None
            self._full += (1.0 if first else 0.1) * (full_count(counts) - self._full)
        light = np.minimum(1.0, counts / self._full) ** np.float32(_GAMMA)
        if self.glow is None or self.glow.shape != light.shape:
            self.glow = np.zeros_like(light)
        older = self.glow * (1 - light[::-1])  # a new ON puts an old OFF out: edges stay crisp
        self.glow = np.maximum(older * np.float32(self.decay), light)
        return self.glow

    def rgb(self) -> NDArray[np.uint8]:
        """The picture now, uint8 [H,W,3]; 1x1 of background before the first frame."""
        return colours(self.glow if self.glow is not None else np.zeros((2, 1, 1), np.float32))


def picture(source: Events | ArrayLike) -> NDArray[np.uint8]:
    """One still picture, uint8 [H,W,3], of events or of a frame of counts [2,H,W]."""
    still = EventPicture()
    still.add(_counts(source) if isinstance(source, Events) else source)
    return still.rgb()


def colours(glow: ArrayLike) -> NDArray[np.uint8]:
    """Glow [2,H,W] in 0..1 (OFF, ON) -> uint8 [H,W,3]: hue by polarity, brightness by the stronger of the two."""
    off, on = np.asarray(glow, np.float32)[..., None]
    three = (palette.BACKGROUND, palette.ON, palette.OFF)
    background, warm, cool = (np.array(palette.rgb(colour), np.float32) for colour in three)
    tint = (on * warm + off * cool) / np.maximum(on + off, 1e-6)
    return np.asarray(background + np.maximum(on, off) * (tint - background)).round().astype(np.uint8)


def full_count(counts: NDArray[np.float32]) -> float:
    """The count that 95 % of the lit pixels stay below (at least 1); 1 where nothing is lit."""
    lit = counts[counts > 0]
    return max(1.0, float(np.quantile(lit, _SHOWN))) if lit.size else 1.0


def shrink(frame: NDArray[np.generic], height: int, width: int) -> NDArray[np.generic]:
    """Sums whole blocks of pixels of [...,H,W] until it fits into height x width; no event is lost."""
    block = max(-(-frame.shape[-2] // height), -(-frame.shape[-1] // width), 1)
    if block == 1:
        return frame
    rows = np.add.reduceat(frame, np.arange(0, frame.shape[-2], block), axis=-2)
    return np.asarray(np.add.reduceat(rows, np.arange(0, frame.shape[-1], block), axis=-1))


def _counts(events: Events) -> NDArray[np.float32]:
    width, height = events.sensor_size
    place = (events.p.astype(np.int64) * height + events.y) * width + events.x
    return np.bincount(place, minlength=2 * height * width).reshape(2, height, width).astype(np.float32)
