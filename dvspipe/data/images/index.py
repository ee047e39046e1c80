"""`index_images`: a folder people have -> an index, every image looked at once, all faults told at once.

What a folder may look like is `folders`, `imagenet` and `arrays`; what makes an image unusable is `looking`.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dvspipe.data.images.arrays import LOADERS, index_arrays
from dvspipe.data.images.folders import find_folder
from dvspipe.data.images.image_index import WHOLE, Files, Found, ImageCard, ImageTable, Report
from dvspipe.data.images.image_index import ImageIndex as ImageIndex
from dvspipe.data.images.imagenet import find_imagenet
from dvspipe.data.images.looking import look
from dvspipe.data.images.splits import held_names
from dvspipe.errors import DatasetError

TOLD = 20  # faults that are named; of the others their number
FINDERS = {"image-folder": find_folder, "imagenet": find_imagenet}
NEEDED = {
    "train": (2, "two, one to train and one to validate"),
    "test": (1, "one"),
    WHOLE: (3, "three: to train, to validate and to test"),
}


def index_images(
    card: ImageCard,
    folder: Path | None,
    partial: bool = False,
    report: Report = lambda done, total, note: None,
) -> ImageIndex:
    """Looks a folder through and at every image in it; `folder` may be None for digits, which need none.

    With `partial`, images that cannot be used are left out with a note each. Raises DatasetError with all faults at
    once (the first 20 named) and what to do.
    """
    if card.kind in LOADERS and card.images is not None:
        return index_arrays(card, folder)
    if card.kind not in FINDERS or card.images is None:
        known = ", ".join([*LOADERS, *FINDERS])
        raise DatasetError(f"{card.title}: kind '{card.kind}' is no image set. Known kinds: {known}.")
    if folder is None or not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder. Give the one that holds {card.title} with --from DIR.")
    root = folder.absolute()
    return _looked_through(card, root, FINDERS[card.kind](root, card), partial, report)


def _looked_through(card: ImageCard, root: Path, found: Found, partial: bool, report: Report) -> ImageIndex:
    assert card.images is not None
    labels = {name: number for number, name in enumerate(found.classes)}
    names = [name for classes in found.files.values() for each in classes.values() for name in each]
    seen = look(root, names, card.images.channels, report)
    files = {
        split: {each: [name for name in classes.get(each, []) if name not in seen.faults] for each in labels}
        for split, classes in found.files.items()
    }
    faults = found.faults + _missing(card, found) + list(seen.faults.values()) + _too_few(found.files, files)
    files = _split(files[WHOLE], card.images) if WHOLE in files else files
    rows = sorted(
        (name, seen.bytes[name], split, labels[each])
        for split, classes in files.items()
        for each, held in classes.items()
        for name in held
    )
    if faults and not (partial and all(any(each.values()) for each in files.values())):
        raise DatasetError(_all_at_once(root, faults, found.help_text))
    return ImageIndex(
        card.kind,
        found.layout,
        str(root),
        found.classes,
        {split: {each: len(held) for each, held in classes.items()} for split, classes in files.items()},
        seen.size,
        seen.pixels,
        hashlib.sha256(os.fsencode(repr(rows))).hexdigest()[:12],
        files,
        found.notes + seen.notes(card.sensor_size, card.images.resize) + faults,
    )


def _missing(card: ImageCard, found: Found) -> list[str]:
    """Splits of another size than published."""
    sizes = {split: sum(map(len, classes.values())) for split, classes in found.files.items()}
    expected = card.counts.get(found.layout, {})
    return [
        f"{split}: {sizes[split]:,} images, published are {count:,}: not extracted to the end?"
        for split, count in expected.items()
        if split in sizes and sizes[split] != count
    ]


def _too_few(before: Files, after: Files) -> list[str]:
    """Classes with too few images to use; those without a folder have been told already."""
    return [
        f"{'' if split == WHOLE else split + ', '}class {name}: {len(held)} usable images, needed are at least"
        f" {NEEDED[split][1]}. Add images, or drop the class from the card"
        for split, classes in after.items()
        for name, held in classes.items()
        if len(held) < NEEDED[split][0] and name in before[split]
    ]


def _split(classes: dict[str, list[str]], table: ImageTable) -> Files:
    """After looking, so that what is left out takes no class's test images away."""
    tests = {each: held_names(names, table.test_share, table.seed) for each, names in classes.items()}
    train = {each: [name for name in names if name not in tests[each]] for each, names in classes.items()}
    return {"train": train, "test": {each: sorted(names) for each, names in tests.items()}}


def _all_at_once(root: Path, faults: list[str], help_text: str) -> str:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    more = [f"  - and {len(faults) - TOLD:,} more"] if len(faults) > TOLD else []
    return "\n".join([f"{root}: {count}", *(f"  - {fault}" for fault in faults[:TOLD]), *more, help_text])
