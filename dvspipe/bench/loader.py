"""Table `loader`: labelled clips a second, as batches of float32 [T,B,2,H,W], out of what each library keeps on disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from dvspipe.bench.event_inputs import SENSOR, write_clouds
from dvspipe.bench.gate import Verdict
from dvspipe.bench.measuring import KEPT
from dvspipe.bench.peers.choice import library
from dvspipe.bench.rates import Call, rate_row
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Row, Table
from dvspipe.data.augment import Augmentation
from dvspipe.data.clips import ClipDataset
from dvspipe.data.frame_cache import cached
from dvspipe.frames import collate
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.recordings.archive import Archive

BIN_US, BINS, BATCH, RATE_HZ, DROP = 15_000, 60, 8, 1e5, 0.2
Make = Callable[[], Dataset]
EMPTY: Mapping[str, Call] = {}
PEER = "tonic DiskCachedDataset"
NOTES = (
    KEPT,
    "Clips of 60 bins of 15 ms, 0.1 Mev/s, batch 8, no workers, batches float32 [T,B,2,H,W] by the same collate function. "
    "Equal work: every batch equal, checked before timing.",
    "Cold: nothing kept yet, so what is kept is made in the same call; tonic's events are in memory to begin with, ours in "
    "the archive. Warm: read from the disk, which the system holds in memory.",
    "Binned anew: what frames.cache = 'off' does. With 'auto' the frames of 128x128 are not kept: a file of them is larger "
    "than the events.",
    "Random starts and DropEvent: tonic keeps events, and a transform cuts, drops by the same draws and makes frames.",
)


@dataclass(frozen=True)
class Work:
    """An archive, and where both libraries keep what they make of it."""

    folder: Path
    archive: Archive
    downsample: int

    def clips(self, **settings: Any) -> ClipDataset:
        """Ours."""
        return ClipDataset(self.archive.path, self.archive.segments, BIN_US, BINS, self.downsample, **settings)


def run(settings: BenchSettings) -> Table:
    """Fixed clips cold and warm, and augmented ones."""
    keep_freed_memory()
    tonic = library("tonic")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        windows = int(settings.extra.get("clips", 12))
        write_clouds(folder / "clouds.h5", 4, windows, 2 * BINS * BIN_US, RATE_HZ, settings.seed)
        works = [Work(folder, Archive(folder / "clouds.h5"), downsample) for downsample in (4, 1)]
        rows = [make(work, tonic, settings) for work in works for make in (_cold, _warm)]
        rows.append(_augmented(works[0], tonic, settings))
    missing = () if tonic else ("tonic is not installed, so its column is missing.",)
    return Table("loader", "Clips a second from the disk to batches.", rows, [*NOTES, *missing])


def _cold(work: Work, tonic: Any, settings: BenchSettings) -> Row:
    ours, theirs = work.folder / f"cold {work.downsample}", work.folder / f"cold tonic {work.downsample}"
    frames = _tonic_frames(work, tonic)

    def make() -> Dataset:
        shutil.rmtree(ours, ignore_errors=True)
        return cached(work.clips(), ours)

    def make_theirs() -> Dataset:
        shutil.rmtree(theirs, ignore_errors=True)
        return tonic.disk_cached(frames, theirs)  # type: ignore[no-any-return]

    return _row("fixed clips, cold", work, make, make_theirs if tonic else None, settings)


def _warm(work: Work, tonic: Any, settings: BenchSettings) -> Row:
    kept = cached(work.clips(), work.folder / f"warm {work.downsample}")
    held = tonic.disk_cached(_tonic_frames(work, tonic), work.folder / f"tonic {work.downsample}") if tonic else None
    anew = {"ours, binned anew": lambda: _epoch(work.clips())}
    return _row("fixed clips, warm", work, lambda: kept, (lambda: held) if tonic else None, settings, anew)


def _augmented(work: Work, tonic: Any, settings: BenchSettings) -> Row:
    augment = Augmentation([{"name": "DropEvent", "p": DROP}], SENSOR)
    clips = work.clips(random_start=True, augment=augment, seed=settings.seed)
    held = _tonic_augmented(work, clips, tonic, settings.seed) if tonic else None
    return _row("random starts, DropEvent, warm", work, lambda: clips, (lambda: held) if tonic else None, settings)


def _tonic_frames(work: Work, tonic: Any) -> Any:
    """Every segment's first clip, its events in memory, made into frames before it is kept."""
    if tonic is None:
        return None
    segments, read = work.archive.segments, work.archive.events
    starts = [each.start_us for each in segments]
    events = [read(each.recording, each.start_us, each.start_us + BINS * BIN_US) for each in segments]
    frame = tonic.to_frame(SENSOR, BIN_US, BINS, work.downsample)
    return tonic.Clips(events, [each.label for each in segments], starts, frame)


def _tonic_augmented(work: Work, clips: ClipDataset, tonic: Any, seed: int) -> Any:
    """Every segment's events kept, then cut, thinned out and made into frames when asked for."""
    segments, read = work.archive.segments, work.archive.events
    starts = [each.start_us for each in segments]
    events = [read(each.recording, each.start_us, each.stop_us) for each in segments]
    kept = tonic.disk_cached(
        tonic.Clips(events, [each.label for each in segments], starts), work.folder / "tonic events"
    )
    first_us = [clips.start_us(index) - start for index, start in enumerate(starts)]
    drops = [tonic.dropping(DROP, (seed, 0, index)) for index in range(len(segments))]
    frame = tonic.to_frame(SENSOR, BIN_US, BINS, work.downsample)
    return tonic.Augmented(kept, first_us, BINS * BIN_US, drops, frame)


def _row(
    case: str,
    work: Work,
    make: Make,
    make_theirs: Make | None,
    settings: BenchSettings,
    own: Mapping[str, Call] = EMPTY,
) -> Row:
    """`own` are other ways of ours, whose batches the tests hold equal."""
    cases: dict[str, Call] = {"ours": lambda: _epoch(make()), **own}
    verdicts = dict.fromkeys(own, Verdict(True, ""))
    if make_theirs is not None:
        theirs = make_theirs
        cases[PEER], verdicts[PEER] = lambda: _epoch(theirs()), _same_batches(make(), theirs())
    size = "x".join(str(side // work.downsample) for side in SENSOR)
    return rate_row(f"{case}, {size}", "samples/s", len(work.archive.segments), cases, verdicts, settings)


def _loader(dataset: Dataset) -> DataLoader:
    return DataLoader(dataset, BATCH, collate_fn=collate)


def _epoch(dataset: Dataset) -> None:
    """Asks for every batch and keeps none."""
    for _ in _loader(dataset):
        pass


def _same_batches(one: Dataset, two: Dataset) -> Verdict:
    pairs = zip(_loader(one), _loader(two))
    equal = all(found.equal(frames) and labels.equal(same) for (frames, labels), (found, same) in pairs)
    return Verdict(equal, "" if equal else "not equal work: batches differ")
