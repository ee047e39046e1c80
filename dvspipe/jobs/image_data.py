"""Static images as a recipe wants them: an index of what lies where, splits, augmentation, normalisation."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from dvspipe.data.images.augment import ImageAugmentation
from dvspipe.data.images.dataset import ImageDataset
from dvspipe.data.images.image_set import open_images
from dvspipe.data.images.index import ImageIndex, index_images
from dvspipe.data.images.mix import image_collate
from dvspipe.data.images.splits import hold_out, subset
from dvspipe.encoders.choice import ENCODERS
from dvspipe.errors import DatasetError, UsageError
from dvspipe.jobs.archives import index_path
from dvspipe.jobs.training import Training
from dvspipe.recipes import Card, EncoderSettings, Recipe


class ImageData:
    """Batches are (images [B,C,H,W] float32, label [B], or [B,K] where augmentation mixes two)."""

    def __init__(self, recipe: Recipe, card: Card) -> None:
        assert recipe.encoder is not None and card.images is not None  # `open_data` has looked
        self.recipe, self.encoder, self.card, self.table = recipe, recipe.encoder, card, card.images
        self.path = index_path(recipe.dataset)
        self.images = open_images(card, find_index(recipe.dataset, card))
        self.classes, self.sensor_size = self.images.classes, card.sensor_size
        self.channels, self.fingerprint = card.images.channels, self.images.fingerprint

    def training(self) -> Training:
        """Raises DatasetError where a split would be empty, RecipeError for transforms that there are not."""
        settings = self.recipe.train
        labels = self.images.labels("train")
        if settings.protocol == "published":
            kept, held = np.arange(len(labels)), None
        else:
            if settings.val_share is None:
                raise DatasetError(
                    f"{self.card.title}: images have no subjects to hold out; set train.val_share = 0.1 instead of "
                    "val_subjects"
                )
            kept, held = hold_out(labels, settings.val_share, settings.seed)
        if settings.per_class is not None:
            kept = kept[subset(labels[kept], settings.per_class, settings.seed)]
        augment = ImageAugmentation(self.recipe.augment.transforms, self.sensor_size, self.channels)
        training = self._dataset("train", kept, augment)
        validation = self._dataset("test", None) if held is None else self._dataset("train", held)
        mix = partial(image_collate, mix=augment.mix(len(self.classes)) if self.recipe.augment.mix else None)
        counts = {"train": len(training), "val": len(validation), "test": self.images.count("test")}
        common: dict[str, Any] = {"batch_size": settings.batch, "num_workers": settings.workers}
        return Training(
            # A last batch of one image has no variance to normalise by.
            DataLoader(training, shuffle=True, collate_fn=mix, drop_last=len(training) > settings.batch, **common),
            DataLoader(validation, collate_fn=image_collate, **common),
            counts,
            [],
        )

    def testing(self) -> DataLoader:
        """In the index's order."""
        settings = self.recipe.train
        return DataLoader(
            self._dataset("test", None),
            batch_size=settings.batch,
            num_workers=settings.workers,
            collate_fn=image_collate,
        )

    def _dataset(self, split: str, indices: Any, augment: ImageAugmentation | None = None) -> ImageDataset:
        return ImageDataset(
            self.images,
            split,
            indices,
            self.sensor_size,
            self.table.resize,
            normalise=(self.table.mean, self.table.std) if normalises(self.encoder) else None,
            augment=augment,
            seed=self.recipe.train.seed,
        )


def normalises(settings: EncoderSettings) -> bool:
    """Whether a card's mean and std are applied. Raises UsageError where the encoder takes no such values."""
    asked, kind = settings.normalise, ENCODERS[settings.name]
    if asked and kind.unit:
        takes = ", ".join(name for name, each in ENCODERS.items() if not each.unit)
        raise UsageError(
            f"encoder '{kind.name}' takes pixel values in [0,1], encoder.normalise = true would give others: leave it "
            f"out, or use an encoder that takes normalised images ({takes})"
        )
    return not kind.unit if asked is None else asked


def find_index(name: str, card: Card) -> ImageIndex:
    """The index that `prepare` wrote; digits need none. Raises DatasetError that says how to get a set."""
    if card.kind == "digits":
        return index_images(card, None)
    path = index_path(name)
    if not path.is_file():
        sources = "\n".join(f"  {each}" for each in card.source)
        raise DatasetError(
            f"{card.title} is not prepared here ({path} does not exist). Get it ({card.licence}) from\n{sources}\n"
            f"and run: dvspipe prepare {name} --from FOLDER. Images stay where they are."
        )
    return ImageIndex.from_json(path.read_text(encoding="utf-8"), str(path))
