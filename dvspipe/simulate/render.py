"""Draws a body before the camera: trunk, head and arms in order of depth, clothes; grayscale, linear light.

Knows nothing of gestures, time or the sensor.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvspipe.simulate.body import Body
from dvspipe.simulate.drawing import Image, between, capsule, ellipse, line, polygon, ring, to_sensor
from dvspipe.simulate.gestures import Pose
from dvspipe.simulate.skeleton import Limb, Point, limbs, project
from dvspipe.simulate.studio import Light, Studio

TRUNK_M = 0.55  # from shoulders to hip
SEAM_M = 0.012  # width of folds and stripes
PRINT_STROKES = 5
LEVEL_ARM_GAIN = 2.0
# The right half of the trunk's outline as (across, down), see `_on_trunk`; the other half mirrors it.
OUTLINE = ((0.35, -0.1), (0.8, -0.03), (1.05, 0.08), (0.92, 0.3), (1.0, 1.6))


class Scene:
    """One subject before one background in one light: `frame(pose)` draws them."""

    def __init__(self, body: Body, light: Light, rng: np.random.Generator) -> None:
        self.body, self.room = body, Studio(light)
        self._back = self.room.wall(rng)
        self._strokes = rng.uniform((-0.5, 0.15, -0.5, -0.2), (0.5, 0.65, 0.5, 0.2), (PRINT_STROKES, 4)).tolist()

    def frame(self, pose: Pose) -> NDArray[np.uint16]:
        """Linear intensity uint16 [128, 128] of the scene with the body in `pose`."""
        image = self._back.copy()
        self._trunk(image, pose)
        self._head(image, pose)
        for limb in sorted(limbs(self.body, pose), key=lambda each: each.wrist.near):
            self._arm(image, limb)
        return to_sensor(image)

    def _trunk(self, image: Image, pose: Pose) -> None:
        clothes = self.body.clothes
        half = [self._on_trunk(pose, u, v) for u, v in OUTLINE]
        half += [self._on_trunk(pose, -u, v) for u, v in reversed(OUTLINE)]
        polygon(image, half, self.room.tone(clothes.top))
        dark = self.room.tone(clothes.top * (1.0 - clothes.pattern_contrast))
        for u, v, to_u, to_v, width in self._pattern():
            line(image, self._on_trunk(pose, u, v), self._on_trunk(pose, to_u, to_v), width, dark)

    def _pattern(self) -> list[tuple[float, float, float, float, float]]:
        """Lines of the clothes' pattern on the trunk: (across, down) from and to, width in metres."""
        clothes = self.body.clothes
        step = clothes.pattern_step_m / TRUNK_M
        lines = []
        if clothes.pattern in ("stripes", "checks"):
            lines += [(-0.9, k * step, 0.9, k * step, SEAM_M) for k in range(1, int(1.3 / step))]
        if clothes.pattern == "checks":
            lines += [(k * 3 * step, 0.05, k * 3 * step, 1.3, SEAM_M) for k in range(-2, 3)]
        if clothes.pattern == "print":
            lines += [(u, v, u + du, v + dv, 0.02) for u, v, du, dv in self._strokes]
        return lines

    def _on_trunk(self, pose: Pose, across: float, down: float) -> Point:
        """across from -1 (image left) to 1, down from 0 (shoulders) to 1 (hip); the shoulders lean, the hip stays."""
        body = self.body
        half = body.shoulder_half_m + (body.hip_half_m - body.shoulder_half_m) * down
        lean = max(0.0, 1.0 - down)
        return project(body, (across * half + pose.lean[0] * lean, TRUNK_M * down + pose.lean[1] * lean, 0.0))

    def _head(self, image: Image, pose: Pose) -> None:
        body, r = self.body, self.body.head_radius_m
        x, y = 1.3 * pose.lean[0] + pose.nod[0], 1.3 * pose.lean[1] + pose.nod[1] - body.neck_m - r
        turn = 0.6 * pose.nod[0]  # the face moves more than the skull when the head turns

        def at(right: float, down: float) -> Point:
            return project(body, (x + right * r, y + down * r, 0.0))

        foot = project(body, (pose.lean[0], 0.02, 0.0))
        capsule(image, foot, at(0.0, 0.6), 0.55 * r, 0.5 * r, self.room.tone(body.skin, shaded=True))
        if body.long_hair:
            ellipse(image, at(0.0, 0.35), 1.15 * r, 1.6 * r, self.room.tone(body.hair))
        ellipse(image, at(0.0, -0.1), 1.02 * r, 1.3 * r, self.room.tone(body.hair))
        ellipse(image, at(0.0, 0.2), 0.85 * r, 1.1 * r, self.room.tone(body.skin))
        for side in (-0.35, 0.35):
            width = (0.24 if body.glasses else 0.14) * r
            ellipse(image, at(side + turn / r, 0.1), width, 0.12 * r, self.room.tone(0.4 * body.skin))
        ellipse(image, at(turn / r, 0.8), 0.28 * r, 0.07 * r, self.room.tone(0.5 * body.skin))

    def _arm(self, image: Image, limb: Limb) -> None:
        body, clothes, r = self.body, self.body.clothes, self.body.arm_radius_m
        covered = 2.0 * clothes.sleeve
        palm = between(limb.wrist, limb.fingers, 0.5)
        if covered < 1.0:
            self.room.rounded(image, limb.shoulder, limb.elbow, r, 0.85 * r, body.skin)
        if covered < 2.0:
            self.room.rounded(image, limb.elbow, limb.wrist, 0.85 * r, 0.62 * r, body.skin)
        self.room.rounded(image, limb.wrist, palm, 0.7 * r, body.hand_radius_m, body.skin)
        self.room.rounded(image, palm, limb.fingers, body.hand_radius_m, 0.75 * body.hand_radius_m, body.skin)
        if clothes.watch and covered < 1.7:
            ring(image, limb.elbow, limb.wrist, 0.9, 0.62 * r, 0.02, self.room.tone(0.1))
        self._sleeve(image, limb.shoulder, limb.elbow, min(covered, 1.0), 1.25 * r, 1.12 * r)
        if covered > 1.0:
            self._sleeve(image, limb.elbow, limb.wrist, covered - 1.0, 1.1 * r, 0.85 * r)

    def _sleeve(self, image: Image, start: Point, stop: Point, share: float, wide: float, narrow: float) -> None:
        """Cloth over `share` of a bone, with its stripes, or folds where it is plain."""
        clothes = self.body.clothes
        # Rooms are lit from above: a level arm catches more light than a hanging one, and than the trunk behind it.
        across = abs(stop.x - start.x) / max(math.hypot(stop.x - start.x, stop.y - start.y), 1e-6)
        tone = clothes.top * (1.0 + LEVEL_ARM_GAIN * across)
        self.room.rounded(image, start, between(start, stop, share), wide, narrow, tone)
        striped = clothes.pattern in ("stripes", "checks")
        count, contrast = (4, clothes.pattern_contrast) if striped else (2, 0.25)
        for k in range(count):
            if (k + 0.5) / count < share:
                ring(image, start, stop, (k + 0.5) / count, narrow, SEAM_M, self.room.tone(tone * (1.0 - contrast)))
