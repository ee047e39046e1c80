"""The 11 DVS128 Gesture classes as movement: where both hands are at any moment.

A hand is given from its own shoulder in metres (out, down, front): away from the body's middle, towards the floor,
towards the camera; so both arms share one description. A `Gesture` is a function of time (s) that gives a `Pose`.
Knows nothing of elbows (`skeleton.py`), drawing or sensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from dvspipe.errors import UsageError
from dvspipe.simulate.body import Body

CLASSES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter-clockwise",
    "left arm clockwise",
    "left arm counter-clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other",
)
OTHER = len(CLASSES) - 1
KINDS = ("clap", "wave", "wave", *("circle",) * 4, "roll", "drums", "guitar")
Vector = tuple[float, float, float]


class Arm(NamedTuple):
    """Where a hand is and which way its elbow points, both as (out, down, front)."""

    hand: Vector
    elbow: Vector = (0.6, 0.8, -0.2)


class Pose(NamedTuple):
    """Both arms, and how the trunk leans (x, y in metres) and the head turns (x, y in metres)."""

    right: Arm
    left: Arm
    lean: tuple[float, float] = (0.0, 0.0)
    nod: tuple[float, float] = (0.0, 0.0)


Gesture = Callable[[float], Pose]
HANGING = Arm((0.05, 0.53, 0.04), (0.5, 0.0, -0.6))


class Manner:
    """How one performance of a gesture differs from the next: tempo, size, phase, and the unsteadiness of a human."""

    def __init__(self, body: Body, rng: np.random.Generator) -> None:
        self.body = body
        self.tempo = body.tempo * float(rng.uniform(0.9, 1.1))
        self.size = body.amplitude * float(rng.uniform(0.92, 1.08))
        self.start = float(rng.uniform(0, 2 * math.pi))
        self.rates = [float(rate) for rate in rng.uniform(0.15, 0.7, 8)]
        self.phases = [float(phase) for phase in rng.uniform(0, 2 * math.pi, 8)]
        self.offset = tuple(float(v) for v in rng.uniform(-0.03, 0.03, 3))

    def drift(self, t: float, channel: int) -> float:
        """Slow wander in [-1, 1] times the body's unsteadiness; eight independent channels."""
        a, b = channel % 8, (channel + 3) % 8
        slow = math.sin(2 * math.pi * self.rates[a] * t + self.phases[a])
        slower = math.sin(2 * math.pi * 0.37 * self.rates[b] * t + self.phases[b])
        return self.body.unsteadiness * (0.6 * slow + 0.4 * slower)

    def cycle(self, t: float, hz: float) -> float:
        """Phase in radians of a movement of about `hz`, its tempo wandering by some per cent."""
        return self.start + 2 * math.pi * hz * self.tempo * (t + 0.06 * self.drift(t, 0) / max(hz, 1.0))

    def wander(self, hand: Vector, t: float, channel: int) -> Vector:
        """A hand that does not return to the same millimetre."""
        o = self.offset
        return (
            hand[0] + o[0] + 0.015 * self.drift(t, channel),
            hand[1] + o[1] + 0.015 * self.drift(t, channel + 1) + self.body.arm_height,
            hand[2] + o[2] + 0.015 * self.drift(t, channel + 2),
        )

    def resting(self, t: float, side: int) -> Arm:
        """An arm that hangs: it moves a little with the breath."""
        return Arm(_plus(HANGING.hand, (0.006 * self.drift(t, 3 + side), 0.0, 0.01 * self.drift(t, 5))), HANGING.elbow)


def gesture(label: int, body: Body, rng: np.random.Generator) -> Gesture:
    """One performance of class `label` (0..10) by `body`. Raises UsageError for another label."""
    if not 0 <= label < len(CLASSES):
        raise UsageError(f"gesture {label}: the classes are 0 ({CLASSES[0]}) to {len(CLASSES) - 1} ({CLASSES[-1]}).")
    manner = Manner(body, rng)
    if label == OTHER:
        return _other(manner, rng)
    kind = KINDS[label]
    # A subject has one way of doing a thing, with either arm: drawn from who it is, not from the performance.
    habits = np.random.default_rng([0x4AB1, body.subject, ord(kind[0])])
    manner.tempo *= _draw(habits, 0.75, 1.25)
    if kind == "wave":
        return _one_sided(manner, _wave(manner, habits), right=label == 1)
    if kind == "circle":
        arm = _circle(manner, habits, clockwise=label in (3, 5), right=label in (3, 4))
        return _one_sided(manner, arm, right=label in (3, 4))
    return {"clap": _clap, "roll": _roll, "drums": _drums, "guitar": _guitar}[kind](manner, habits)


def rest(body: Body, rng: np.random.Generator) -> Gesture:
    """Standing still, as far as a person can."""
    manner = Manner(body, rng)
    return lambda t: Pose(manner.resting(t, 0), manner.resting(t, 1), _sway(manner, t), _nod(manner, t))


def _one_sided(manner: Manner, arm: Callable[[float], Arm], right: bool) -> Gesture:
    """One arm moves, the other hangs, the trunk follows a little."""

    def pose(t: float) -> Pose:
        active, idle = arm(t), manner.resting(t, 0)
        sway = _sway(manner, t)
        side = -1.0 if right else 1.0
        follow = 0.03 * manner.body.sway
        lean = (sway[0] + side * follow * active.hand[0], sway[1] + follow * active.hand[1])
        return Pose(*((active, idle) if right else (idle, active)), lean, _nod(manner, t))

    return pose


def _clap(manner: Manner, habits: np.random.Generator) -> Gesture:
    half, height, front = manner.body.shoulder_half_m, _draw(habits, 0.13, 0.28), _draw(habits, 0.2, 0.36)
    elbow, wide = (_draw(habits, 0.1, 0.8), 0.8, -0.1), _draw(habits, 0.07, 0.2)
    slant = _draw(habits, -0.05, 0.05)  # one hand comes from above

    def pose(t: float) -> Pose:
        swing = math.sin(manner.cycle(t, 2.2))
        apart = wide * manner.size * (0.5 + 0.5 * swing)
        arms = [
            Arm(manner.wander((0.03 + apart - half, height + side * (0.02 + slant * swing), front), t, 1), elbow)
            for side in (-1, 1)
        ]
        return Pose(arms[0], arms[1], _sway(manner, t, 0.004 * swing), _nod(manner, t))

    return pose


def _wave(manner: Manner, habits: np.random.Generator) -> Callable[[float], Arm]:
    """The forearm swings about a raised elbow like a windscreen wiper."""
    elbow = (_draw(habits, 0.08, 0.26), _draw(habits, 0.0, 0.22), _draw(habits, 0.04, 0.2))
    tilt, wide, up = _draw(habits, -0.15, 0.4), _draw(habits, 0.3, 0.75), 0.95 * manner.body.forearm_m

    def arm(t: float) -> Arm:
        angle = tilt + wide * manner.size * math.sin(manner.cycle(t, 2.0))
        hand = _plus(elbow, (up * math.sin(angle), -up * math.cos(angle), 0.1))
        return Arm(manner.wander(hand, t, 2), elbow)

    return arm


def _circle(manner: Manner, habits: np.random.Generator, clockwise: bool, right: bool) -> Callable[[float], Arm]:
    """The straight arm draws a circle about the shoulder; clockwise as the subject sees it."""
    reach = manner.body.arm_m * manner.body.straightness
    radius = reach * min(0.95, _draw(habits, 0.5, 0.9) * manner.size)
    centre, flat = (_draw(habits, -0.04, 0.18), _draw(habits, -0.12, 0.1)), _draw(habits, 0.75, 1.0)
    turn = (1.0 if clockwise else -1.0) * (1.0 if right else -1.0)

    def arm(t: float) -> Arm:
        angle = turn * manner.cycle(t, 1.0)
        out, down = centre[0] + flat * radius * math.cos(angle), centre[1] + radius * math.sin(angle)
        front = math.sqrt(max(reach**2 - out**2 - down**2, 0.0025))
        return Arm(manner.wander((out, down, front), t, 2), (0.6, 0.8, -0.2))

    return arm


def _roll(manner: Manner, habits: np.random.Generator) -> Gesture:
    """Forearms level before the chest turn around each other."""
    half, height, front = manner.body.shoulder_half_m, _draw(habits, 0.13, 0.28), _draw(habits, 0.19, 0.32)
    radius, past, deep = _draw(habits, 0.06, 0.13), _draw(habits, -0.03, 0.08), _draw(habits, 0.5, 1.1)
    elbow = (1.0, _draw(habits, -0.4, 0.3), 0.0)
    forward = 1.0 if habits.random() < 0.8 else -1.0

    def pose(t: float) -> Pose:
        angle = forward * manner.cycle(t, 1.45)
        arms = []
        for side in (0, 1):
            up, near = (radius * manner.size * f(angle + math.pi * side) for f in (math.sin, math.cos))
            arms.append(Arm(manner.wander((-half - past, height + up, front + deep * near), t, 1), elbow))
        return Pose(arms[0], arms[1], _sway(manner, t, 0.006 * math.sin(angle)), _nod(manner, t))

    return pose


def _drums(manner: Manner, habits: np.random.Generator) -> Gesture:
    """Both hands strike alternately."""
    height, front, out = _draw(habits, 0.17, 0.34), _draw(habits, 0.22, 0.4), _draw(habits, -0.15, 0.0)
    high, lag = _draw(habits, 0.06, 0.15), _draw(habits, 0.8, 1.2) * math.pi

    def pose(t: float) -> Pose:
        angle = manner.cycle(t, 2.2)
        arms = []
        for side in (0, 1):
            lift = high * manner.size * math.sin(angle + lag * side)
            arms.append(Arm(manner.wander((out, height - lift, front), t, 1 + 3 * side), (0.6, 0.8, -0.3)))
        beat = math.sin(2 * angle)
        return Pose(arms[0], arms[1], _sway(manner, t, 0.006 * beat), _nod(manner, t, beat))

    return pose


def _guitar(manner: Manner, habits: np.random.Generator) -> Gesture:
    """One hand holds the neck out, the other strums before the belly."""
    neck = (_draw(habits, 0.12, 0.34), _draw(habits, -0.05, 0.2), _draw(habits, 0.18, 0.32))
    belly = (_draw(habits, -0.08, 0.04) - 0.6 * manner.body.shoulder_half_m, _draw(habits, 0.24, 0.38), 0.2)
    stroke = (_draw(habits, 0.0, 0.06), _draw(habits, 0.05, 0.14))
    slide = _draw(habits, 0.0, 0.06)

    def pose(t: float) -> Pose:
        swing = math.sin(manner.cycle(t, 2.4))
        strum = _plus(belly, (stroke[0] * swing, stroke[1] * manner.size * swing, 0.0))
        strumming = Arm(manner.wander(strum, t, 1), (0.9, 0.5, -0.3))
        holding = Arm(_plus(manner.wander(neck, t, 4), (slide * manner.drift(t, 6), 0.0, 0.0)), (0.5, 0.9, 0.0))
        arms = (holding, strumming) if manner.body.left_handed else (strumming, holding)
        return Pose(*arms, _sway(manner, t, 0.008 * swing), _nod(manner, t, 0.5 * swing))

    return pose


def _other(manner: Manner, rng: np.random.Generator) -> Gesture:
    """Whatever else comes to mind, new every time: free figures, or a named gesture done with the wrong number of arms."""
    idea = rng.choice(["figure", "figure", "figure", "both wave", "both circle", "one drum"])
    if idea == "one drum":
        drums = _drums(manner, rng)
        return lambda t: drums(t)._replace(left=manner.resting(t, 1))
    arms = [_wave(manner, rng)] * 2
    if idea == "both circle":
        mirrored = bool(rng.random() < 0.5)
        arms = [_circle(manner, rng, clockwise=True, right=right or mirrored) for right in (True, False)]
    if idea == "figure":
        arms = _figure(manner, rng)
    return lambda t: Pose(arms[0](t), arms[1](t), _sway(manner, t), _nod(manner, t))


def _figure(manner: Manner, rng: np.random.Generator) -> list[Callable[[float], Arm]]:
    """Hands on a Lissajous figure: in step, mirrored, one after the other, or one hand alone."""
    centre = (_draw(rng, -0.1, 0.25), _draw(rng, -0.35, 0.2), _draw(rng, 0.1, 0.35))
    sizes, shifts = rng.uniform(0.02, 0.22, 3).tolist(), rng.uniform(0, 2 * math.pi, 3).tolist()
    beats, hz = rng.choice([0.5, 1.0, 2.0], 3).tolist(), _draw(rng, 0.7, 1.5)
    lag, alone = float(rng.choice([0.0, 0.5, 1.0])) * math.pi, int(rng.choice([-1, -1, -1, 0, 1]))

    def arm(side: int, t: float) -> Arm:
        if alone == 1 - side:
            return manner.resting(t, side)
        angle = manner.cycle(t, hz) + lag * side
        swing = [size * manner.size * math.sin(beat * angle + shift) for size, beat, shift in zip(sizes, beats, shifts)]
        return Arm(manner.wander(_plus(centre, (swing[0], swing[1], swing[2])), t, 1 + side), (0.8, 0.6, -0.2))

    return [partial(arm, 0), partial(arm, 1)]


def _sway(manner: Manner, t: float, bounce: float = 0.0) -> tuple[float, float]:
    sway = manner.body.sway
    return 0.012 * sway * manner.drift(t, 4), sway * (0.003 * manner.drift(t, 5) + bounce)


def _nod(manner: Manner, t: float, beat: float = 0.0) -> tuple[float, float]:
    sway = manner.body.sway
    return 0.008 * sway * manner.drift(t, 6), sway * (0.006 * manner.drift(t, 7) + 0.006 * beat)


def _plus(a: Vector, b: Vector) -> Vector:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _draw(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))
