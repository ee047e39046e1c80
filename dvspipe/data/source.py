"""What every dataset folder becomes: labelled recordings, and what was noticed while looking at them.

The border between the layouts people download and the archive that is trained on. Knows no layout and no dataset.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dvspipe.errors import DatasetError
from dvspipe.events import Events
from dvspipe.recordings.archive import Segment


class LabelledRecording(NamedTuple):
    """One recording of a dataset: its events, read when iterated, and its labelled windows."""

    name: str
    chunks: Iterable[Events]
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class LabelledFolder:
    """A dataset folder that was looked through. `notes` are oddities that were handled; they stop nothing."""

    path: Path
    layout: str
    recordings: list[LabelledRecording]
    notes: list[str] = field(default_factory=list)

    @property
    def segments(self) -> list[Segment]:
        """Every labelled window."""
        return [segment for recording in self.recordings for segment in recording.segments]

    def totals(self) -> dict[str, int]:
        """Labelled windows per split."""
        return dict(Counter(segment.split for segment in self.segments))


def counts(segments: Sequence[Segment], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Labelled windows per split and class, every class named."""
    splits = sorted({segment.split for segment in segments}, reverse=True)
    return {split: count_classes([each for each in segments if each.split == split], classes) for split in splits}


def count_classes(segments: Sequence[Segment], classes: Sequence[str]) -> dict[str, int]:
    """Labelled windows per class, every class named."""
    found = Counter(segment.label for segment in segments)
    return {name: found[label] for label, name in enumerate(classes)}


def settle(folder: LabelledFolder, faults: Sequence[str], help_text: str, partial: bool) -> LabelledFolder:
    """The folder when it has no fault; with `partial`, faults become notes as long as a recording is left.

    Raises DatasetError with every fault at once and what to do.
    """
    if faults and not (partial and folder.recordings):
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise DatasetError("\n".join([f"{folder.path}: {count}", *(f"  - {fault}" for fault in faults), help_text]))
    folder.notes.extend(faults)
    return folder


def verify_md5(folders: Iterable[Path], known: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Checks the named files where they are present in one of the folders: ({file: "ok"}, faults)."""
    verified: dict[str, str] = {}
    faults: list[str] = []
    for path in (folder / name for folder in folders for name in known):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found == known[path.name]:
            verified[path.name] = "ok"
        else:
            faults.append(f"{path}: md5 {found}, expected {known[path.name]}: download it again")
    return verified, faults
