"""Labels of ImageNet's flat validation folder, from whatever lies beside it.

Tried in this order, in DIR, beside val/ and in it: torchvision's meta.bin; the development kit, extracted or as
.tar.gz; any .txt or .csv that names every image with a wnid (n01751748) or a label (0..999, in the order of the wnids), or
holds one wnid per image in the order of their names. Knows nothing about images.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import IO

from dvspipe.errors import DatasetError

DEVKIT = "ILSVRC2012_devkit_t12"
META, TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
SOURCES = (
    f"Put one of these into DIR: {DEVKIT}.tar.gz (from image-net.org), torchvision's meta.bin, Kaggle's"
    " LOC_val_solution.csv, or a text file with a line 'ILSVRC2012_val_00000001.JPEG n01751748' (or a label 0..999, in"
    " the order of the wnids) per image."
)
WNID, NUMBER = re.compile(r"n\d{8}"), re.compile(r"\d{1,4}")


def labels_of(names: list[str], folders: Sequence[Path], wnids: list[str]) -> tuple[dict[str, str], str]:
    """({image: wnid}, the file it is from); empty when there is nothing. `names` and `wnids` are sorted.

    Raises DatasetError where a file of labels is there that cannot be read, or is of another number of images.
    """
    for folder in dict.fromkeys(folders):
        for file, read in _in_order(folder):
            if labels := read(file, names, wnids):
                return labels, file.name
    return {}, ""


Read = Callable[[Path, list[str], list[str]], dict[str, str]]


def _in_order(folder: Path) -> list[tuple[Path, Read]]:
    texts = sorted(path for path in folder.iterdir() if path.suffix in (".txt", ".csv"))
    known: list[tuple[Path, Read]] = [
        (folder / "meta.bin", _from_torchvision),
        (folder / DEVKIT, _from_devkit),
        (folder / f"{DEVKIT}.tar.gz", _from_devkit),
        *((path, _from_text) for path in texts),
    ]
    return [(path, read) for path, read in known if path.exists()]


def _from_torchvision(path: Path, names: list[str], wnids: list[str]) -> dict[str, str]:
    from torchvision.datasets.imagenet import load_meta_file

    try:
        _, in_order = load_meta_file(path.parent)
    except (RuntimeError, ValueError, OSError, EOFError, UnpicklingError) as error:
        raise DatasetError(
            f"{path}: cannot be read as torchvision's meta file ({error}). Remove it. {SOURCES}"
        ) from error
    return _numbered(names, list(in_order), path)


def _from_devkit(path: Path, names: list[str], wnids: list[str]) -> dict[str, str]:
    """The kit's own numbers (1..1000) are not the alphabetical order: meta.mat says which wnid each is."""
    from scipy.io import loadmat

    try:
        if path.is_dir():
            with (path / META).open("rb") as meta, (path / TRUTH).open("rb") as truth:
                synsets, numbers = loadmat(meta, squeeze_me=True)["synsets"], truth.read().split()
        else:
            with tarfile.open(path) as kit:
                synsets = loadmat(_member(kit, META), squeeze_me=True)["synsets"]
                numbers = _member(kit, TRUTH).read().split()
        wnid_of = {int(each["ILSVRC2012_ID"]): str(each["WNID"]) for each in synsets}
        in_order = [wnid_of[int(number)] for number in numbers]
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise DatasetError(
            f"{path}: cannot be read as ImageNet's development kit ({error}). Extract it again."
        ) from error
    return _numbered(names, in_order, path)


def _member(kit: tarfile.TarFile, name: str) -> IO[bytes]:
    file = kit.extractfile(f"{DEVKIT}/{name}")
    assert file is not None  # extractfile raises KeyError for a missing one; None is a folder
    return file


def _numbered(names: list[str], in_order: list[str], path: Path) -> dict[str, str]:
    """The number in ILSVRC2012_val_00000001.JPEG counts, so that a part of the images keeps its labels."""
    numbers = [int(found[-1]) - 1 if (found := re.findall(r"\d+", Path(name).stem)) else -1 for name in names]
    if not all(0 <= number < len(in_order) for number in numbers):
        if len(names) != len(in_order):
            raise DatasetError(f"{path}: labels of {len(in_order):,} images, val/ holds {len(names):,}. {SOURCES}")
        numbers = list(range(len(names)))
    return {name: in_order[number] for name, number in zip(names, numbers)}


def _from_text(path: Path, names: list[str], wnids: list[str]) -> dict[str, str]:
    """Empty when it is some other text."""
    stems = {Path(name).stem: name for name in names}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [re.split(r"[\s,;]+", line.strip()) for line in lines if line.strip()]
    if rows and all(len(row) == 1 and WNID.fullmatch(row[0]) for row in rows):
        return _numbered(names, [row[0] for row in rows], path)
    found: dict[str, str] = {}
    for image, label, *_ in (row for row in rows if len(row) > 1):
        name = stems.get(Path(image).stem)
        if name and WNID.fullmatch(label):
            found[name] = label
        elif name and NUMBER.fullmatch(label) and int(label) < len(wnids):
            found[name] = wnids[int(label)]
    return found
