"""The 29 people: proportions, clothes, temperament and habits, drawn from a seeded generator by subject number.

Lengths are metres, brightness is reflectance from 0 to 1, tempo and amplitude are factors on a gesture's own.
Knows nothing of gestures, drawing or sensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dvspipe.errors import UsageError

SUBJECTS = range(1, 30)
TEST_SUBJECTS = range(24, 30)  # as in DVS128 Gesture: users 1..23 train, 24..29 test
Pattern = Literal["plain", "stripes", "checks", "print"]


@dataclass(frozen=True, slots=True)
class Clothes:
    """What a subject wears. `sleeve` is the share of the arm that is covered, from the shoulder down."""

    top: float
    pattern: Pattern
    pattern_step_m: float
    pattern_contrast: float
    sleeve: float
    watch: bool


@dataclass(frozen=True, slots=True)
class Body:
    """One subject. `px_per_m`, `centre_px` and `neck_px` place them before a 128x128 camera."""

    subject: int
    shoulder_half_m: float
    upper_arm_m: float
    forearm_m: float
    arm_radius_m: float
    hand_radius_m: float
    head_radius_m: float
    neck_m: float
    hip_half_m: float
    skin: float
    hair: float
    long_hair: bool
    glasses: bool
    clothes: Clothes
    px_per_m: float
    centre_px: float
    neck_px: float
    tempo: float
    amplitude: float
    unsteadiness: float
    sway: float
    straightness: float
    arm_height: float
    left_handed: bool

    @property
    def arm_m(self) -> float:
        """Length of the straight arm, from shoulder to wrist."""
        return self.upper_arm_m + self.forearm_m


def subject_split(subject: int) -> str:
    """ "train" or "test". Raises UsageError for a number that is no subject."""
    _check(subject)
    return "test" if subject in TEST_SUBJECTS else "train"


def subject_body(subject: int) -> Body:
    """The body of subject 1..29, the same every time. Raises UsageError for any other number."""
    _check(subject)
    rng = np.random.default_rng([0xB0D7, subject])
    size = _bell(rng, 1.0, 0.06)
    return Body(
        subject=subject,
        shoulder_half_m=size * _bell(rng, 0.185, 0.012),
        upper_arm_m=size * _bell(rng, 0.29, 0.012),
        forearm_m=size * _bell(rng, 0.26, 0.012),
        arm_radius_m=size * _bell(rng, 0.046, 0.007),
        hand_radius_m=size * _bell(rng, 0.052, 0.005),
        head_radius_m=size * _bell(rng, 0.098, 0.006),
        neck_m=size * _bell(rng, 0.09, 0.012),
        hip_half_m=size * _bell(rng, 0.16, 0.015),
        skin=float(rng.uniform(0.35, 0.65)),
        hair=float(rng.uniform(0.04, 0.3)),
        long_hair=bool(rng.random() < 0.3),
        glasses=bool(rng.random() < 0.4),
        clothes=_clothes(rng),
        px_per_m=_bell(rng, 78.0, 8.0),
        centre_px=_bell(rng, 64.0, 5.0),
        neck_px=_bell(rng, 58.0, 4.5),
        tempo=_bell(rng, 1.0, 0.13),
        amplitude=_bell(rng, 1.0, 0.12),
        unsteadiness=float(rng.uniform(0.3, 1.0)),
        sway=float(rng.uniform(0.2, 1.0)),
        straightness=float(rng.uniform(0.975, 1.0)),
        arm_height=_bell(rng, 0.0, 0.04),
        left_handed=bool(rng.random() < 0.12),
    )


def _clothes(rng: np.random.Generator) -> Clothes:
    return Clothes(
        top=float(rng.uniform(0.04, 0.16) if rng.random() < 0.85 else rng.uniform(0.3, 0.8)),  # dark clothes prevail
        pattern=rng.choice(["plain", "stripes", "checks", "print"], p=[0.45, 0.2, 0.15, 0.2]),
        pattern_step_m=float(rng.uniform(0.03, 0.07)),
        pattern_contrast=float(rng.uniform(0.15, 0.6)),
        sleeve=float(rng.choice([0.35, 0.8, 1.0], p=[0.65, 0.15, 0.2])),
        watch=bool(rng.random() < 0.4),
    )


def _bell(rng: np.random.Generator, mean: float, spread: float) -> float:
    """A bell-shaped draw without tails: people of 2.2 standard deviations and more were not invited."""
    return float(mean + spread * np.clip(rng.standard_normal(), -2.2, 2.2))


def _check(subject: int) -> None:
    if subject not in SUBJECTS:
        raise UsageError(f"subject {subject}: the simulator knows subjects {SUBJECTS[0]} to {SUBJECTS[-1]}.")
