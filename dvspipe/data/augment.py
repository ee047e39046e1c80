"""tonic's event transforms as augmentation, by name from a recipe: [{name = "DropEvent", p = 0.1}, ...].

Random, yet a clip's augmentation depends on its key (seed, epoch, index) alone, not on workers or order. tonic draws
from numpy's global generator, so that is seeded for the call and put back after it: do not augment from several
threads of one process. Knows nothing about archives or labels: **a left-right flip turns a right-hand gesture into a
left-hand one, a reversal of time a clockwise one into a counter-clockwise one, and the labels stay**. Neither belongs
in a gesture recipe.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from dvspipe.errors import RecipeError, nearest
from dvspipe.events import Events

# Event transforms that leave events of the same sensor. Left out: those that make frames or surfaces, change the sensor
# (Downsample, CenterCrop, RandomCrop: `frames` and `events.filters` do that) or cut time (CropTime: clips do that).
TRANSFORMS = (
    "Denoise",
    "DropEvent",
    "DropEventByArea",
    "DropEventByTime",
    "DropPixel",
    "EventDrop",
    "MergePolarities",
    "RandomDropPixel",
    "RandomFlipLR",
    "RandomFlipPolarity",
    "RandomFlipUD",
    "RandomTimeReversal",
    "RefractoryPeriod",
    "SpatialJitter",
    "TimeJitter",
    "TimeSkew",
    "UniformNoise",
)
TONIC_DTYPE = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])


class Augmentation:
    """Transforms in the recipe's order; call it with a clip's events, where its time begins, and its key.

    Raises RecipeError, all faults at once, for unknown names (with the nearest) and arguments that a transform does
    not take.
    """

    def __init__(self, tables: Sequence[Mapping[str, Any]], sensor_size: tuple[int, int]) -> None:
        self.tables = [dict(table) for table in tables]
        faults: list[str] = []
        self._steps = [_transform(table, (*sensor_size, 2), faults) for table in self.tables]
        if faults:
            raise RecipeError("[augment] transforms", faults)

    def __call__(self, events: Events, start_us: int, key: tuple[int, int, int]) -> Events:
        """The augmented events in order of time, those moved off the sensor left out. `start_us` is time 0 for the
        transforms.
        """
        table = to_tonic(events, start_us)
        with seeded(key):
            for step in self._steps:
                if len(table) == 0:  # tonic's transforms fail on no events
                    break
                table = step(table)
        return from_tonic(table, events.sensor_size, start_us)


def to_tonic(events: Events, start_us: int = 0) -> np.ndarray:
    """tonic's structured array with fields x, y, t, p; times count from `start_us`."""
    table = np.empty(len(events), TONIC_DTYPE)
    table["x"], table["y"], table["t"], table["p"] = events.x, events.y, events.t - start_us, events.p
    return table


def from_tonic(table: np.ndarray, sensor_size: tuple[int, int], start_us: int = 0) -> Events:
    """Events of a tonic array in order of time (equal times keep theirs); pixels outside the sensor are left out."""
    width, height = sensor_size
    table = table[(table["x"] >= 0) & (table["x"] < width) & (table["y"] >= 0) & (table["y"] < height)]
    if np.any(np.diff(table["t"]) < 0):
        table = table[np.argsort(table["t"], kind="stable")]
    return Events.of(table["t"].astype(np.int64) + start_us, table["x"], table["y"], table["p"], sensor_size)


@contextmanager
def seeded(key: tuple[int, int, int]) -> Iterator[None]:
    """numpy's global generator, seeded by the key inside and as before outside."""
    before = np.random.get_state()  # noqa: NPY002  (tonic draws from the global generator)
    np.random.seed([part & 0xFFFFFFFF for part in key])  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _transform(table: Mapping[str, Any], sensor: tuple[int, int, int], faults: list[str]) -> Any:
    """One tonic transform, or None with a fault added."""
    import tonic.transforms

    name = table.get("name")
    if name not in TRANSFORMS:
        faults.append(
            f"unknown transform {name!r}{nearest(str(name), list(TRANSFORMS))}. Known: {', '.join(TRANSFORMS)}"
        )
        return None
    kind = getattr(tonic.transforms, name)
    takes = [each.name for each in dataclasses.fields(kind)]
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items() if key != "name"}
    known = [key for key in takes if key != "sensor_size"]
    wrong = [
        f"{name}: unknown argument '{key}'{nearest(key, known)}. It takes: {', '.join(known) or 'none'}"
        for key in given
        if key not in known
    ]
    needed = [
        key for key, each in inspect.signature(kind).parameters.items() if each.default is each.empty and key in known
    ]
    wrong += [f"{name}: argument '{key}' is missing" for key in needed if key not in given]
    faults += wrong
    if wrong:
        return None
    if "sensor_size" in takes:
        given["sensor_size"] = sensor
    try:
        return kind(**given)
    except (TypeError, ValueError, AssertionError) as error:
        faults.append(f"{name}: {error or 'argument out of range'} {given}")
        return None
