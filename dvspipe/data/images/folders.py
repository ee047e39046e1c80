"""Own images: DIR/train/<class>/... and DIR/test/<class>/..., or DIR/<class>/... not split yet.

Reads names only. Below a class's folder everything counts, as in torchvision's ImageFolder. Knows nothing about pixels.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvspipe.data.images.image_index import WHOLE, Found, ImageCard, is_numbered
from dvspipe.errors import DatasetError

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
TEST_FOLDERS = ("test", "val", "valid", "validation")
HELP = (
    "Expected is DIR/train/<class>/<image> and DIR/test/<class>/<image>, or DIR/<class>/<image>, of which the card's"
    " test_share tests. --partial leaves out what cannot be used."
)


def find_folder(root: Path, card: ImageCard) -> Found:
    """The images of a folder by split and class, in the order of their names; not split where DIR has no train/.
    Raises DatasetError where train/ has no test/ beside it.
    """
    found = Found("folder", [], {}, [], [], HELP)
    if not folders_in(root / "train"):
        return with_classes(found._replace(files={WHOLE: images_by_class(root, root, found)}), card)
    there = [name for name in TEST_FOLDERS if folders_in(root / name)]
    if not there:
        raise DatasetError(f"{root}: train/ is there, but none of {', '.join(TEST_FOLDERS)} with class folders. {HELP}")
    if there[0] != "test":
        found.notes.append(f"{there[0]}/ is taken as the test split")
    found.notes.extend(f"{name}/ is left out: what validates is held out of train/" for name in there[1:])
    for split, name in (("train", "train"), ("test", there[0])):
        found.files[split] = images_by_class(root / name, root, found)
    return with_classes(found, card)


def with_classes(found: Found, card: ImageCard) -> Found:
    """Only the card's classes, in its order; folders too many or missing become faults."""
    classes = class_names(card, sorted(next(iter(found.files.values()))))
    for split, held in found.files.items():
        prefix = "" if split == WHOLE else f"{split}/"
        found.faults.extend(
            f"{prefix}{name}/: no such folder, the card names the class" for name in classes if name not in held
        )
        found.faults.extend(f"{prefix}{name}/: the card names no such class" for name in held if name not in classes)
    files = {split: {name: held[name] for name in classes if name in held} for split, held in found.files.items()}
    return found._replace(classes=classes, files=files)


def class_names(card: ImageCard, folders: list[str]) -> list[str]:
    """The card's names, or the folders' in alphabetical order where the card only says how many.

    Raises DatasetError when that number is not the folders': every label behind the missing one would be another.
    """
    if not is_numbered(card):
        return card.classes
    if len(folders) != len(card.classes):
        raise DatasetError(
            f"{card.title}: {len(folders)} class folders ({', '.join(folders[:3]) or 'none'}{', ...' * (len(folders) > 3)}),"
            f" the card says {len(card.classes)}. Labels are the folders' places in alphabetical order, so all must be"
            " there: complete the folders, or correct `classes` in the card."
        )
    return folders


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, in alphabetical order; hidden ones left out; empty when there is none."""
    if not folder.is_dir():
        return []
    return sorted(each.name for each in os.scandir(folder) if each.is_dir() and not each.name.startswith("."))


def images_by_class(folder: Path, root: Path, found: Found) -> dict[str, list[str]]:
    """class folder -> names of its images relative to `root`, sorted. Images beside the class folders are faults, files
    that are no images are counted in a note.
    """
    others: list[str] = []
    loose = sorted(path for path in folder.iterdir() if is_image(path.name) and path.is_file())
    found.faults.extend(f"{path.relative_to(root).as_posix()}: lies in no class folder" for path in loose)
    classes = {name: _images(folder / name, root, others) for name in folders_in(folder)}
    if others:
        where = folder.relative_to(root).as_posix()
        found.notes.append(f"{where}: {len(others):,} files that are no images left out (first {others[0]})")
    return classes


def is_image(name: str) -> bool:
    """By its ending; hidden files are none."""
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def _images(folder: Path, root: Path, others: list[str]) -> list[str]:
    names: list[str] = []
    for where, _, files in os.walk(folder, followlinks=True):
        prefix = Path(where).relative_to(root).as_posix()
        names += [f"{prefix}/{name}" for name in files if is_image(name)]
        others += [f"{prefix}/{name}" for name in files if not is_image(name) and not name.startswith(".")]
    others.sort()
    return sorted(names)
