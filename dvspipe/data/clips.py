"""`ClipDataset`: labelled windows of an archive -> clips of frames for torch's DataLoader.

An item depends on (seed, epoch, index) alone, so that a run repeats whatever the number of workers. Knows nothing
about how an archive was made or what a network does with the frames; `frames.collate` makes the batch.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dvspipe.errors import DatasetError
from dvspipe.events import Events
from dvspipe.frames import to_frames
from dvspipe.recordings.archive import Archive, Segment

NOTHING = -1  # the label of a bin outside every window
Augment = Callable[[Events, int, tuple[int, int, int]], Events]
EVENT_BYTES = 13  # t 8, x 2, y 2, p 1
logger = logging.getLogger(__name__)


class ClipDataset(Dataset):
    """Items (frames int32 [T,2,H,W], label), T = `n_bins` bins of `bin_us` from the clip's start; index = segment *
    clips + clip.

    With `random_start` (training) a clip starts anywhere it fits in its segment, drawn anew every epoch (MA-SNN's
    random consecutive slice). Without (evaluation) the `clips_per_segment` clips of a segment are evenly spread, the
    first at its start, the last ending at its end; one clip is the segment's beginning. A segment shorter than a clip
    gives its events and then empty bins; how many are so is `padded`, logged once. Frames never hold events from
    outside the segment.

    With `around_us` (first, last) they do: a clip starts anywhere from `first` to `last` after the segment's start
    (negative: before it), and the item's label is that of every bin's end, int64 [T], -1 (`NOTHING`) outside all windows
    of the recording. So a network learns how gestures begin, end and are absent.

    `cache_bytes` bounds the decoded segments (13 bytes per event) kept in memory by each process; what does not fit
    is read anew.
    """

    def __init__(
        self,
        archive_path: str | Path,
        segments: Sequence[Segment],
        bin_us: int,
        n_bins: int,
        downsample: int = 1,
        clips_per_segment: int = 1,
        random_start: bool = False,
        seed: int = 0,
        augment: Augment | None = None,
        cache_bytes: int = 0,
        around_us: tuple[int, int] | None = None,
    ) -> None:
        if not segments:
            raise DatasetError(f"{archive_path}: no segments to take clips from.")
        if seed < 0 or clips_per_segment < 1:
            raise DatasetError(
                f"seed = {seed}, clips_per_segment = {clips_per_segment}: allowed are seed >= 0 and at least one clip."
            )
        self.archive, self.segments = Archive(Path(archive_path)), list(segments)
        self.bin_us, self.n_bins, self.downsample, self.clips = bin_us, n_bins, downsample, clips_per_segment
        self.random_start, self.seed, self.augment = random_start, seed, augment
        self.around_us, self._windows = around_us, _by_recording(self.archive.segments) if around_us else {}
        self._cache: dict[int, tuple[Events, bool]] = {}  # by segment; whether its times are in order
        self._cache_left = cache_bytes
        # Shared memory: workers that live on from epoch to epoch see the new number.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self.padded = sum(segment.stop_us - segment.start_us < self.clip_us for segment in self.segments)
        if self.padded:
            logger.warning(
                "%d of %d segments are shorter than a clip of %.3f s: their last bins are empty.",
                self.padded,
                len(self.segments),
                self.clip_us / 1e6,
            )

    @property
    def clip_us(self) -> int:
        """Length of a clip."""
        return self.bin_us * self.n_bins

    @property
    def frames_shape(self) -> tuple[int, int, int, int]:
        """(T, 2, H, W) of every item."""
        width, height = self.archive.sensor_size
        return self.n_bins, 2, -(-height // self.downsample), -(-width // self.downsample)

    @property
    def fixed(self) -> bool:
        """Whether an item is the same in every epoch."""
        return not self.random_start and self.augment is None and self.around_us is None

    def made_of(self) -> list[str]:
        """All that decides what the frames of fixed clips are: the archive, the windows, the settings, the code."""
        settings = self.bin_us, self.n_bins, self.downsample, self.clips
        return [self.archive.identity(), repr(self.segments), repr(settings), source_hash()]

    def label(self, index: int) -> int:
        """Of an item whose label is that of its segment."""
        return self.segments[index // self.clips].label

    def set_epoch(self, epoch: int) -> None:
        """Call before iterating over an epoch: draws new starts and a new augmentation."""
        self._epoch.fill_(epoch)

    def hold_nothing(self) -> None:
        """Gives decoded segments back and keeps none from now on."""
        self._cache_left = 0
        self._cache.clear()

    def __len__(self) -> int:
        return len(self.segments) * self.clips

    def __getitem__(self, index: int) -> tuple[NDArray[np.int32], int | NDArray[np.int64]]:
        number = range(len(self))[index] // self.clips
        segment, key = self.segments[number], (self.seed, int(self._epoch), range(len(self))[index])
        start = self.start_us(key[2])
        stop = start + self.clip_us
        events = self._events(number, start, stop if self.around_us else min(stop, segment.stop_us))
        if self.augment is not None:
            events = self.augment(events, start, key)
        frames, _ = to_frames(events, self.bin_us, self.archive.sensor_size, start, self.n_bins, self.downsample)
        return frames, self._labels(segment, start) if self.around_us else segment.label

    def start_us(self, index: int) -> int:
        """Where a clip begins in this epoch."""
        number, clip = divmod(index, self.clips)
        return self._start(self.segments[number], clip, (self.seed, int(self._epoch), index))

    def _labels(self, segment: Segment, start_us: int) -> NDArray[np.int64]:
        """[T] what is true at the end of every bin."""
        ends = start_us + self.bin_us * np.arange(1, self.n_bins + 1)
        labels = np.full(self.n_bins, NOTHING, np.int64)
        for window in self._windows[segment.recording]:
            labels[(ends > window.start_us) & (ends <= window.stop_us)] = window.label
        return labels

    def _start(self, segment: Segment, clip: int, key: tuple[int, int, int]) -> int:
        if self.around_us:
            first, last = self.around_us
            return segment.start_us + int(np.random.default_rng(key).integers(first, last, endpoint=True))
        room = max(0, segment.stop_us - segment.start_us - self.clip_us)
        if self.random_start:
            return segment.start_us + int(np.random.default_rng(key).integers(0, room, endpoint=True))
        return segment.start_us + (room * clip // (self.clips - 1) if self.clips > 1 else 0)

    def _events(self, number: int, start_us: int, stop_us: int) -> Events:
        if number not in self._cache and self._cache_left > 0:
            self._hold(number)
        if number not in self._cache:
            return self.archive.events(self.segments[number].recording, start_us, stop_us)
        held, ordered = self._cache[number]
        return (
            held[slice(*np.searchsorted(held.t, (start_us, stop_us)))] if ordered else held.between(start_us, stop_us)
        )

    def _hold(self, number: int) -> None:
        """Decodes a whole segment into the cache; the first that does not fit closes it."""
        segment = self.segments[number]
        first, last = segment.start_us, segment.stop_us
        if self.around_us:
            first, last = first + self.around_us[0], first + self.around_us[1] + self.clip_us
        held = self.archive.events(segment.recording, first, last)
        self._cache_left -= len(held) * EVENT_BYTES
        if self._cache_left >= 0:
            self._cache[number] = held, bool(np.all(held.t[1:] >= held.t[:-1]))


@cache
def source_hash() -> str:
    """Of the text of every module between an archive's bytes and frames: frames kept by another version are not ours."""
    packages = "dvspipe.events", "dvspipe.frames", "dvspipe.recordings", "dvspipe.recordings.layouts"
    files = [path for name in packages for folder in import_module(name).__path__ for path in Path(folder).glob("*.py")]
    made_by = sorted((path.name, path.read_bytes()) for path in [*files, Path(__file__)])
    return hashlib.sha256(repr(made_by).encode()).hexdigest()


def _by_recording(segments: Sequence[Segment]) -> dict[str, list[Segment]]:
    found: dict[str, list[Segment]] = {}
    for segment in segments:
        found.setdefault(segment.recording, []).append(segment)
    return found
