"""A lit room: how bright a surface looks, limbs with a dark side, the wall behind. Knows nobody who stands in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvspipe.simulate.drawing import OVER, SIZE, Image, blank, capsule
from dvspipe.simulate.skeleton import Point


@dataclass(frozen=True, slots=True)
class Light:
    """How a scene is lit: `level` scales all brightness, `shade` is how dark the far sides of a limb are (0 as bright,
    1 black), `side` where the light comes from (-1 image left, 1 image right)."""

    level: float = 0.9
    shade: float = 0.35
    side: float = -0.4


class Studio:
    """A room in one light, into which bodies are drawn. Brightness is reflectance from 0 to 1."""

    def __init__(self, light: Light) -> None:
        self.light = light

    def tone(self, brightness: float, shaded: bool = False) -> int:
        """The value 0..255 of a surface on a picture."""
        factor = self.light.level * (1.0 - self.light.shade if shaded else 1.0)
        return round(255 * min(max(brightness * factor, 0.0), 1.0))

    def wall(self, rng: np.random.Generator) -> Image:
        """A bright wall with some furniture; it stands still, so it only sets the contrast."""
        wall = float(rng.uniform(0.65, 0.95))
        image = blank(self.tone(wall))
        for _ in range(int(rng.integers(2, 7))):
            x, y, w, h = (OVER * int(v) for v in rng.integers((0, 0, 5, 5), (SIZE, SIZE, 45, 60)))
            image[y : y + h, x : x + w] = self.tone(wall * float(rng.uniform(0.6, 1.1)))
        return image

    def rounded(self, image: Image, a: Point, b: Point, ra: float, rb: float, brightness: float) -> None:
        """A limb from a to b, radii in metres, with a dark side away from the light."""
        capsule(image, a, b, ra, rb, self.tone(brightness, shaded=True))
        dx, dy = 0.25 * ra * self.light.side, -0.12 * ra
        lit_a, lit_b = (p._replace(x=p.x + dx * p.scale, y=p.y + dy * p.scale) for p in (a, b))
        capsule(image, lit_a, lit_b, 0.68 * ra, 0.68 * rb, self.tone(brightness))
