"""Reading an event archive: labelled segments, and clips of events without reading the rest of the file.

The file's layout is `archive_layout`; writing is `archive_writer`; both are offered here.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dvspipe.errors import DatasetError, RecordingError, nearest
from dvspipe.events import Events
from dvspipe.recordings.archive_blocks import COLUMNS, Blocks
from dvspipe.recordings.archive_layout import BLOCK_EVENTS, LAYOUT, SPLITS, VERSION, Segment
from dvspipe.recordings.archive_writer import ArchiveWriter

DAMAGE = (OSError, RuntimeError, KeyError, ValueError)  # what h5py raises for damaged bytes

__all__ = ["Archive", "ArchiveWriter", "Segment"]


class Archive:
    """An event archive. The tables are read at once, the events when asked for; the file is opened once per process.

    `sensor_size` (W, H), `classes`, `recordings` (names), `segments`, `attributes`. May be pickled and survives forks.

    Raises RecordingError when the file is missing, damaged, no archive, or of another layout version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: Any = None
        self._blocks: Blocks | None = None
        self._owner = 0
        with _opened(self.path) as file:
            status = self.path.stat()
            self._written = status.st_size, status.st_mtime_ns
            try:
                _check_version(self.path, file)
                self._read_tables(file)
            except RecordingError:
                raise
            except Exception as error:  # h5py raises whatever its damaged bytes lead to
                raise RecordingError(f"{self.path}: damaged archive ({error}). Make or copy it again.") from error

    def _read_tables(self, file: Any) -> None:
        width, height = file.attrs["sensor_size"]
        self.sensor_size = (int(width), int(height))
        texts = json.loads(file["texts"][:].tobytes())
        self.classes: list[str] = texts["classes"]
        self.attributes: dict[str, str | int | float] = texts["attributes"]
        self.recordings: list[str] = texts["names"]
        self._rows = dict(zip(self.recordings, file["recordings"][:].tolist()))
        self._base, self._reached = file["base"][:], file["reached"][:]
        blocks = min(len(file[name]) for name in ("t", "x", "y", "p", "base", "reached"))
        for first_block, count, *_ in self._rows.values():
            if min(first_block, count) < 0 or first_block * BLOCK_EVENTS + count > blocks * BLOCK_EVENTS:
                raise ValueError("a recording lies outside the event columns")
        self.segments = [
            Segment(self.recordings[recording], label, subject, SPLITS[test], start_us, stop_us)
            for recording, label, subject, test, start_us, stop_us in file["segments"][:].tolist()
        ]

    def identity(self) -> str:
        """Hash of the file's tables, its place, length and time of writing: another file, or one written anew, has another.

        Unlike what an archive says of its content, this need not agree between two machines.
        """
        rows = [self._rows[name] for name in self.recordings]
        tables = repr((self.sensor_size, self.recordings, rows, self.segments, self.attributes, self.classes)).encode()
        marks = repr((str(self.path.resolve()), self._written)).encode()
        return hashlib.sha256(tables + self._base.tobytes() + self._reached.tobytes() + marks).hexdigest()

    def span_us(self, recording: str) -> tuple[int, int]:
        """Earliest and latest time of a recording; (0, -1) if it is empty. Raises DatasetError for an unknown name."""
        _, count, first, last, _ = self._row(recording)
        return (first, last) if count else (0, -1)

    def count(self, recording: str) -> int:
        """How many events a recording has. Raises DatasetError for an unknown name."""
        return self._row(recording)[1]

    def events(self, recording: str, start_us: int, stop_us: int) -> Events:
        """The events with start_us <= t < stop_us, in their order; reads only the blocks that can hold them.

        Raises DatasetError for an unknown name and RecordingError when a block is damaged.
        """
        first_block, count, _, _, disorder = self._row(recording)
        reached = self._reached[first_block : first_block + -(-count // BLOCK_EVENTS)]
        low = max(int(np.searchsorted(reached, start_us)) - 1, 0)
        high = max(int(np.searchsorted(reached, stop_us + disorder)), low)
        events = self.blocks(recording, low, high)
        if disorder:
            return events.between(start_us, stop_us)
        return events[slice(*np.searchsorted(events.t, (start_us, stop_us)))]

    def blocks(self, recording: str, low: int, high: int) -> Events:
        """The events of a recording's blocks low..high-1 (8,192 events each); those there are.

        Raises RecordingError when a block is damaged.
        """
        first_block, count, *_ = self._row(recording)
        count = min(count, high * BLOCK_EVENTS) - low * BLOCK_EVENTS
        if count <= 0:
            return Events.empty(self.sensor_size)
        low, high = first_block + low, first_block + low + -(-count // BLOCK_EVENTS)
        file = self._opened_here()
        try:
            self._blocks = self._blocks or Blocks(file)
            columns = self._blocks.read(low, count, self._base[low:high])
        except DAMAGE as error:
            raise RecordingError(f"{self.path}: damaged events in {recording!r} ({error}). Make it again.") from error
        return Events(*columns, self.sensor_size)

    def block_place(self, recording: str, block: int) -> tuple[int, int]:
        """Byte offset of a block's times in the file, and bytes of its four columns; 0, 0 when even that is lost."""
        index = (self._row(recording)[0] + block, 0)
        try:
            places = [self._opened_here()[name].id.get_chunk_info_by_coord(index) for name in COLUMNS]
        except DAMAGE:
            return 0, 0
        return int(places[0].byte_offset), sum(int(place.size) for place in places)

    def _row(self, recording: str) -> tuple[int, ...]:
        if recording not in self._rows:
            raise DatasetError(f"{self.path}: no recording {recording!r}{nearest(recording, self.recordings)}.")
        return self._rows[recording]

    def _opened_here(self) -> Any:
        """The file, opened by this process: a handle inherited through a fork is not used."""
        if self._file is None or self._owner != os.getpid():
            self._file, self._blocks, self._owner = _opened(self.path), None, os.getpid()
        return self._file

    def close(self) -> None:
        """Closes the file; it opens again by itself when events are asked for."""
        if self._file is not None and self._owner == os.getpid():
            self._file.close()
        self._file = self._blocks = None

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_blocks": None}


def _opened(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(path, "r")
    except FileNotFoundError as error:
        raise RecordingError(f"{path}: no such archive. Make it with `dvspipe prepare` or `simulate`.") from error
    except (OSError, RuntimeError) as error:
        raise RecordingError(f"{path}: is no HDF5 file, or is cut ({error}). Make or copy it again.") from error


def _check_version(path: Path, file: Any) -> None:
    layout = file.attrs.get("layout")
    if layout != LAYOUT.encode():
        raise RecordingError(f"{path}: is HDF5 but no event archive (layout {layout!r}, expected {LAYOUT!r}).")
    if file.attrs.get("version") != VERSION:
        raise RecordingError(
            f"{path}: archive layout version {file.attrs.get('version')}, this dvspipe reads version {VERSION}. "
            "Make the archive again with `dvspipe prepare` or `dvspipe simulate`."
        )
