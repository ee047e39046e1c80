"""Known event cameras and their sensor sizes (W, H), for files that do not say how large their sensor was.

Knows no file format. Sizes: iniVation and Prophesee data sheets, as listed in libcaer and OpenEB.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES: dict[str, tuple[int, int]] = {
    "DVS128": (128, 128),
    "DAVIS128": (128, 128),
    "DAVIS208": (208, 192),
    "DAVIS240": (240, 180),
    "DVXplorer_Lite": (320, 240),
    "DAVIS346": (346, 260),
    "DVXplorer": (640, 480),
    "DAVIS640": (640, 480),
    "EVK4": (1280, 720),
}
SAMPLE_EVENTS = 1_000_000
STRAY_FRACTION = 0.001
LARGEST_SENSOR = 8192  # pixels along a side


def named_size(text: str) -> tuple[int, int] | None:
    """(W, H) of the camera that `text` names, or the "WxH" written in it; None when it holds neither."""
    for name, size in SIZES.items():
        if name.lower() in text.lower():
            return size
    written = re.search(r"\b(\d{1,5})x(\d{1,5})\b", text)
    return (int(written[1]), int(written[2])) if written else None


def size_holding(x: NDArray[Any], y: NDArray[Any]) -> tuple[int, int]:
    """(W, H) of the smallest known camera that holds the events at x, y [N]; of the events themselves if none does.

    One event in a thousand may lie outside: a damaged line must not turn a DVS128 into a larger camera. Where events
    lie outside of any camera there could be, the file is damaged and half of them decide. An empty sample is taken for
    a DVS128.
    """
    x, y = np.asarray(x[:SAMPLE_EVENTS]), np.asarray(y[:SAMPLE_EVENTS])
    inside = [np.count_nonzero((x >= 0) & (x < width) & (y >= 0) & (y < height)) for width, height in SIZES.values()]
    for needed in (1 - STRAY_FRACTION, 0.5):
        for size, held in zip(SIZES.values(), inside):
            if held >= needed * len(x):
                return size
        if (x < LARGEST_SENSOR).all() and (y < LARGEST_SENSOR).all():
            return int(x.max()) + 1, int(y.max()) + 1
    return max(SIZES.values())
