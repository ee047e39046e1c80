"""Anti-aliased shapes on a picture of twice the sensor's resolution, in sensor pixels. Knows nothing of bodies."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from dvspipe.simulate.skeleton import Point

SIZE = 128  # pixels of the square sensor
OVER = 2  # drawn pixels per sensor pixel and axis
SHIFT = 4  # OpenCV draws in steps of 1/16 pixel
FIXED = OVER * (1 << SHIFT)
ORIGIN = (FIXED - (1 << SHIFT)) / 2  # a sensor pixel's centre lies between the centres of the drawn pixels under it
Image = NDArray[np.uint8]


def blank(tone: int) -> Image:
    """An empty picture."""
    return np.full((SIZE * OVER, SIZE * OVER), tone, np.uint8)


def to_sensor(image: Image) -> NDArray[np.uint16]:
    """Light that falls on each sensor pixel: the mean of the drawn ones, full scale at uint16's."""
    rows = image[0::2].astype(np.uint16) + image[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * np.uint16(64)


def between(a: Point, b: Point, share: float) -> Point:
    """The point at `share` of the way from a to b."""
    x, y, near, scale = (p + share * (q - p) for p, q in zip(a, b))
    return Point(x, y, near, scale)


def polygon(image: Image, points: Iterable[Point], tone: int) -> None:
    """A filled outline."""
    corners = np.array([_fixed(p.x, p.y) for p in points], np.int32)
    cv2.fillPoly(image, [corners], tone, cv2.LINE_AA, SHIFT)


def ellipse(image: Image, centre: Point, rx: float, ry: float, tone: int) -> None:
    """A filled upright ellipse, radii in metres."""
    axes = (int(rx * centre.scale * FIXED), int(ry * centre.scale * FIXED))
    cv2.ellipse(image, _fixed(centre.x, centre.y), axes, 0, 0, 360, tone, -1, cv2.LINE_AA, SHIFT)


def capsule(image: Image, a: Point, b: Point, ra: float, rb: float, tone: int) -> None:
    """Two discs of radius ra, rb (metres) and what lies between them: a limb."""
    nx, ny = _normal(a, b)
    wide, narrow = ra * a.scale * FIXED, rb * b.scale * FIXED
    ax, ay, bx, by = (v * FIXED + ORIGIN for v in (a.x, a.y, b.x, b.y))
    corners = (
        (round(ax + nx * wide), round(ay + ny * wide)),
        (round(bx + nx * narrow), round(by + ny * narrow)),
        (round(bx - nx * narrow), round(by - ny * narrow)),
        (round(ax - nx * wide), round(ay - ny * wide)),
    )
    cv2.fillConvexPoly(image, np.array(corners, np.int32), tone, cv2.LINE_AA, SHIFT)
    cv2.circle(image, (round(ax), round(ay)), int(wide), tone, -1, cv2.LINE_AA, SHIFT)
    cv2.circle(image, (round(bx), round(by)), int(narrow), tone, -1, cv2.LINE_AA, SHIFT)


def line(image: Image, a: Point, b: Point, width_m: float, tone: int) -> None:
    """A line, its width in metres and at least one drawn pixel."""
    thickness = max(1, round(width_m * a.scale * OVER))
    cv2.line(image, _fixed(a.x, a.y), _fixed(b.x, b.y), tone, thickness, cv2.LINE_AA, SHIFT)


def ring(image: Image, a: Point, b: Point, at: float, radius: float, width_m: float, tone: int) -> None:
    """A band around the limb from a to b, at share `at` of its length."""
    p = between(a, b, at)
    nx, ny = (radius * p.scale * n for n in _normal(a, b))
    line(image, p._replace(x=p.x + nx, y=p.y + ny), p._replace(x=p.x - nx, y=p.y - ny), width_m, tone)


def _normal(a: Point, b: Point) -> tuple[float, float]:
    dx, dy = b.x - a.x, b.y - a.y
    length = max((dx * dx + dy * dy) ** 0.5, 1e-6)
    return -dy / length, dx / length


def _fixed(x: float, y: float) -> tuple[int, int]:
    """Sensor pixels -> OpenCV's fixed point on the larger picture."""
    return round(x * FIXED + ORIGIN), round(y * FIXED + ORIGIN)
