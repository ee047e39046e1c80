"""Events that the event tables are measured on: made from a seed, the same on every machine. Knows no table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dvspipe.events import Events
from dvspipe.recordings.archive import ArchiveWriter, Segment

SENSOR = (128, 128)
ORBIT_S = 1.0


def cloud(count: int, rate_hz: float, seed: int) -> Events:
    """A cloud of events that goes round the sensor, as a hand does: a normal spread of ten pixels, half of it ON."""
    rng = np.random.default_rng(seed)
    t = _times(rng, count, rate_hz)
    angle = t * (2 * np.pi / (1e6 * ORBIT_S))
    x, y = (64 + 30 * wave(angle) + rng.normal(0, 10, count) for wave in (np.cos, np.sin))
    return Events.of(t, x.clip(0, 127).astype(int), y.clip(0, 127).astype(int), rng.random(count) < 0.5, SENSOR)


def noise(count: int, rate_hz: float, seed: int) -> Events:
    """Every pixel alike: the worst case for a cache."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 128, (2, count))
    return Events.of(_times(rng, count, rate_hz), places[0], places[1], rng.random(count) < 0.5, SENSOR)


def write_clouds(path: Path, recordings: int, windows: int, window_us: int, rate_hz: float, seed: int) -> None:
    """An archive of clouds with so many labelled windows each."""
    with ArchiveWriter(path, SENSOR, [str(label) for label in range(windows)], {}) as archive:
        for number in range(recordings):
            name = f"recording {number}"
            events = cloud(int(windows * window_us * rate_hz / 1e6), rate_hz, seed + number)
            starts = [window_us * label for label in range(windows)]
            segments = [Segment(name, label, 0, "train", at, at + window_us) for label, at in enumerate(starts)]
            archive.add(name, [events], segments)


def _times(rng: np.random.Generator, count: int, rate_hz: float) -> np.ndarray:
    """Ordered µs over exactly count / rate_hz seconds: the first and the last are there."""
    last = max(1, int(count / rate_hz * 1e6) - 1)
    return np.sort(np.concatenate([[0, last], rng.integers(0, last, max(0, count - 2))]))[:count]
