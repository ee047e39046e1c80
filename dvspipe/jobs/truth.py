"""The true labels of an uncut recording, where it has any: `<name>_labels.csv` beside it, or its archive's segments."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dvspipe.errors import DvspipeError
from dvspipe.recordings.archive import Archive, is_archive
from dvspipe.recordings.labels import read_labels


class Label(NamedTuple):
    """A labelled window, sensor time in µs."""

    name: str
    start_us: int
    stop_us: int


def labels_of(source: Path, classes: list[str]) -> list[Label]:
    """Labelled windows of a recording in order of time; empty where it has none, or where they cannot be read."""
    file, _, name = str(source).partition("#")
    try:
        found = _from_csv(source, classes) or _from_archive(Path(file), name)
    except DvspipeError:
        return []  # playing does not need them
    return sorted(found, key=lambda label: label.start_us)


def _from_csv(source: Path, classes: list[str]) -> list[Label]:
    beside = source.with_name(f"{source.stem}_labels.csv")
    rows = read_labels(beside) if beside.is_file() else []
    return [Label(classes[index], start, stop) for index, start, stop in rows if index < len(classes)]


def _from_archive(file: Path, name: str) -> list[Label]:
    if not file.is_file() or not is_hdf5(file) or not is_archive(file):
        return []
    with Archive(file) as archive:
        chosen = name or archive.recordings[0]
        segments = [segment for segment in archive.segments if segment.recording == chosen]
        return [Label(archive.classes[segment.label], segment.start_us, segment.stop_us) for segment in segments]


def is_hdf5(file: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    with file.open("rb") as opened:
        return opened.read(8) == b"\x89HDF\r\n\x1a\n"
