"""Walking as angles: where every joint is at any phase of the stride.

Points are (forward, up, aside) in metres from the ground below the hip: in walking direction, against gravity, to the
walker's left. Phase 0 is the left heel's strike, 2 pi the next. The curves of hip, knee and ankle follow the gait
laboratory's (Winter, Biomechanics and Motor Control of Human Movement, 2009): one wave at the hip, a small and a large
flexion of the knee, a push of the ankle before the swing. Knows nothing of clothes, drawing or time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dvspipe.simulate.walker import Walker

ANKLE_M = 0.08  # above the sole
NECK_M = 0.05
SOFT_M = 0.008  # over which the body's weight passes from foot to foot
Spot = tuple[float, float, float]


class Leg(NamedTuple):
    """One leg; heel and toe are on the sole."""

    hip: Spot
    knee: Spot
    ankle: Spot
    heel: Spot
    toe: Spot


class Arm(NamedTuple):
    """One arm."""

    shoulder: Spot
    elbow: Spot
    wrist: Spot


class Posture(NamedTuple):
    """The whole body; legs and arms as (left, right). `chest` lies between the shoulders, `head` is its centre."""

    legs: tuple[Leg, Leg]
    arms: tuple[Arm, Arm]
    pelvis: Spot
    chest: Spot
    head: Spot


def posture(person: Walker, phase: float) -> Posture:
    """The body at a phase of the stride (radians)."""
    right = phase + math.pi + person.limp
    hips = _hip_angle(person, phase, 1.0), _hip_angle(person, right, 1.0 + person.leg_uneven)
    legs = [_leg(person, each, angle, side) for each, angle, side in zip((phase, right), hips, (0.5, -0.5))]
    up = -_softly_lowest([end[1] for leg in legs for end in (leg.heel, leg.toe)])
    left_leg, right_leg = (Leg(*((f, u + up, a) for f, u, a in leg)) for leg in legs)
    pelvis = (0.0, up + person.bounce_m * math.cos(2 * phase), 0.0)
    lean = person.lean + person.lean_swing * math.cos(2 * phase)
    trunk = person.height_m * (1.0 - person.leg_share) - ANKLE_M - NECK_M - 2.2 * person.head_m
    chest = (trunk * math.sin(lean), pelvis[1] + trunk * math.cos(lean), 0.0)
    nod = person.head_nod_m * math.cos(2 * phase + 0.6)
    head = (chest[0] + person.head_forward_m + nod, chest[1] + NECK_M + person.head_m, 0.0)
    arms = _arm(person, chest, phase, 1.0), _arm(person, chest, phase, -1.0)
    return Posture((left_leg, right_leg), arms, pelvis, chest, head)


def stride_length(person: Walker) -> float:
    """Metres from one left heel strike to the next: what the foot that stands on the ground goes backwards."""
    landed, leaving = 0.15 * math.pi, 0.9 * math.pi
    ankles = [_leg(person, phase, _hip_angle(person, phase, 1.0), 0.5).ankle[0] for phase in (landed, leaving)]
    return (ankles[0] - ankles[1]) * 2 * math.pi / (leaving - landed)


def _hip_angle(person: Walker, phase: float, size: float) -> float:
    """Of the thigh, forwards from straight down."""
    return person.hip_forward + size * person.hip_swing * math.cos(phase + 0.25)


def _leg(person: Walker, phase: float, hip: float, side: float) -> Leg:
    """One leg that hangs from a hip at height 0; `phase` is its own, from its heel strike."""
    loaded, swinging = (
        person.knee_yield * _bump(phase, 0.95, 4.0),
        person.knee_lift * _bump(phase, person.swing_at, 2.8),
    )
    knee = person.knee_bent + loaded + swinging
    bend = 0.15 * _bump(phase, 2.8, 3.0) - person.push_off * _bump(phase, 3.95, 8.0)
    aside = side * person.step_width_m
    thigh, shank = person.thigh_share * person.leg_m, (1.0 - person.thigh_share) * person.leg_m
    at = (0.0, 0.0, aside)
    bent = _swung(at, thigh, hip)
    ankle = _swung(bent, shank, hip - knee)
    pitch = hip - knee + bend
    heel, toe = (_on_foot(ankle, along * person.foot_m, pitch) for along in (-0.25, 0.75))
    return Leg(at, bent, ankle, heel, toe)


def _arm(person: Walker, chest: Spot, phase: float, side: float) -> Arm:
    """The arm swings with the leg of the other side; the forearm bends further as it comes forward."""
    wave = -side * math.cos(phase - person.arm_lag)
    swing = person.arm_swing * (1.0 - 0.5 * side * person.arm_uneven)
    upper = person.arm_forward + swing * wave
    fore = upper + max(0.0, person.elbow_bent + person.elbow_swing * wave)
    half = 0.105 * person.height_m
    shoulder = (chest[0] + person.twist_m * wave, chest[1] - 0.04, side * half)
    elbow = _swung(shoulder, person.upper_arm_share * person.arm_m, upper)
    return Arm(shoulder, elbow, _swung(elbow, (1.0 - person.upper_arm_share) * person.arm_m, fore))


def _swung(top: Spot, length: float, angle: float) -> Spot:
    """The lower end of a bone."""
    return top[0] + length * math.sin(angle), top[1] - length * math.cos(angle), top[2]


def _on_foot(ankle: Spot, along: float, pitch: float) -> Spot:
    """A point of the sole, `along` metres in front of the ankle; `pitch` lifts the toes."""
    sine, cosine = math.sin(pitch), math.cos(pitch)
    return ankle[0] + along * cosine + ANKLE_M * sine, ankle[1] + along * sine - ANKLE_M * cosine, ankle[2]


def _bump(phase: float, at: float, sharpness: float) -> float:
    """1 at a phase, falling to both sides, with the stride's period."""
    return math.exp(sharpness * (math.cos(phase - at) - 1.0))


def _softly_lowest(heights: list[float]) -> float:
    """The smallest, without the jolt of a minimum."""
    least = min(heights)
    return least - SOFT_M * math.log(sum(math.exp((least - each) / SOFT_M) for each in heights))
