"""`prepare`: a downloaded dataset folder -> one checked archive.

Reads a recording at a time in constant memory; the archive appears under its name only when everything is in it.
Knows no layout (the readers do) and draws no progress bar: it calls `progress`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvspipe.data.gait import read_gait_folder
from dvspipe.data.gesture import RECORDINGS, read_gesture_folder
from dvspipe.data.own_folder import read_own_folder
from dvspipe.data.source import Card, LabelledFolder, LabelledRecording, Source, counts, totals, verify_md5
from dvspipe.data.tonic_sets import read_tonic_set
from dvspipe.errors import DatasetError
from dvspipe.events import Events
from dvspipe.recordings.archive import ArchiveWriter, Segment
from dvspipe.recordings.archive_writer import OVERHANG

Progress = Callable[[int, int, str], None]
READERS: dict[str, Callable[[Path, bool], LabelledFolder]] = {
    "gesture": read_gesture_folder,
    "gesture-sim": read_gesture_folder,
    "gait": read_gait_folder,
    "gait-sim": read_gait_folder,
}

# Kinds whose cards say more about the folder than its kind does.
CARD_READERS: dict[str, Callable[[Path, Card, bool], Source]] = {
    "tonic": read_tonic_set,
    "folder": read_own_folder,
}


def prepare(
    card: Card,
    source_dir: str | Path,
    out_path: str | Path,
    progress: Progress = lambda done, total, name: None,
    partial: bool = False,
) -> dict[str, Any]:
    """Writes the archive of a folder and returns what is in it, ready for JSON.

    Keys: `archive` (absolute path), `layout`, `counts` (labelled windows per split and class), `events`, `checks`
    (`md5` of the files that were there, `totals`, `expected`, `complete`), `damaged` (recordings read up to a
    damage), `notes`. `progress(done, total, name)` is called after every recording. Raises DatasetError with all
    faults at once; `partial` takes what is there. Nothing is left behind when it fails.
    """
    folder_path = Path(source_dir).absolute()
    md5, wrong = verify_md5(_near(folder_path, card), card.md5)
    if wrong:
        raise DatasetError("\n".join(wrong))
    folder = _read_folder(folder_path, card, partial)
    expected = dict(card.counts.get(folder.layout, {}))
    report = _Report()
    attributes = {"title": card.title, "licence": card.licence, "layout": folder.layout}
    with ArchiveWriter(Path(out_path), card.sensor_size, card.classes, attributes) as writer:
        for done, recording in enumerate(folder.recordings, start=1):
            report.add(writer, recording, partial)
            progress(done, len(folder.recordings), recording.name)
        if report.faults and not (partial and report.segments):
            raise DatasetError("\n".join([f"{folder.path}: labels and events do not fit", *report.faults]))
    found = totals(report.segments)
    return {
        "archive": str(Path(out_path).absolute()),
        "layout": folder.layout,
        "counts": counts(report.segments, card.classes),
        "events": report.events,
        "checks": {"md5": md5, "totals": found, "expected": expected, "complete": bool(expected) and found == expected},
        "damaged": report.damaged,
        "notes": folder.notes + report.faults,
    }


def _read_folder(folder: Path, card: Card, partial: bool) -> Source:
    """The folder as the reader of its kind finds it. Raises DatasetError for a kind without one."""
    if card.kind in CARD_READERS:
        return CARD_READERS[card.kind](folder, card, partial)
    if card.kind not in READERS:
        known = ", ".join([*READERS, *CARD_READERS])
        raise DatasetError(f"kind '{card.kind}': no folder of it can be read. Known kinds: {known}.")
    found = READERS[card.kind](folder, partial)
    if not partial:
        _check_labels(found, card.counts)
    return found


def _near(folder: Path, card: Card) -> list[Path]:
    """Where the downloaded archives may lie: in the folder, beside it, or one level down."""
    if card.kind == "tonic" and card.tonic is not None:
        return [folder / card.tonic.name]  # nowhere else: "train.zip" may be anybody's
    return [folder, folder.parent, folder / "DvsGesture", folder / "DVSGesture"]


def _check_labels(folder: LabelledFolder, known: Mapping[str, Mapping[str, int]]) -> None:
    """Raises DatasetError when every recording of IBM's set is there and the labels still do not add up."""
    found, expected = folder.totals(), dict(known.get(folder.layout, {}))
    recordings = {split: sum(each.segments[0].split == split for each in folder.recordings) for split in RECORDINGS}
    if folder.layout == "ibm" and expected not in ({}, found) and recordings == RECORDINGS:
        raise DatasetError(
            f"{folder.path}: all {sum(RECORDINGS.values())} recordings are there, but the label files hold {found}"
            f" windows, expected {expected}. A label file is cut short or edited: extract DvsGesture.tar.gz again."
        )


@dataclass(slots=True)
class _Watched:
    """Passes chunks on and remembers how many events they held and from when to when."""

    chunks: Iterable[Events]
    events: int = 0
    first_us: int = 0
    last_us: int = 0

    def __iter__(self) -> Iterator[Events]:
        for chunk in self.chunks:
            if len(chunk):
                low, high = int(chunk.t.min()), int(chunk.t.max())
                self.first_us = min(self.first_us, low) if self.events else low
                self.last_us = max(self.last_us, high) if self.events else high
                self.events += len(chunk)
            yield chunk

    def holds(self, segment: Segment) -> bool:
        """The archive's own rule, asked of every window: it may outlast the events by a part of its length."""
        slack = OVERHANG * (segment.stop_us - segment.start_us)
        in_time = self.first_us - slack <= segment.start_us and segment.stop_us <= self.last_us + 1 + slack
        return self.events > 0 and in_time


@dataclass(slots=True)
class _Report:
    """What went into the archive, and what was noticed on the way."""

    events: int = 0
    segments: list[Segment] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)

    def add(self, writer: ArchiveWriter, recording: LabelledRecording, partial: bool) -> None:
        """Adds a recording; one that is refused is remembered with its faults, so that all are told at the end."""
        seen, kept = _Watched(recording.chunks), recording.segments
        try:
            self.events += writer.add(recording.name, seen, kept)
        except DatasetError as error:
            kept = [each for each in recording.segments if seen.holds(each)]
            self.faults += _outside(recording, seen) or [str(error)]
            if not partial or not kept or len(kept) == len(recording.segments):
                return
            self.events += writer.add(recording.name, recording.chunks, kept)
        finally:
            if damage := getattr(recording.chunks, "damage", None):
                where = f"at byte {damage.offset}, {damage.lost_bytes} bytes lost"
                self.damaged[recording.name] = f"{damage.kind} {where}{f' ({damage.note})' if damage.note else ''}"
        self.segments += kept


def _outside(recording: LabelledRecording, seen: _Watched) -> list[str]:
    damage = getattr(recording.chunks, "damage", None)
    cut = f" The recording is damaged ({damage.kind} at byte {damage.offset}): copy it again." if damage else ""
    return [
        f"{recording.name}: window {each.start_us}..{each.stop_us} us (class {each.label + 1}) lies outside the events,"
        f" {seen.first_us}..{seen.last_us} us.{cut}"
        for each in recording.segments
        if not seen.holds(each)
    ]
