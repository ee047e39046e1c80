"""ImageNet (ILSVRC 2012) as people have it: train/<wnid>/*.JPEG, and val/<wnid>/*.JPEG or val/*.JPEG with labels beside.

DIR, or where Kaggle's archive puts it: DIR/ILSVRC/Data/CLS-LOC. The labels of a flat val/ are looked for in `val_labels`.
Reads names only. Knows nothing about pixels.
"""

from __future__ import annotations

from pathlib import Path

from dvspipe.data.images.folders import folders_in, images_by_class, is_image, with_classes
from dvspipe.data.images.image_index import Found, ImageCard
from dvspipe.data.images.val_labels import SOURCES, labels_of
from dvspipe.errors import DatasetError

KAGGLE = "ILSVRC/Data/CLS-LOC"
HELP = (
    "Expected is DIR/train/<wnid>/*.JPEG (ILSVRC2012_img_train.tar and the tar files in it, extracted) and"
    " DIR/val/<wnid>/*.JPEG, or DIR/val/*.JPEG (ILSVRC2012_img_val.tar) with its labels beside it."
)


def find_imagenet(root: Path, card: ImageCard) -> Found:
    """Training images, and the validation images as the test split. Raises DatasetError where a folder or the labels of
    a flat val/ are missing, and says what they may be.
    """
    base = next((each for each in (root, root / KAGGLE, root / "Data/CLS-LOC") if (each / "train").is_dir()), root)
    for name in ("train", "val"):
        if not (base / name).is_dir():
            raise DatasetError(f"{base / name}: no such folder. {HELP}")
    found = Found("imagenet", [], {}, [], [], HELP)
    found.files["train"] = images_by_class(base / "train", root, found)
    found.files["test"] = (
        images_by_class(base / "val", root, found)
        if folders_in(base / "val")
        else _flat(base / "val", root, list(found.files["train"]), found)
    )
    return with_classes(found, card)


def _flat(val: Path, root: Path, wnids: list[str], found: Found) -> dict[str, list[str]]:
    names = sorted(path.name for path in val.iterdir() if is_image(path.name))
    if not names:
        raise DatasetError(f"{val}: no image in it. {HELP}")
    labels, source = labels_of(names, [root, val.parent, val], sorted(wnids))
    if not labels:
        raise DatasetError(f"{val}: {len(names):,} images without folders, and no labels beside them. {SOURCES}")
    found.notes.append(f"labels of {val.relative_to(root).as_posix()}/ from {source}")
    prefix = val.relative_to(root).as_posix()
    by_class: dict[str, list[str]] = {wnid: [] for wnid in wnids}
    for name in names:
        if name in labels:
            by_class.setdefault(labels[name], []).append(f"{prefix}/{name}")
        else:
            found.faults.append(f"{prefix}/{name}: {source} has no label for it")
    return by_class
