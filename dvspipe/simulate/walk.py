"""One recording of gait-sim: one walker of one session walks once past a fixed camera.

Everything is a function of the arguments: the same call gives the same events. Memory does not grow with the length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dvspipe.errors import UsageError
from dvspipe.events import Events
from dvspipe.simulate.filming import DVS128, Lighting, film
from dvspipe.simulate.outfit import outfit
from dvspipe.simulate.stride import Posture, posture, stride_length
from dvspipe.simulate.studio import Light
from dvspipe.simulate.variety import (
    DAY_LIGHTS,
    HEADING_SPREAD,
    NIGHT_LIGHTS,
    OFF_SPREAD_M,
    PX_PER_M,
    PX_PER_M_SPREAD,
    TEMPO_SPREAD,
    TEMPO_WANDER,
)
from dvspipe.simulate.walk_scene import View, WalkScene
from dvspipe.simulate.walker import on_the_day, this_time

SESSIONS = (1, 2)
SHORTEST_WALK_S = 0.5
DAY = replace(DVS128, on_threshold=0.36, off_threshold=0.34, dark=0.04)
# `dark` is relative to the light: a fifth of the day's light is five times the dark current, so contrast shrinks too.
NIGHT = replace(DAY, bandwidth_hz=50.0, shot_hz=0.8, leak_hz=0.15, hot_share=0.002, dark=0.2)
LIGHTINGS = {
    "day": tuple(Lighting("day", Light(*light), 0.0, DAY) for light in DAY_LIGHTS),
    "night": tuple(Lighting("night", Light(*light), 0.0, NIGHT) for light in NIGHT_LIGHTS),
}


class Walk:
    """A recording to be: its motion is known at once, iterating gives its events in `Events` chunks of 0.1 s.

    `walker` 0..19, `session` 1 or 2, `number` tells the walks of a session apart. Day and night are the same walks in
    other light. Raises UsageError for anything else.
    """

    def __init__(
        self, walker: int, session: int, number: int, walk_s: float, light: str = "day", seed: int = 0
    ) -> None:
        _check(session, number, walk_s, light, seed)
        self.end_us = round(walk_s * 1e6)
        self.key, self.place = [seed, walker, session, number], [seed, session]
        self.lighting = LIGHTINGS[light][SESSIONS.index(session)]
        self.clothes = outfit(walker, session)
        draw = self._random(1)
        self.person = this_time(on_the_day(walker, session), draw)
        self.tempo_hz = self.person.stride_hz * (1.0 + TEMPO_SPREAD * float(draw.uniform(-1, 1)))
        self.start, self.wander = (float(v) for v in draw.uniform(0.0, 2 * math.pi, 2))
        self.stride_m = stride_length(self.person)
        self.view = _view(draw)

    def __iter__(self) -> Iterator[Events]:
        wall = np.random.default_rng(self.place)  # the camera stays where it is for a session
        scene = WalkScene(self.person, self.clothes, self.view, self.lighting.light, wall)
        seed = int(self._random(2).integers(2**63))
        return film(lambda t_us: scene.frame(self.posture(t_us), self.gone_m(t_us)), self.end_us, self.lighting, seed)

    def phase(self, t_us: int) -> float:
        """Of the stride, in radians, at a time."""
        turns = self.tempo_hz * t_us * 1e-6
        return self.start + 2 * math.pi * turns + TEMPO_WANDER * math.sin(math.pi * turns + self.wander)

    def posture(self, t_us: int) -> Posture:
        """The body at a time."""
        return posture(self.person, self.phase(t_us))

    def gone_m(self, t_us: int) -> float:
        """How far past the middle of the walk: the feet that stand do not slide."""
        return self.stride_m * (self.phase(t_us) - self.phase(self.end_us // 2)) / (2 * math.pi)

    def _random(self, *purpose: int) -> np.random.Generator:
        """A generator of its own for every purpose, so that changing one thing leaves the rest as it was."""
        return np.random.default_rng([*self.key, *purpose])


def _view(draw: np.random.Generator) -> View:
    """Either direction, nearly in the picture's plane, at nearly the same distance."""
    slant = HEADING_SPREAD * float(draw.uniform(-1, 1))
    px_per_m = PX_PER_M * (1.0 + PX_PER_M_SPREAD * float(np.clip(draw.standard_normal(), -2.0, 2.0)))
    heading = slant if draw.random() < 0.5 else math.pi - slant
    return View(heading, px_per_m, OFF_SPREAD_M * float(draw.uniform(-1, 1)))


def _check(session: int, number: int, walk_s: float, light: str, seed: int) -> None:
    if session not in SESSIONS:
        raise UsageError(f"session {session}: the simulator has sessions 1 (train) and 2 (test).")
    if walk_s < SHORTEST_WALK_S:
        raise UsageError(
            f"walk_s = {walk_s}: a walk must last at least {SHORTEST_WALK_S} s, or not one step of it would be seen."
        )
    if light not in LIGHTINGS:
        raise UsageError(f"light '{light}': the simulator has {', '.join(LIGHTINGS)}.")
    for name, value in (("number", number), ("seed", seed)):
        if value < 0:
            raise UsageError(f"{name} {value}: must not be negative.")
