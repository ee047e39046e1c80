"""Events as a recipe wants them: labelled windows of an archive, split, cut into clips and binned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from dvspipe.data.augment import Augmentation
from dvspipe.data.clips import ClipDataset
from dvspipe.data.frame_cache import cached, pays
from dvspipe.data.splits import Splits, split_published, split_subjects, split_walks
from dvspipe.errors import DatasetError
from dvspipe.frames import collate
from dvspipe.jobs.archives import find_or_make, fingerprint
from dvspipe.jobs.training import Training
from dvspipe.recipes import FramesSettings, Recipe, TrainSettings, data_dir
from dvspipe.recordings.archive import Archive, Segment

CACHE_BYTES = 2 * 2**30


class EventData:
    """Batches are (frames [T,B,2,H,W], label [B])."""

    channels = 2  # polarities

    def __init__(self, recipe: Recipe) -> None:
        assert recipe.frames is not None  # `open_data` has looked
        self.recipe, self.frames = recipe, recipe.frames
        self.archive = Archive(find_or_make(recipe.dataset))

    @property
    def path(self) -> Path:
        """The archive."""
        return self.archive.path

    @property
    def classes(self) -> list[str]:
        """Names, by label."""
        return self.archive.classes

    @property
    def sensor_size(self) -> tuple[int, int]:
        """(W,H)."""
        return self.archive.sensor_size

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits over what the archive holds."""
        return fingerprint(self.archive)

    def training(self) -> Training:
        """Raises DatasetError where a split would be empty, or every window is shorter than a clip."""
        settings, tables = self.recipe.train, self.recipe.augment.transforms
        splits = held_out(self.archive.segments, settings)
        check_length(splits.train, self.frames, self.archive.path)
        training = self._clips(
            splits.train,
            random_start=self.frames.random_start,
            seed=settings.seed,
            augment=Augmentation(tables, self.sensor_size) if tables else None,
            cache_bytes=CACHE_BYTES,
            around_us=self._around_us(),
        )
        common: dict[str, Any] = {"batch_size": settings.batch, "collate_fn": collate}
        return Training(
            DataLoader(training, shuffle=True, num_workers=settings.workers, **common),
            DataLoader(self._fixed(splits.val, cache_bytes=CACHE_BYTES), **common),
            {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)},
            splits.val_subjects,
        )

    def testing(self) -> DataLoader:
        """The clips of a segment next to each other."""
        segments = [segment for segment in self.archive.segments if segment.split == "test"]
        clips = self._fixed(segments, clips_per_segment=self.frames.clips)
        return DataLoader(clips, batch_size=self.recipe.train.batch, collate_fn=collate)

    def _around_us(self) -> tuple[int, int] | None:
        around = self.frames.around_ms
        return None if around is None else (1000 * around[0], 1000 * around[1])

    def _fixed(self, segments: list[Segment], **settings: Any) -> Dataset:
        """Clips that are the same in every epoch and every run: binned once, where that pays."""
        clips = self._clips(segments, **settings)
        keep = self.frames.cache == "auto" and pays(clips)
        return cached(clips, data_dir() / "frames") if keep else clips

    def _clips(self, segments: list[Segment], **settings: Any) -> ClipDataset:
        frames = self.frames
        return ClipDataset(self.archive.path, segments, frames.bin_us, frames.n_bins, frames.downsample, **settings)


def held_out(segments: Sequence[Segment], settings: TrainSettings) -> Splits:
    """Training, validation and test windows as [train] says."""
    if settings.protocol == "published":
        return split_published(segments)
    if settings.val_share is not None:
        return split_walks(segments, settings.val_share, settings.seed)
    assert settings.val_subjects is not None  # the recipe has been validated
    return split_subjects(segments, settings.val_subjects, settings.seed)


def check_length(segments: Sequence[Segment], frames: FramesSettings, source: Path) -> None:
    """Raises DatasetError where no window is as long as a clip: most of what trained would be empty bins."""
    longest_us, clip_us = max(each.stop_us - each.start_us for each in segments), frames.bin_us * frames.n_bins
    if clip_us > longest_us:
        raise DatasetError(
            f"{source}: a clip of {frames.n_bins} bins of {frames.bin_us / 1000:g} ms lasts {clip_us / 1000:g} ms, "
            f"the longest of {len(segments)} training windows {longest_us / 1000:g} ms. Set frames.n_bins to at most "
            f"{longest_us // frames.bin_us}, or a shorter frames.bin_us."
        )
