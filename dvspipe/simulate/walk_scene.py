"""Draws a walker from the side before a fixed camera: limbs in order of depth, clothes; grayscale, linear light.

Knows nothing of the stride, time or the sensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dvspipe.simulate.drawing import Image, between, capsule, ellipse, ring, to_sensor
from dvspipe.simulate.outfit import Outfit
from dvspipe.simulate.skeleton import Point
from dvspipe.simulate.stride import Arm, Leg, Posture, Spot
from dvspipe.simulate.studio import Light, Studio
from dvspipe.simulate.walker import Walker

CAMERA_M = 4.0  # from the camera to the middle of the walk
CAMERA_UP_M = 0.95  # above the ground
MIDDLE_PX = 64.0
# Half the thickness of a body of girth 1, metres.
BELLY_M, CHEST_M, THIGH_M, KNEE_M, ANKLE_M, SHOULDER_M, WRIST_M = 0.105, 0.1, 0.078, 0.055, 0.04, 0.05, 0.032
SLEEVE_GAIN = 1.5
RING_M, RING_GAIN = 0.02, 2.0  # stripes on sleeve and trouser leg
See = Callable[[Spot], Point]


@dataclass(frozen=True, slots=True)
class View:
    """A walk before the camera: `heading` in radians (0 to image right, pi to image left, between them towards the
    camera), size of the picture at the middle of the walk, and how far the middle lies off the picture's."""

    heading: float = 0.0
    px_per_m: float = 60.0
    off_m: float = 0.0

    def project(self, spot: Spot, gone_m: float = 0.0) -> Point:
        """A spot of the body in the picture, `gone_m` metres after (before: negative) the middle of the walk."""
        forward, up, aside = spot[0] + gone_m, spot[1], spot[2]
        sine, cosine = math.sin(self.heading), math.cos(self.heading)
        right, near = forward * cosine + aside * sine, forward * sine - aside * cosine
        scale = self.px_per_m * CAMERA_M / (CAMERA_M - near)
        return Point(MIDDLE_PX + (right + self.off_m) * scale, MIDDLE_PX + (CAMERA_UP_M - up) * scale, near, scale)


class WalkScene:
    """One walker in one outfit before one wall in one light: `frame(posture, gone_m)` draws them."""

    def __init__(self, person: Walker, clothes: Outfit, view: View, light: Light, rng: np.random.Generator) -> None:
        self.person, self.clothes, self.view, self.room = person, clothes, view, Studio(light)
        self._wall = self.room.wall(rng)

    def frame(self, body: Posture, gone_m: float) -> NDArray[np.uint16]:
        """Linear intensity uint16 [128, 128] of the scene with the walker in a posture and place."""
        see: See = partial(self.view.project, gone_m=gone_m)
        image = self._wall.copy()
        far, near = (0, 1) if math.cos(self.view.heading) > 0.0 else (1, 0)
        self._arm(image, see, body.arms[far])
        self._leg(image, see, body.legs[far])
        self._leg(image, see, body.legs[near])
        self._trunk(image, see, body)
        self._head(image, see, body)
        self._arm(image, see, body.arms[near])
        return to_sensor(image)

    def _leg(self, image: Image, see: See, leg: Leg) -> None:
        clothes, girth = self.clothes, self.person.limb_girth
        wide = girth * clothes.fit
        hip, knee, ankle, heel, toe = map(see, leg)
        sole = 0.5 * ANKLE_M
        self.room.rounded(image, ankle, heel, 0.9 * sole, sole, clothes.shoes)
        self.room.rounded(image, heel, toe, sole, 0.8 * sole, clothes.shoes)
        self.room.rounded(image, ankle, toe, sole, 0.8 * sole, clothes.shoes)
        self.room.rounded(image, knee, ankle, KNEE_M * wide, ANKLE_M * (1.0 + 1.5 * (wide - 1.0)), clothes.trousers)
        self.room.rounded(image, hip, knee, THIGH_M * wide, KNEE_M * wide, clothes.trousers)
        self._rings(image, knee, ankle, KNEE_M * wide, clothes.trousers)

    def _trunk(self, image: Image, see: See, body: Posture) -> None:
        clothes, stout = self.clothes, self.person.stoutness * self.clothes.fit
        hem = (body.pelvis[0], body.pelvis[1] - clothes.coat_m, 0.0)
        waist = between(see(body.pelvis), see(body.chest), 0.25)
        top = (body.chest[0], body.chest[1] - 0.08, 0.0)
        self.room.rounded(image, waist, see(hem), BELLY_M * stout, 0.95 * BELLY_M * stout, clothes.top)
        self.room.rounded(image, see(top), waist, CHEST_M * stout, BELLY_M * stout, clothes.top)

    def _head(self, image: Image, see: See, body: Posture) -> None:
        clothes, r = self.clothes, self.person.head_m
        forward, up, _ = body.head

        def at(front: float, down: float) -> Point:
            return see((forward + front * r, up - down * r, 0.0))

        capsule(image, see(body.chest), at(-0.1, 0.5), 0.62 * r, 0.55 * r, self.room.tone(clothes.skin, shaded=True))
        tail = max(0.0, self.person.hair)
        hair, skin = self.room.tone(clothes.hair), self.room.tone(clothes.skin)
        ellipse(image, at(-0.35, 0.3 * tail), (0.75 + 0.3 * tail) * r, (0.9 + 0.5 * tail) * r, hair)
        ellipse(image, at(0.0, -0.15), 1.0 * r, 1.05 * r, hair)
        ellipse(image, at(0.2, 0.2), 0.75 * r, 0.95 * r, skin)
        ellipse(image, at(1.0, 0.2), 0.14 * r, 0.16 * r, skin)  # the nose

    def _arm(self, image: Image, see: See, arm: Arm) -> None:
        clothes, girth = self.clothes, self.person.limb_girth
        thick, thin, wide = SHOULDER_M * girth, WRIST_M * girth, 1.0 + 0.6 * (clothes.fit - 1.0)
        shoulder, elbow, wrist = map(see, arm)
        hand = between(elbow, wrist, 1.25)
        self.room.rounded(image, wrist, hand, 0.9 * thin, 1.15 * thin, clothes.skin)
        if clothes.sleeve < 1.0:
            self.room.rounded(image, elbow, wrist, 0.82 * thick, thin, clothes.skin)
            self.room.rounded(image, shoulder, elbow, thick, 0.82 * thick, clothes.skin)
            cuff = between(shoulder, elbow, 2.0 * clothes.sleeve)
            self.room.rounded(image, shoulder, cuff, 1.15 * thick * wide, 1.05 * thick * wide, self._sleeve_tone())
            return
        self.room.rounded(image, elbow, wrist, thick * wide, 1.15 * thin * wide, self._sleeve_tone())
        self.room.rounded(image, shoulder, elbow, 1.1 * thick * wide, thick * wide, self._sleeve_tone())
        self._rings(image, elbow, wrist, thin * wide, clothes.top)

    def _sleeve_tone(self) -> float:
        """A sleeve catches more light than the trunk behind it: it stands off and turns."""
        return SLEEVE_GAIN * self.clothes.top

    def _rings(self, image: Image, start: Point, stop: Point, radius: float, brightness: float) -> None:
        for k in range(self.clothes.stripes):
            ring(image, start, stop, 0.35 + 0.3 * k, radius, RING_M, self.room.tone(RING_GAIN * brightness))
