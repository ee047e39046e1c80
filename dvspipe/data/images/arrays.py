"""Sets that come as arrays: CIFAR-10 and CIFAR-100 through torchvision, scikit-learn's digits.

torchvision reads pickles and only those whose MD5 it knows; it never downloads here. Digits are 0..16 in the library and
0..255 here, rounded. Knows nothing about files of single images.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.data.images.image_index import ImageCard, ImageIndex, is_numbered
from dvspipe.data.images.splits import hold_out
from dvspipe.errors import DatasetError


class Arrays(NamedTuple):
    """A whole set in memory: split -> (images uint8 [N,C,H,W], labels int64 [N]), and the classes' names."""

    root: str
    classes: list[str]
    splits: dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]


def load_arrays(card: ImageCard, folder: Path | None) -> Arrays:
    """The set of a card's kind, with the card's channels. Raises DatasetError where it is missing, damaged or has other
    classes than the card.
    """
    assert card.images is not None
    arrays = LOADERS[card.kind](card, folder)
    if (not is_numbered(card) and card.classes != arrays.classes) or len(card.classes) != len(arrays.classes):
        raise DatasetError(
            f"{card.title}: its classes are {', '.join(arrays.classes)} in this order; the card says"
            f" {', '.join(card.classes)}. Correct `classes` in the card; {len(arrays.classes)} takes them as they are."
        )
    splits = {
        split: (_channels(images, card.images.channels), labels) for split, (images, labels) in arrays.splits.items()
    }
    return arrays._replace(splits=splits)


def index_arrays(card: ImageCard, folder: Path | None) -> ImageIndex:
    """The index of a set of arrays: no files, only counts. Raises as `load_arrays`."""
    arrays = load_arrays(card, folder)
    digest, counts, pixels = hashlib.sha256(), {}, 0
    for split, (images, labels) in arrays.splits.items():
        digest.update(images.tobytes() + labels.tobytes() + split.encode())
        found = np.bincount(labels, minlength=len(arrays.classes))
        counts[split] = dict(zip(arrays.classes, found.tolist()))
        pixels += len(images) * images.shape[-1] * images.shape[-2]
    size = images.shape[-1], images.shape[-2]
    made = digest.hexdigest()[:12]
    return ImageIndex(card.kind, card.kind, arrays.root, arrays.classes, counts, size, pixels, made)


def _cifar(card: ImageCard, folder: Path | None) -> Arrays:
    """DIR, or its folder of batches itself."""
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    kind: Any = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[card.kind]
    if folder is None:
        raise DatasetError(f"{card.title}: give the folder that holds {kind.base_folder}/ with --from DIR.")
    root = folder.absolute().parent if folder.name == kind.base_folder else folder.absolute()
    held = root / kind.base_folder
    sums = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    wrong = [
        f"{name}: {'not as published (MD5)' if (held / name).is_file() else 'missing'}"
        for name, md5 in sums
        if not check_integrity(str(held / name), md5)
    ]
    if wrong:
        raise DatasetError(
            f"{held}: {'; '.join(wrong)}. Download {kind.url} and extract it in {root}, so that it holds"
            f" {kind.base_folder}/."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, about how the published pickles spell `align`
        parts = {split: kind(str(root), train=split == "train", download=False) for split in ("train", "test")}
    splits = {split: (_planes(part.data), np.asarray(part.targets, np.int64)) for split, part in parts.items()}
    return Arrays(str(root), list(parts["train"].classes), splits)


def _digits(card: ImageCard, folder: Path | None) -> Arrays:
    """The library has no test split: `test_share` of every digit tests."""
    from sklearn.datasets import load_digits

    assert card.images is not None
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    train, test = hold_out(labels, card.images.test_share, card.images.seed)
    splits = {"train": (images[train], labels[train]), "test": (images[test], labels[test])}
    return Arrays("scikit-learn", [str(name) for name in digits.target_names], splits)


def _planes(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[N,H,W,C] -> [N,C,H,W], in one piece."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _channels(images: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Grey repeated, or colours to grey as PIL does it (ITU-R 601)."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=1)
    red, green, blue = (images[:, each].astype(np.uint32) for each in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)[:, None]


LOADERS: dict[str, Callable[[ImageCard, Path | None], Arrays]] = {
    "cifar10": _cifar,
    "cifar100": _cifar,
    "digits": _digits,
}
