"""What a writer of recordings is, and the checks that writers share. The counterpart of `recording.py`; knows no format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.archive_layout import Segment
from dvspipe.recordings.cameras import LARGEST_SENSOR
from dvspipe.recordings.recording import CHUNK_EVENTS


class Labels(NamedTuple):
    """The labelled windows of one recording, and the names of the classes that their labels count through."""

    classes: list[str]
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Writer:
    """One format that recordings are written in. Every module of `recordings/writers/` defines one as `WRITER`.

    `write(path, chunks, sensor_size, labels)` streams the events into a file that appears whole or not at all and
    returns how many there were; RecordingError says what the format cannot hold. `most_classes` is how many classes of
    labels the format can keep, 0 where it keeps no labels.
    """

    name: str
    suffix: str
    write: Callable[[Path, Iterable[Events], tuple[int, int], Labels | None], int]
    most_classes: int = 0


class Holds(NamedTuple):
    """What a format can hold: times from `first_us` to `last_us`.

    `ordered` where its readers take it for granted that times never go back.
    """

    format: str
    first_us: int = -(1 << 62)
    last_us: int = 1 << 62
    ordered: bool = False


def checked(path: str | Path, chunks: Iterable[Events], sensor_size: tuple[int, int], holds: Holds) -> Iterator[Events]:
    """The events in whole blocks of 65,536, so that a file does not depend on how its source was cut.

    Raises RecordingError for events that the format or the sensor cannot hold, and at once for an impossible sensor.
    """
    if not 0 < min(sensor_size) <= max(sensor_size) <= LARGEST_SENSOR:
        raise RecordingError(
            f"{path}: sensor {sensor_size[0]} x {sensor_size[1]}, a recording has 1 to {LARGEST_SENSOR} pixels a side. "
            "Downsample or crop the events first."
        )
    return _checked(path, chunks, sensor_size, holds)


def _checked(
    path: str | Path, chunks: Iterable[Events], sensor_size: tuple[int, int], holds: Holds
) -> Iterator[Events]:
    last_t = None
    for events in whole_blocks(chunks, CHUNK_EVENTS):
        _check_places(path, events, sensor_size)
        _check_times(path, events, last_t, holds)
        last_t = int(events.t[-1])
        yield events


def whole_blocks(chunks: Iterable[Events], size: int) -> Iterator[Events]:
    """The same events in pieces of whole blocks of `size` events, only the last one shorter; none is empty."""
    held: list[Events] = []
    waiting = 0
    for events in chunks:
        held.append(events)
        waiting += len(events)
        if waiting >= size:
            joined = Events.concatenate(held, events.sensor_size)
            whole = waiting - waiting % size
            yield joined[:whole]
            held, waiting = [joined[whole:]], waiting - whole
    if waiting:
        yield Events.concatenate(held, held[0].sensor_size)


def _check_places(path: str | Path, events: Events, sensor_size: tuple[int, int]) -> None:
    x, y = int(events.x.max()), int(events.y.max())
    if x >= sensor_size[0] or y >= sensor_size[1]:
        raise RecordingError(
            f"{path}: event at x, y up to ({x}, {y}) lies outside the sensor {sensor_size[0]} x {sensor_size[1]}. "
            "Give the sensor_size that the events have."
        )


def _check_times(path: str | Path, events: Events, last_t: int | None, holds: Holds) -> None:
    t = events.t
    if holds.ordered and ((last_t is not None and t[0] < last_t) or np.any(t[1:] < t[:-1])):
        fallen = np.flatnonzero(t[1:] < t[:-1])
        before, after = (t[fallen[0]], t[fallen[0] + 1]) if len(fallen) else (last_t, t[0])
        raise RecordingError(
            f"{path}: {holds.format} times must not go back, but {after} us follows {before} us. "
            "Sort first (--sort), or choose a format that keeps the order: .h5, .npz, .csv."
        )
    first, last = int(t.min()), int(t.max())
    if first < holds.first_us or last > holds.last_us:
        raise RecordingError(
            f"{path}: times {first}..{last} us, {holds.format} holds {holds.first_us}..{holds.last_us}. "
            "Shift the times, or choose another format: .h5, .npz, .csv."
        )
