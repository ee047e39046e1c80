"""tonic, in its best documented way: ToFrame on its own structured array, DiskCachedDataset with its default compression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tonic import DiskCachedDataset
from tonic.transforms import Denoise, DropEvent, ToFrame

from dvspipe.data.augment import seeded, to_tonic
from dvspipe.events import Events

Item = tuple[NDArray[Any], int]
Transform = Callable[[NDArray[Any]], NDArray[Any]]


def framing(events: Events, bin_us: int, t0_us: int, bins: int) -> Callable[[], NDArray[np.int16]]:
    """ToFrame over `bins` bins from `t0_us`; the array is made beforehand."""
    table, frame = to_tonic(events, t0_us), to_frame(events.sensor_size, bin_us, bins)
    return lambda: frame(table)


def to_frame(sensor_size: tuple[int, int], bin_us: int, bins: int, downsample: int = 1) -> Transform:
    """ToFrame of exactly `bins` bins from time 0, of divided coordinates."""
    width, height = (-(-side // downsample) for side in sensor_size)
    transform = ToFrame((width, height, 2), time_window=bin_us, start_time=0, end_time=bins * bin_us)

    def frame(table: NDArray[Any]) -> NDArray[np.int16]:
        table = table[table["t"] < bins * bin_us]
        return transform(table if downsample == 1 else _smaller(table, downsample))  # type: ignore[no-any-return]

    return frame


def _smaller(table: NDArray[Any], downsample: int) -> NDArray[Any]:
    made = table.copy()
    made["x"] //= downsample
    made["y"] //= downsample
    return made


def denoising(events: Events, filter_time_us: int) -> Callable[[], NDArray[Any]]:
    """tonic's background-activity filter."""
    table, transform = to_tonic(events, 0), Denoise(filter_time=filter_time_us)
    return lambda: transform(table)


class Clips:
    """Items for DiskCachedDataset: a sample's events, times from `starts_us` on, through what is done before keeping them."""

    def __init__(
        self, events: Sequence[Events], labels: Sequence[int], starts_us: Sequence[int], before: Transform | None = None
    ) -> None:
        self.events, self.labels, self.starts_us, self.before = events, labels, starts_us, before

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, index: int) -> Item:
        table = to_tonic(self.events[index], self.starts_us[index])
        return (self.before(table) if self.before else table), self.labels[index]


class Augmented:
    """A window out of kept events, its own draws, then frames."""

    def __init__(
        self, kept: Any, firsts_us: Sequence[int], window_us: int, draws: Sequence[Transform], frame: Transform
    ) -> None:
        self.kept, self.firsts_us, self.window_us, self.draws, self.frame = kept, firsts_us, window_us, draws, frame

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> Item:
        table, label = self.kept[index]
        first = self.firsts_us[index]
        cut = table[slice(*np.searchsorted(table["t"], (first, first + self.window_us)))].copy()
        cut["t"] -= first
        return self.frame(self.draws[index](cut)), int(label)


def disk_cached(clips: Clips, folder: Path) -> DiskCachedDataset:
    """What `clips` gives, kept in the folder."""
    return DiskCachedDataset(clips, cache_path=str(folder))


def dropping(p: float, key: tuple[int, int, int]) -> Transform:
    """DropEvent with the draws that our augmentation makes for this key."""
    transform = DropEvent(p=p)

    def drop(table: NDArray[Any]) -> NDArray[Any]:
        with seeded(key):
            return transform(table)  # type: ignore[no-any-return]

    return drop
