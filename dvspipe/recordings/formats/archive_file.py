"""An event archive as a recording: its only recording, or the one named behind `#`, as in `gesture.h5#user01_led`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.archive import Archive
from dvspipe.recordings.archive_layout import BLOCK_EVENTS, LAYOUT
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.recording import CHUNK_EVENTS, Format, Recording

MARK = b"\x89HDF\r\n\x1a\n"
BLOCKS = CHUNK_EVENTS // BLOCK_EVENTS
NAMES_SHOWN = 5


def _names(path: Path) -> list[str]:
    return Archive(path).recordings


def _open(path: Path, name: str | None) -> Recording:
    archive = Archive(path)
    names = archive.recordings
    if name is None and len(names) != 1:
        shown = ", ".join([*names[:NAMES_SHOWN], "..."] if len(names) > NAMES_SHOWN else names) or "none"
        example = f"{path}#{names[0]}" if names else f"{path}#NAME"
        raise RecordingError(f"{path}: holds {len(names)} recordings ({shown}). Pick one: {example}")
    name = names[0] if name is None else name
    details = {**archive.attributes, "recording": name, "events": archive.count(name)}  # an unknown name is told now
    return Recording(path, "archive", archive.sensor_size, partial(_read, name=name), details=details)


def _read(recording: Recording, name: str) -> Iterator[Events]:
    out = Deliverer(recording)
    with Archive(recording.path) as archive:
        blocks = -(-archive.count(name) // BLOCK_EVENTS)
        for low in range(0, blocks, BLOCKS):
            if out.going:
                yield from _deliver(archive, name, low, min(low + BLOCKS, blocks), out)


def _deliver(archive: Archive, name: str, low: int, high: int, out: Deliverer) -> Iterator[Events]:
    """The events of blocks low..high-1; where they cannot be read, block by block, reporting the damaged ones."""
    try:
        yield from out.deliver(archive.blocks(name, low, high))
    except RecordingError as error:
        if high - low == 1:
            out.report("corrupt", *archive.block_place(name, low), str(error))
            return
        for block in range(low, high):
            if out.going:
                yield from _deliver(archive, name, block, block + 1, out)


def _matches(head: bytes, path: Path) -> bool:
    return head.startswith(MARK) and LAYOUT.encode() in head  # written among the first bytes: no foreign file is opened


FORMAT = Format("archive", _matches, names=_names, open_named=_open)
