"""Writing an event archive: streams recordings in, checks their segments, appears whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dvspipe.errors import DatasetError, RecordingError
from dvspipe.events import Events
from dvspipe.files import replacing
from dvspipe.recordings.archive_layout import (
    BLOCK_EVENTS,
    FILTERS,
    LARGEST_STEP_US,
    LAYOUT,
    RECORDING_ROW,
    SEGMENT_ROW,
    SPLITS,
    VERSION,
    Segment,
    coordinate_type,
)
from dvspipe.recordings.writer import whole_blocks

OVERHANG = 0.1


class ArchiveWriter:
    """Context manager that writes an archive of recordings from sensors of one size (W, H).

    `attributes` are kept as they are: source, simulator version, fingerprint. When the block fails, nothing is left.
    Raises RecordingError when the disk is full or the folder cannot be written to.
    """

    def __init__(
        self,
        path: str | Path,
        sensor_size: tuple[int, int],
        classes: Sequence[str],
        attributes: Mapping[str, str | int | float],
    ) -> None:
        self.path, self.sensor_size = Path(path), sensor_size
        self.classes, self.attributes = list(classes), dict(attributes)
        self._names: dict[str, int] = {}  # in order, with its number; a list would be searched for every new name
        self._recordings: list[tuple[int, ...]] = []
        self._segments: list[tuple[int, ...]] = []
        self._blocks = 0

    def __enter__(self) -> ArchiveWriter:
        self._context = _hdf5(self.path)
        self._columns = _Columns(*self._context.__enter__(), self.sensor_size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if error is None:
            try:
                self._write_index()
            except BaseException as failure:
                self._context.__exit__(type(failure), failure, failure.__traceback__)
                raise
        return self._context.__exit__(kind, error, trace)

    def add(self, name: str, chunks: Iterable[Events], segments: Sequence[Segment]) -> int:
        """Appends a recording and its labelled windows; returns how many events it has.

        Windows may overlap, as in the real set. A window may reach past the first or last event by a tenth of its
        length, for cameras fall silent; one that reaches further belongs to another recording or to a cut one.

        Raises DatasetError for a name used twice, events of another sensor, times half an hour apart within 8,192
        events, and segments with an unknown label or split, without length, or outside the recording.
        """
        if name in self._names or "#" in name or not name:
            raise DatasetError(f"recording name {name!r}: must be new, not empty and without '#'.")
        for segment in segments:
            self._check(segment, name)
        row = self._columns.append(name, chunks, self._blocks)
        for segment in segments:
            _check_window(segment, row)
        index = len(self._names)
        self._names[name] = index
        self._recordings.append(row)
        self._segments += [(index, s.label, s.subject, s.split == "test", s.start_us, s.stop_us) for s in segments]
        self._blocks += -(-row[1] // BLOCK_EVENTS)
        return row[1]

    def _check(self, segment: Segment, name: str) -> None:
        if segment.recording != name:
            raise DatasetError(f"{segment}: given with recording {name!r}, must be given with the one it names.")
        if not 0 <= segment.label < len(self.classes):
            raise DatasetError(f"{segment}: label must be 0..{len(self.classes) - 1} ({len(self.classes)} classes).")
        if segment.split not in SPLITS:
            raise DatasetError(f"{segment}: split must be one of {', '.join(SPLITS)}.")
        if segment.stop_us <= segment.start_us:
            raise DatasetError(f"{segment}: ends at or before its start. Correct the label file.")

    def _write_index(self) -> None:
        file = self._columns.finish(self._blocks)
        _table(file, "recordings", np.array(self._recordings, RECORDING_ROW))
        _table(file, "segments", np.array(self._segments, SEGMENT_ROW))
        texts = json.dumps({"names": list(self._names), "classes": self.classes, "attributes": self.attributes})
        _table(file, "texts", np.frombuffer(texts.encode(), np.uint8))
        file.attrs["layout"] = np.bytes_(LAYOUT)
        file.attrs["version"] = VERSION
        file.attrs["sensor_size"] = self.sensor_size


@contextmanager
def _hdf5(path: Path) -> Iterator[tuple[Any, Callable[[], None]]]:
    """A new HDF5 file that becomes `path` at the end, and a function that raises if the disk has refused a write."""
    import h5py

    with replacing(path, RecordingError) as beside, _PatientFile(beside, "w+b") as disk:
        with h5py.File(disk, "w", libver=("v110", "v110")) as file:
            yield file, disk.check
        disk.check()


class _PatientFile(FileIO):
    """A file that keeps the first refused write for `check` and takes the rest in silence.

    HDF5 crashes the whole process when a write fails under it (libhdf5 2.0: at exit), so it is not told.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        held = memoryview(data).cast("B")
        done = 0
        while done < len(held) and self.error is None:
            try:
                done += super().write(held[done:]) or 0
            except OSError as error:
                self.error = error
        return len(held)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def check(self) -> None:
        """Raises the refused write, if there was one."""
        if self.error is not None:
            raise self.error


def _check_window(segment: Segment, row: tuple[int, ...]) -> None:
    _, count, first, last, _ = row
    slack = OVERHANG * (segment.stop_us - segment.start_us)
    if not count or segment.start_us < first - slack or segment.stop_us > last + 1 + slack:
        held = f"{first}..{last} us" if count else "no events"
        raise DatasetError(f"{segment}: reaches out of the recording, which holds {held}. Correct the label file.")


class _Columns:
    """The event columns and the time index of an open file, grown block by block."""

    def __init__(self, file: Any, check_disk: Callable[[], None], sensor_size: tuple[int, int]) -> None:
        self.file, self.sensor_size, self.check_disk = file, sensor_size, check_disk
        place = coordinate_type(sensor_size)
        self.sets = {
            "t": _growing(file, "t", np.dtype(np.int32), BLOCK_EVENTS),
            "x": _growing(file, "x", place, BLOCK_EVENTS),
            "y": _growing(file, "y", place, BLOCK_EVENTS),
            "p": _growing(file, "p", np.dtype(np.uint8), BLOCK_EVENTS // 8),
        }
        self.base: list[int] = []
        self.reached: list[int] = []

    def append(self, name: str, chunks: Iterable[Events], first_block: int) -> tuple[int, ...]:
        """Writes one recording from `first_block` on; returns its row of the recordings table."""
        del self.base[first_block:], self.reached[first_block:]  # of a recording that was refused
        count, first, last, disorder = 0, 0, -1, 0
        for events in whole_blocks(self._checked(name, chunks), BLOCK_EVENTS):
            reached = np.maximum.accumulate(np.maximum(events.t, last if count else events.t[0]))
            disorder = max(disorder, int((reached - events.t).max()))
            first = min(first, int(events.t.min())) if count else int(events.t.min())
            last, count = int(reached[-1]), count + len(events)
            self._write(name, events, reached)
        return first_block, count, first, last, disorder

    def _checked(self, name: str, chunks: Iterable[Events]) -> Iterator[Events]:
        width, height = self.sensor_size
        for events in chunks:
            if events.sensor_size != self.sensor_size:
                raise DatasetError(f"{name}: events of sensor {events.sensor_size}, expected {self.sensor_size}.")
            if len(events) and (events.x.max() >= width or events.y.max() >= height):
                raise DatasetError(f"{name}: events outside the sensor {width} x {height}.")
            yield events

    def _write(self, name: str, events: Events, reached: np.ndarray) -> None:
        """Appends events as whole blocks; the last one is filled up with zeros."""
        start, rows = len(self.base), -(-len(events) // BLOCK_EVENTS)
        base = events.t[::BLOCK_EVENTS]
        step = events.t - np.repeat(base, BLOCK_EVENTS)[: len(events)]
        widest = int(np.abs(step).max())
        if widest > LARGEST_STEP_US:
            raise DatasetError(f"{name}: times {widest} us apart within {BLOCK_EVENTS} events. Cut the recording.")
        self.base += base.tolist()
        self.reached += reached[::BLOCK_EVENTS].tolist()
        for column, values in (("t", step), ("x", events.x), ("y", events.y), ("p", np.packbits(events.p))):
            held = self.sets[column]
            blocks = np.zeros((rows, held.shape[1]), held.dtype)
            blocks.reshape(-1)[: len(values)] = values
            held.resize(start + rows, axis=0)
            held[start:] = blocks
            self.check_disk()

    def finish(self, blocks: int) -> Any:
        """Cuts the columns to `blocks` blocks, writes the time index and returns the file."""
        for held in self.sets.values():
            held.resize(blocks, axis=0)
        _table(self.file, "base", np.array(self.base[:blocks], np.int64))
        _table(self.file, "reached", np.array(self.reached[:blocks], np.int64))
        return self.file


def _growing(file: Any, name: str, kind: np.dtype[Any], width: int) -> Any:
    return file.create_dataset(name, (0, width), kind, chunks=(1, width), maxshape=(None, width), **FILTERS)


def _table(file: Any, name: str, rows: np.ndarray) -> None:
    """A small table with a checksum, which HDF5 gives to chunked data only, so not to an empty table."""
    file.create_dataset(name, data=rows, **({"chunks": True, "fletcher32": True} if len(rows) else {}))
