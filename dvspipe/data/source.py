"""What every dataset folder becomes: labelled recordings, and what was noticed while looking at them.

The border between the layouts people download and the archive that is trained on. Knows no layout and no dataset.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from dvspipe.errors import DatasetError
from dvspipe.events import Events
from dvspipe.recordings.archive import Segment


class TonicTable(Protocol):
    """[tonic] of a card: `test_share` of every class's files, the last ones, where tonic gives no split."""

    @property
    def name(self) -> str: ...
    @property
    def test_share(self) -> float | None: ...


class FolderTable(Protocol):
    """[folder] of a card. `window_ms` None: a recording is one window."""

    @property
    def window_ms(self) -> float | None: ...
    @property
    def split(self) -> str: ...
    @property
    def test_share(self) -> float: ...
    @property
    def seed(self) -> int: ...


class Card(Protocol):
    """What is read of a dataset card. `kind` chooses the reader of the folder; `counts` holds labelled windows
    per split for every layout whose size was published.
    """

    @property
    def title(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def sensor_size(self) -> tuple[int, int]: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def md5(self) -> dict[str, str]: ...
    @property
    def counts(self) -> dict[str, dict[str, int]]: ...
    @property
    def tonic(self) -> TonicTable | None: ...
    @property
    def folder(self) -> FolderTable | None: ...


class LabelledRecording(NamedTuple):
    """One recording of a dataset: its events, read when iterated, and its labelled windows."""

    name: str
    chunks: Iterable[Events]
    segments: list[Segment]


class Source(Protocol):
    """What an archive is made of. Recordings are asked for once, in order: they may be read only then."""

    @property
    def path(self) -> Path: ...
    @property
    def layout(self) -> str: ...
    @property
    def recordings(self) -> Collection[LabelledRecording]: ...
    @property
    def notes(self) -> list[str]: ...


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
        return totals(self.segments)


AnySource = TypeVar("AnySource", bound=Source)


def totals(segments: Iterable[Segment]) -> dict[str, int]:
    """Labelled windows per split."""
    return dict(Counter(segment.split for segment in segments))


def counts(segments: Sequence[Segment], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Labelled windows per split and class, every class named."""
    splits = sorted({segment.split for segment in segments}, reverse=True)
    return {split: count_classes([each for each in segments if each.split == split], classes) for split in splits}


def count_classes(segments: Sequence[Segment], classes: Sequence[str]) -> dict[str, int]:
    """Labelled windows per class, every class named."""
    found = Counter(segment.label for segment in segments)
    return {name: found[label] for label, name in enumerate(classes)}


def natural(text: str) -> list[str | int]:
    """A sorting key that counts: "walk9" before "walk10"."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)]


def settle(folder: AnySource, faults: Sequence[str], help_text: str, partial: bool) -> AnySource:
    """The folder when it has no fault; with `partial`, faults become notes as long as a recording is left.

    Raises DatasetError with every fault at once and what to do.
    """
    if faults and not (partial and len(folder.recordings)):
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
