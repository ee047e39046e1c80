"""One uncut recording as IBM made them: one subject, one lighting, gestures in a row, pauses and the ways in and out.

Everything is a function of the arguments: the same call gives the same events. Memory does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dvspipe.errors import UsageError
from dvspipe.events import Events
from dvspipe.simulate.body import subject_body
from dvspipe.simulate.filming import DVS128, Lighting, film
from dvspipe.simulate.gestures import CLASSES, Pose, gesture, rest
from dvspipe.simulate.render import Scene
from dvspipe.simulate.skeleton import blend
from dvspipe.simulate.studio import Light

SHORTEST_PAUSE_S = 0.4
LONGEST_WAY_S = 0.6  # from rest into a gesture


class Window(NamedTuple):
    """A labelled gesture: start_us <= t < stop_us; `label` 0..10."""

    label: int
    start_us: int
    stop_us: int


LIGHTINGS = (
    Lighting("fluorescent", Light(0.9, 0.35, -0.3), 0.03, DVS128),
    Lighting("led", Light(1.0, 0.5, 0.6), 0.0, DVS128),
    Lighting("natural", Light(0.4, 0.25, -0.8), 0.0, replace(DVS128, shot_hz=0.15, bandwidth_hz=100.0)),
)


def lighting(number: int) -> Lighting:
    """Lighting 0..2. Raises UsageError for another number."""
    if not 0 <= number < len(LIGHTINGS):
        raise UsageError(f"lighting {number}: the simulator has 0 to {len(LIGHTINGS) - 1}.")
    return LIGHTINGS[number]


class Trial:
    """A recording to be: `windows` are known at once, iterating gives its events in `Events` chunks of 0.1 s."""

    def __init__(
        self, subject: int, light: int, gestures: Sequence[int], gesture_s: float, pause_s: float, seed: int
    ) -> None:
        if pause_s < SHORTEST_PAUSE_S or gesture_s <= 0:
            raise UsageError(
                f"gesture_s = {gesture_s}, pause_s = {pause_s}: a gesture must last longer than 0 s and a pause at "
                f"least {SHORTEST_PAUSE_S} s, or nobody could get from one gesture into the next."
            )
        if seed < 0:
            raise UsageError(f"seed {seed}: must not be negative.")
        self.body, self.lighting = subject_body(subject), lighting(light)
        self.key = [seed, subject, light]
        play_us, self._pause_us = round(gesture_s * 1e6), round(pause_s * 1e6)
        self._period_us = play_us + self._pause_us
        starts = [self._pause_us + k * self._period_us for k in range(len(gestures))]
        self.windows = [Window(label, start, start + play_us) for label, start in zip(gestures, starts)]
        self.end_us = self._pause_us + len(gestures) * self._period_us
        self._way_us = min(LONGEST_WAY_S * 1e6, 0.45 * self._pause_us)
        self._rest = rest(self.body, self._random(1))
        self._acts = [gesture(window.label, self.body, self._random(2, k)) for k, window in enumerate(self.windows)]

    def __iter__(self) -> Iterator[Events]:
        scene = Scene(self.body, self.lighting.light, self._random(4))
        seed = int(self._random(3).integers(2**63))
        return film(lambda t_us: scene.frame(self.pose(t_us)), self.end_us, self.lighting, seed)

    def pose(self, t_us: int) -> Pose:
        """Where the body is at a time: resting, in a gesture, or on the way in or out."""
        pose = self._rest(t_us * 1e-6)
        if not self.windows:
            return pose
        k = min(max((t_us - self._pause_us // 2) // self._period_us, 0), len(self.windows) - 1)
        window = self.windows[k]
        away = max(window.start_us - t_us, t_us - window.stop_us, 0) / self._way_us
        if away >= 1.0:
            return pose
        return blend(pose, self._acts[k]((t_us - window.start_us) * 1e-6), 1.0 - away * away * (3.0 - 2.0 * away))

    def _random(self, *purpose: int) -> np.random.Generator:
        """A generator of its own for every purpose, so that changing one thing leaves the rest as it was."""
        return np.random.default_rng([*self.key, *purpose])


def simulate_trial(
    subject: int,
    lighting: int,
    gestures: Sequence[int] = range(len(CLASSES)),
    gesture_s: float = 6.0,
    pause_s: float = 1.5,
    seed: int = 0,
) -> tuple[Iterator[Events], list[Window]]:
    """(events in chunks, labelled windows) of one trial, times from 0 µs.

    `subject` 1..29, `lighting` 0..2, `gestures` labels 0..10 in order. Raises UsageError for anything else.
    """
    trial = Trial(subject, lighting, gestures, gesture_s, pause_s, seed)
    return iter(trial), trial.windows
