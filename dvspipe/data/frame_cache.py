"""Frames of clips that are always the same (validation, test), binned once and kept in a file.

The file's name is a hash of everything that made the frames, the code that bins among it, so no stale one is ever read.
One zip of uncompressed members, a clip each: its checksums find damage, and a clip is read without the others. Counts are
kept in the smallest type that holds a clip's largest. Whatever goes wrong here costs time, never the run: clips are then
binned as without a cache, and the log says why. Knows no recipe.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dvspipe.data.clips import EVENT_BYTES, ClipDataset
from dvspipe.errors import DatasetError, DvspipeError
from dvspipe.files import make_folder, replacing
from dvspipe.recordings.archive import Archive

BUDGET_BYTES = 8 * 2**30
NAME = "*.frames.zip"
TYPES = (np.dtype(np.uint8), np.dtype("<u2"), np.dtype("<i4"))
BROKEN = (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError)
logger = logging.getLogger(__name__)


def pays(clips: ClipDataset) -> bool:
    """Whether the frames, a byte a count, are smaller than the events they are made of: else reading them costs as much as
    binning does. Measured: 32x32 cells six times the samples a second, 128x128 no more than 1.8 times and half a disk.
    """
    archive = clips.archive
    spans = {name: archive.span_us(name) for name in {segment.recording for segment in clips.segments}}
    lasted_us = sum(last + 1 - first for first, last in spans.values())
    events = sum(map(archive.count, spans)) / max(1, lasted_us) * clips.clip_us
    return int(np.prod(clips.frames_shape)) <= EVENT_BYTES * events


def cached(clips: ClipDataset, folder: Path, budget_bytes: int = BUDGET_BYTES) -> Dataset:
    """The same clips out of a file of `folder`, made now if it is not there; the clips themselves where it cannot be made.

    The folder's files together stay within the budget; those not used for longest go first. Raises DatasetError for clips
    that change from epoch to epoch.
    """
    if not clips.fixed:
        raise DatasetError("clips with random starts, labels of every bin or augmentation cannot be cached.")
    path = folder / f"{_short_hash(clips.made_of())}.frames.zip"
    try:
        if not path.is_file():
            _make(path, clips, budget_bytes)
        kept = CachedClips(path, clips, budget_bytes)
        clips.hold_nothing()
        return kept
    except (DvspipeError, *BROKEN) as error:
        logger.warning("%s: frames are not cached, but binned every time: %s", path, error)
        return clips


class CachedClips(Dataset):
    """Items of `clips`, read from their file: (frames [T,2,H,W] of a small unsigned type, label). May be pickled."""

    def __init__(self, path: Path, clips: ClipDataset, budget_bytes: int = BUDGET_BYTES) -> None:
        self.path, self.clips, self.budget_bytes = path, clips, budget_bytes
        self._file: zipfile.ZipFile | None = None
        self._owner = 0
        try:
            if len(self._opened_here().namelist()) != len(clips):
                raise zipfile.BadZipFile("not all clips")
        except BROKEN as error:
            self._make_again(error)
            self._opened_here()
        os.utime(path)  # the order in which files go when room is needed

    def __len__(self) -> int:
        return len(self.clips)

    def set_epoch(self, epoch: int) -> None:
        """Nothing changes."""

    def __getitem__(self, index: int) -> tuple[NDArray[Any], int]:
        index = range(len(self))[index]
        try:
            data = self._opened_here().read(str(index))
            return _unpacked(data, self.clips.frames_shape), self.clips.label(index)
        except BROKEN as error:
            self._make_again(error)
            return self.clips[index]  # type: ignore[return-value]

    def _make_again(self, error: Exception) -> None:
        logger.warning("%s: damaged (%s); it is made again.", self.path, error)
        self._file = None
        self.path.unlink(missing_ok=True)
        try:
            _make(self.path, self.clips, self.budget_bytes)
        except (DvspipeError, *BROKEN) as refusal:
            logger.warning("%s: frames are not cached, but binned every time: %s", self.path, refusal)

    def _opened_here(self) -> zipfile.ZipFile:
        """Opened by this process: processes that share a handle share where it stands."""
        if self._file is None or self._owner != os.getpid():
            self._file, self._owner = zipfile.ZipFile(self.path), os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}


def packed(frames: NDArray[np.int32]) -> bytes:
    """Counts in the smallest of uint8, uint16 and int32 that holds all of them; the length tells which."""
    most = int(frames.max(initial=0))
    kind = next(kind for kind in TYPES if most <= np.iinfo(kind).max)
    return frames.astype(kind).tobytes()


def _unpacked(data: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    size, left = divmod(len(data), int(np.prod(shape)))
    kind = next((kind for kind in TYPES if kind.itemsize == size and not left), None)
    if kind is None:
        raise ValueError(f"{len(data)} bytes for a clip of shape {shape}")
    return np.frombuffer(data, kind).reshape(shape)


def _make(path: Path, clips: ClipDataset, budget_bytes: int) -> None:
    """Bins every clip into `path`. Raises DatasetError where that would break the budget or the disk refuses."""
    least = len(clips) * int(np.prod(clips.frames_shape))
    make_folder(path.parent, DatasetError)
    if least > budget_bytes:
        raise DatasetError(f"{least / 2**30:.3g} GiB are over the budget of {budget_bytes / 2**30:.3g} GiB")
    room = budget_bytes - _make_room(path, budget_bytes - least)
    with replacing(path, DatasetError) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as file:
        for index in range(len(clips)):
            frames, _ = clips[index]
            file.writestr(zipfile.ZipInfo(str(index)), packed(frames))
            if file.fp is not None and file.fp.tell() > room:
                raise DatasetError(f"over the budget of {budget_bytes / 2**30:.3g} GiB")
        if Archive(clips.archive.path).identity() != clips.archive.identity():
            raise DatasetError(f"{clips.archive.path} was written anew in the meantime")


def _make_room(path: Path, left_bytes: int) -> int:
    """Removes the other files not used for longest until they take at most `left_bytes`; returns what they take."""
    others = sorted((each for each in path.parent.glob(NAME) if each != path), key=lambda each: each.stat().st_mtime)
    sizes = [each.stat().st_size for each in others]
    taken = sum(sizes)
    for each, size in zip(others, sizes):
        if taken <= left_bytes:
            break
        each.unlink(missing_ok=True)
        taken -= size
    return taken


def _short_hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
