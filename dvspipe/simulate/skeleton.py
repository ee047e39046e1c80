"""From a pose to points in the picture: two-bone arms, a camera with perspective, blending between poses.

Knows nothing of gestures, clothes or drawing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dvspipe.simulate.body import Body
from dvspipe.simulate.gestures import Arm, Pose, Vector

CAMERA_M = 1.6  # distance from the camera to the shoulders


class Point(NamedTuple):
    """A point in the picture: pixels from the upper left, metres towards the camera, pixels per metre there."""

    x: float
    y: float
    near: float
    scale: float


class Limb(NamedTuple):
    """One arm in the picture."""

    shoulder: Point
    elbow: Point
    wrist: Point
    fingers: Point


def blend(a: Pose, b: Pose, share: float) -> Pose:
    """The pose between `a` (share 0) and `b` (share 1)."""

    def mix(p: tuple[float, ...], q: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(u + share * (v - u) for u, v in zip(p, q))

    def arm(p: Arm, q: Arm) -> Arm:
        return Arm(mix(p.hand, q.hand), mix(p.elbow, q.elbow))  # type: ignore[arg-type]

    return Pose(arm(a.right, b.right), arm(a.left, b.left), mix(a.lean, b.lean), mix(a.nod, b.nod))  # type: ignore[arg-type]


def limbs(body: Body, pose: Pose) -> tuple[Limb, Limb]:
    """Right and left arm (image left and image right)."""
    return _limb(body, pose, pose.right, -1.0), _limb(body, pose, pose.left, 1.0)


def project(body: Body, at: Vector) -> Point:
    """A point (x right, y down, z to the camera) from between the shoulders, as the camera sees it."""
    scale = body.px_per_m * CAMERA_M / (CAMERA_M - at[2])
    return Point(body.centre_px + at[0] * scale, body.neck_px + at[1] * scale, at[2], scale)


def _limb(body: Body, pose: Pose, arm: Arm, side: float) -> Limb:
    elbow, wrist = _bend(arm, body.upper_arm_m, body.forearm_m)
    along = [(w - e) / body.forearm_m for w, e in zip(wrist, elbow)]
    fingers = tuple(w + 1.1 * body.hand_radius_m * a for w, a in zip(wrist, along))
    # Raised arms lift the shoulder, reaching arms pull it forward.
    lift = -0.06 * max(0.0, -elbow[1] / body.upper_arm_m)
    shoulder = (side * body.shoulder_half_m + pose.lean[0], 0.02 + lift + pose.lean[1])
    points = [
        project(body, (shoulder[0] + side * out, shoulder[1] + down, front))
        for out, down, front in ((0.0, 0.0, 0.0), elbow, wrist, fingers)
    ]
    return Limb(*points)


def _bend(arm: Arm, upper: float, fore: float) -> tuple[Vector, Vector]:
    """Elbow and wrist: the wrist on the wanted hand where it can be reached, the elbow where the arm points it."""
    hand = arm.hand
    wanted = math.sqrt(sum(v * v for v in hand)) or 1e-6
    reach = min(max(wanted, abs(upper - fore) + 0.02), 0.998 * (upper + fore))
    u = [v / wanted for v in hand]
    along = (reach**2 + upper**2 - fore**2) / (2 * reach)
    aside = math.sqrt(max(upper**2 - along**2, 0.0))
    dot = sum(a * b for a, b in zip(u, arm.elbow))
    hint = [e - dot * a for a, e in zip(u, arm.elbow)]
    length = math.sqrt(sum(v * v for v in hint)) or 1.0
    elbow = [along * a + aside * h / length for a, h in zip(u, hint)]
    return (elbow[0], elbow[1], elbow[2]), (reach * u[0], reach * u[1], reach * u[2])
