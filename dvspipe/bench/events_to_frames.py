"""Table `events_to_frames`: events to frames of 15 ms at 128x128x2, in Mev/s; copying the columns is the floor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvspipe.bench.event_inputs import cloud, noise
from dvspipe.bench.gate import Verdict
from dvspipe.bench.measuring import KEPT
from dvspipe.bench.peers.choice import library
from dvspipe.bench.rates import check_arrays, rate_row
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Row, Table
from dvspipe.events import Events, filters, reference
from dvspipe.frames import to_frames
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.recordings import open_recording

BIN_US, SUPPORT_US = 15_000, 1_000
COUNT = 2_000_000
REAL = ("dvs128_garfield.mat", "dvs128_stripes.mat")
NOTES = (
    KEPT,
    "Whole recordings in memory to one array [T,2,H,W]; equal work: every frame equal, checked before timing.",
    "Floor: copying the four columns. Below 0.3 Mev/s most of the time goes into the frames' own memory, 128 kB each.",
    "tonic's ToFrame gets the same events as its own structured array, and the same window and bins; np.bincount gets the "
    "columns and finds its indices itself. Smaller frames: tonic and bincount get coordinates divided beforehand, for free.",
)


def run(settings: BenchSettings) -> Table:
    """Made events at three rates, a fourth of the resolution, a box, and real recordings where there are any."""
    keep_freed_memory()
    count = int(settings.extra.get("events", COUNT))
    rows = [
        _row(f"{make.__name__}, {rate_hz / 1e6:g} Mev/s", make(count, rate_hz, settings.seed), 1, settings)
        for make, rate_hz in ((cloud, 1e5), (cloud, 1e6), (cloud, 5e6), (noise, 5e6))
    ]
    rows.append(_row("cloud, 1 Mev/s, 32x32", cloud(count, 1e6, settings.seed), 4, settings))
    rows.append(_denoise_row(cloud(count // 20, 1e6, settings.seed), settings))
    rows += [_row(path.stem, open_recording(path).load(), 1, settings) for path in _real(settings.recordings)]
    tonic = () if library("tonic") else ("tonic is not installed, so its column is missing.",)
    return Table("events_to_frames", "Events to frames of 15 ms.", rows, [*NOTES, *tonic])


def _real(folder: Path | None) -> list[Path]:
    return [folder / name for name in REAL if (folder / name).is_file()] if folder else []


def _row(case: str, events: Events, downsample: int, settings: BenchSettings) -> Row:
    t0_us = int(events.t[0]) // BIN_US * BIN_US
    bins = (int(events.t[-1]) - t0_us) // BIN_US

    def ours() -> NDArray[np.int32]:
        return to_frames(events, BIN_US, t0_us=t0_us, n_bins=bins, downsample=downsample)[0]

    peers = _peers(events, t0_us, bins, downsample)
    expected = ours()
    verdicts = {name: check_arrays([call()], [expected], "frames") for name, call in peers.items()}
    columns = events.t, events.x, events.y, events.p
    floor = {"floor": lambda: [column.copy() for column in columns]}
    return rate_row(case, "Mev/s", len(events) / 1e6, {"ours": ours, **peers, **floor}, verdicts, settings)


def _peers(events: Events, t0_us: int, bins: int, downsample: int) -> dict[str, Callable[[], NDArray]]:
    small = Events(
        events.t,
        events.x // np.uint16(downsample),
        events.y // np.uint16(downsample),
        events.p,
        (-(-events.sensor_size[0] // downsample), -(-events.sensor_size[1] // downsample)),
    )
    found: dict[str, Callable[[], NDArray]] = {"np.bincount": lambda: _bincount(small, t0_us, bins)}
    tonic = library("tonic")
    if tonic is not None:
        found["tonic ToFrame"] = tonic.framing(small, BIN_US, t0_us, bins)
    return found


def _denoise_row(events: Events, settings: BenchSettings) -> Row:
    """The filter that needs the past; its twin in numpy is the peer that does equal work."""
    latest = np.full((events.sensor_size[1] + 2, events.sensor_size[0] + 2), filters.NEVER)
    columns = events.t, events.x, events.y, events.p

    def numpy() -> object:
        return reference.supported(columns, latest.copy(), SUPPORT_US)

    found = filters.denoise(events, SUPPORT_US)[0]
    expected = reference.supported(columns, latest.copy(), SUPPORT_US)
    cases = {"ours": lambda: filters.denoise(events, SUPPORT_US), "numpy": numpy}
    verdicts = {"numpy": check_arrays((found.t, found.x, found.y, found.p), expected, "events")}
    tonic = library("tonic")
    if tonic is not None:
        cases["tonic Denoise"] = tonic.denoising(events, SUPPORT_US)
        verdicts["tonic Denoise"] = Verdict(False, "less work: four neighbours instead of eight")
    floor = {"floor": lambda: [column.copy() for column in columns]}
    return rate_row("denoise, 1 ms", "Mev/s", len(events) / 1e6, {**cases, **floor}, verdicts, settings)


def _bincount(events: Events, t0_us: int, bins: int) -> NDArray[np.int64]:
    """What one writes without a library, for ordered events."""
    width, height = events.sensor_size
    kept = slice(*np.searchsorted(events.t, (t0_us, t0_us + bins * BIN_US)))
    index = (events.t[kept] - t0_us) // BIN_US * 2 + events.p[kept]
    index = (index * height + events.y[kept]) * width + events.x[kept]
    return np.bincount(index, minlength=bins * 2 * height * width).reshape(bins, 2, height, width)
