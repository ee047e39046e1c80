"""`ImageSet`: the images and labels of an index. Small sets are decoded once and stay in memory.

Knows no network size, no augmentation, no batch.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dvspipe.data.images.arrays import LOADERS, load_arrays
from dvspipe.data.images.decode import decode
from dvspipe.data.images.image_index import ImageCard, ImageIndex, check_is_of
from dvspipe.errors import DatasetError

KEPT_BYTES = 2**30  # decoded sets up to here stay in memory, once for all loader processes
KEPT_ALONE_BYTES = 2**27  # where images differ in size, each process would have its own


class Pixels(Protocol):
    """The images of one split."""

    def read(self, index: int) -> NDArray[np.uint8]:
        """[C,H,W] of an image."""
        ...


class ImageSet:
    """Images by split ("train", "test") and index; their order is that of the index, class after class.

    Made by `open_images`.
    """

    def __init__(self, index: ImageIndex, pixels: dict[str, Pixels], labels: dict[str, NDArray[np.int64]]) -> None:
        self.classes, self.fingerprint = index.classes, index.fingerprint
        self.root = index.root
        self._pixels, self._labels = pixels, labels

    def __len__(self) -> int:
        return sum(map(len, self._labels.values()))

    def count(self, split: str) -> int:
        """Images of a split."""
        return len(self._labels[split])

    def labels(self, split: str) -> NDArray[np.int64]:
        """[N]: the place of every image's class in `classes`."""
        return self._labels[split]

    def read(self, split: str, index: int) -> torch.Tensor:
        """uint8 [C,H,W] in the image's own size, not to be written into.

        Raises DatasetError, naming the file, when it cannot be read any more.
        """
        return torch.from_numpy(self._pixels[split].read(index))


def open_images(card: ImageCard, index: ImageIndex) -> ImageSet:
    """The set of an index. Raises DatasetError when the index is of another card, or arrays are not what was indexed."""
    check_is_of(index, card)
    assert card.images is not None
    if card.kind in LOADERS:
        arrays = load_arrays(card, Path(index.root))
        pixels: dict[str, Pixels] = {split: InArray(images) for split, (images, _) in arrays.splits.items()}
        return ImageSet(index, pixels, {split: labels for split, (_, labels) in arrays.splits.items()})
    channels = card.images.channels
    is_small = index.pixels * channels <= (KEPT_BYTES if index.size else KEPT_ALONE_BYTES)
    pixels, labels = {}, {}
    for split, classes in index.files.items():
        names = [name for held in classes.values() for name in held]
        pixels[split] = InFiles(Path(index.root), names, channels, index.size, is_small)
        labels[split] = np.repeat(np.arange(len(index.classes)), [len(classes[name]) for name in index.classes])
    return ImageSet(index, pixels, labels)


class InArray:
    """Images that lie in one array uint8 [N,C,H,W]."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.images = images

    def read(self, index: int) -> NDArray[np.uint8]:
        """[C,H,W] of an image."""
        return self.images[index]


class InFiles:
    """Images in files, decoded when they are asked for, and with `keep` only once: all of one `size` (W, H) in memory
    that loader processes share with their parent, others in each process of its own.
    """

    def __init__(
        self, root: Path, names: list[str], channels: int, size: tuple[int, int] | None, keep: bool = False
    ) -> None:
        self.root, self.names, self.channels = root, Names(names), channels
        self._kept: dict[int, NDArray[np.uint8]] | None = {} if keep and size is None else None
        self._shared = Shared(len(names), (channels, size[1], size[0])) if keep and size else None

    def read(self, index: int) -> NDArray[np.uint8]:
        """[C,H,W] of an image. Raises DatasetError when its file cannot be read or has changed."""
        if self._shared is not None:
            if not self._shared.known[index]:
                self._shared.hold(index, self._decode(index))
            return self._shared.images[index]
        if self._kept is None:
            return self._decode(index)
        if index not in self._kept:
            self._kept[index] = self._decode(index)
        return self._kept[index]

    def _decode(self, index: int) -> NDArray[np.uint8]:
        path = self.root / self.names[index]
        try:
            with Image.open(path) as image:
                pixels = decode(image, self.channels)
            if self._shared is not None and pixels.shape != self._shared.images.shape[1:]:
                raise ValueError(f"it is now of {pixels.shape[2]}x{pixels.shape[1]} pixels")
        except Exception as error:  # a decoder may raise anything on a broken file
            raise DatasetError(
                f"{path}: it could be read when the set was prepared, now it cannot ({error or type(error).__name__})."
                " Nothing of the run is lost: put the file back and continue with dvspipe train ... --resume."
            ) from error
        return pixels


class Names(Sequence[str]):
    """Strings side by side in one piece of memory. A list of a million would be a million objects, whose counters every
    loader process writes to when it looks at one, so that each came to hold a copy of all.
    """

    def __init__(self, names: Iterable[str]) -> None:
        coded = [os.fsencode(name) for name in names]
        self._bytes = b"".join(coded)
        self._ends = np.cumsum([len(each) for each in coded], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        start = int(self._ends[place - 1]) if place else 0
        return os.fsdecode(self._bytes[start : int(self._ends[place])])


class Shared:
    """Room for N images of one shape [C,H,W]. Anonymous memory that forked processes share: it needs no room in
    /dev/shm, which containers keep small. Pages cost memory only once written. A pickled copy starts empty.
    """

    def __init__(self, count: int, shape: tuple[int, int, int]) -> None:
        self._made = count, shape
        self.images: NDArray[np.uint8] = _shared(count * math.prod(shape)).reshape(count, *shape)
        self.known = _shared(count)

    def __reduce__(self) -> tuple[type[Shared], tuple[int, tuple[int, int, int]]]:
        return Shared, self._made

    def hold(self, index: int, pixels: NDArray[np.uint8]) -> None:
        """Pixels first, then the mark: another process never sees half an image."""
        self.images[index] = pixels
        self.known[index] = 1


def _shared(size: int) -> NDArray[np.uint8]:
    return np.frombuffer(mmap.mmap(-1, max(size, 1)), np.uint8)[:size]
