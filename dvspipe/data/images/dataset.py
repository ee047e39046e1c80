"""`ImageDataset`: images of a set -> items for torch's DataLoader, all of one size, values in [0,1] or normalised.

An item depends on (seed, epoch, index) alone, so that a run repeats whatever the number of workers. Random draws come
from torch's global generator, seeded for the call and put back after it: not from several threads of one process.
Knows nothing about encoders: the code of an image over T steps is made behind this.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from dvspipe.data.images.augment import ImageAugmentation
from dvspipe.data.images.image_set import ImageSet
from dvspipe.data.images.seeding import Key, seeded
from dvspipe.errors import DatasetError

Item = tuple[torch.Tensor, int]


class Batch(list[Item]):
    """Items, and the key (seed, epoch, first index) that everything drawn once for the whole batch depends on."""

    def __init__(self, items: Sequence[Item], key: Key) -> None:
        super().__init__(items)
        self.key = key


class ImageDataset(Dataset):
    """Items (float32 [C,H,W], label); item i is image `indices[i]` of a split (None: all of it).

    `size` (W,H) is what a network sees. An image is brought to it by `fit`, without augmentation and with it; only
    RandomCrop sees more (the shorter side resized, nothing cut) and RandomResizedCrop all (the image as it is).
    Augmentation acts on 8 bits, then values become [0,1], then RandomErasing and Cutout make holes of black, then
    `normalise` = (mean, std) per channel, None leaves [0,1]. Code that cuts out after normalising (DeVries, timm)
    fills holes with the mean colour instead; here a spike encoder, which takes [0,1], sees the same picture.
    """

    def __init__(
        self,
        images: ImageSet,
        split: str,
        indices: NDArray[np.int64] | None,
        size: tuple[int, int],
        resize: int | None = None,
        normalise: tuple[Sequence[float], Sequence[float]] | None = None,
        augment: ImageAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.images, self.split, self.size, self.resize = images, split, size, resize
        self.indices = np.arange(images.count(split)) if indices is None else np.asarray(indices)
        if not len(self.indices):
            raise DatasetError(f"{images.root}: no images of the {split} split to take.")
        self.labels = images.labels(split)[self.indices]
        self.augment, self.seed = augment, seed
        self._scale = None if normalise is None else tuple(torch.tensor(each)[:, None, None] for each in normalise)
        # Shared memory: workers that live on from epoch to epoch see the new number.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Call before iterating over an epoch: draws a new augmentation."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A batch at once, as torch's DataLoader asks for it; every item as if asked for alone."""
        epoch = int(self._epoch)
        places = [range(len(self))[index] for index in indices]
        return Batch([self._item(place, (self.seed, epoch, place)) for place in places], (self.seed, epoch, places[0]))

    def _item(self, place: int, key: Key) -> Item:
        image = self.images.read(self.split, int(self.indices[place]))
        if self.augment is None:
            values = to_values(fit(image, self.size, self.resize))
        else:
            with seeded("image", *key):
                image = self.augment.pixels(self._before(image, self.augment))
                values = self.augment.values(to_values(image))
        if self._scale is not None:
            values = values.sub_(self._scale[0]).div_(self._scale[1])
        return values, int(self.labels[place])

    def _before(self, image: torch.Tensor, augment: ImageAugmentation) -> torch.Tensor:
        """As much of the image as the augmentation's crop is to see."""
        if augment.crop == "RandomResizedCrop":
            return image
        return fit(image, self.size, self.resize, cut=augment.crop is None)


def fit(image: torch.Tensor, size: tuple[int, int], resize: int | None, cut: bool = True) -> torch.Tensor:
    """uint8 [C,h,w] -> [C,H,W] of `size` (W,H): the shorter side resized to `resize`, the middle taken (`cut`); without
    `resize` stretched to `size`, and untouched where it has it. Bilinear, antialiased.
    """
    from torchvision.transforms.v2 import functional

    height, width = image.shape[-2:]
    if resize is None:
        return image if (width, height) == size else functional.resize(image, [size[1], size[0]], antialias=True)
    if min(width, height) != resize:
        image = functional.resize(image, [resize], antialias=True)
    return functional.center_crop(image, [size[1], size[0]]) if cut else image


def to_values(image: torch.Tensor) -> torch.Tensor:
    """uint8 -> a float32 of its own in [0,1]."""
    return image.to(torch.float32).div_(255)
