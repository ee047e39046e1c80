"""From moving pictures to events: draws frame after frame, lights them and shows them to the pixels. Constant memory.

Knows neither who is filmed nor what they do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvspipe.events import Events
from dvspipe.sensor.pixel import DvsPixels, DvsSettings
from dvspipe.simulate.drawing import SIZE
from dvspipe.simulate.studio import Light

FRAME_US = 4_000  # a wrist at full speed crosses about 1.5 pixels in this time
CHUNK_FRAMES = 25
LAMP_HZ = 100  # a lamp at 50 Hz mains
DVS128 = DvsSettings(on_threshold=0.18, off_threshold=0.16, bandwidth_hz=200.0)
Frame = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Lighting:
    """A place to record at: its light, its flicker (relative amplitude at 100 Hz) and how the pixels fare there."""

    name: str
    light: Light
    flicker: float
    sensor: DvsSettings


def film(draw: Callable[[int], Frame], end_us: int, lighting: Lighting, seed: int) -> Iterator[Events]:
    """Events of 0 to at least `end_us` in chunks of 0.1 s; `draw(t_us)` gives linear intensity uint16 [128, 128].

    `seed` is the camera: its thresholds, hot pixels and noise.
    """
    pixels = DvsPixels((SIZE, SIZE), lighting.sensor, seed)
    held: list[Events] = []
    for k, t_us in enumerate(range(0, end_us + FRAME_US, FRAME_US)):
        held.append(pixels.step(_lit(draw(t_us), t_us, lighting.flicker), t_us))
        if k % CHUNK_FRAMES == CHUNK_FRAMES - 1:
            yield Events.concatenate(held, (SIZE, SIZE))
            held = []
    yield Events.concatenate(held, (SIZE, SIZE))


def _lit(frame: Frame, t_us: int, flicker: float) -> Frame:
    """The frame under a lamp on alternating current."""
    if flicker == 0.0:
        return frame
    gain = 1.0 - flicker * (0.5 + 0.5 * math.sin(2 * math.pi * LAMP_HZ * 1e-6 * t_us))
    return ((frame.astype(np.uint32) * round(gain * 65536)) >> 16).astype(np.uint16)
