"""From a sensor coordinate to a frame coordinate: what is cropped away, and how many pixels become one.

Knows one axis at a time; no events, no time.
"""

from __future__ import annotations

from typing import NamedTuple

from dvspipe.errors import DvspipeError

Box = tuple[int, int, int, int]  # left, top, width, height in pixels of the sensor
SHIFT = 32


class Axis(NamedTuple):
    """Frame coordinate = ((coordinate - first) · scale) >> 32 where 0 <= coordinate - first < span.

    `scale` = ceil(2^32 / downsample): a multiplication and a shift equal the division for every uint16 coordinate (the
    error, coordinate · downsample / 2^32, stays below 1), and unlike a division they run on vectors.
    """

    first: int
    span: int
    scale: int


def make_axes(
    sensor_size: tuple[int, int], downsample: int, crop: Box | None
) -> tuple[tuple[Axis, Axis], tuple[int, int]]:
    """(columns' axis, rows' axis) and the frame's (W, H); where `downsample` does not divide the box, the last column and
    row cover fewer pixels. Raises DvspipeError for a box that leaves the sensor.
    """
    left, top, width, height = crop if crop is not None else (0, 0, *sensor_size)
    if not (0 <= left < left + width <= sensor_size[0] and 0 <= top < top + height <= sensor_size[1]):
        raise DvspipeError(
            f"crop {width}x{height} at ({left}, {top}) must lie inside the {sensor_size[0]}x{sensor_size[1]} sensor."
        )
    scale = -(-(1 << SHIFT) // downsample)
    axes = Axis(left, width, scale), Axis(top, height, scale)
    return axes, (-(-width // downsample), -(-height // downsample))
