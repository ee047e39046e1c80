"""Where the rows of HDF5 datasets lie in their file, and opening a file that was cut. For `hdf5_columns`, in a worker.

libhdf5 refuses a file shorter than its header says. A cut one is read through a file object that goes on with zeros;
what lies beyond the cut is then known from the places of the chunks, and never read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py

from dvspipe.errors import RecordingError

CACHE_BYTES = 1 << 25  # per dataset: a chunk is decompressed once, though several reads go through it
LARGEST_FILE = 1 << 48
CONTIGUOUS_ROWS = 8192  # read at a time where a disk or a cut makes trouble
MARK_BYTES = 64
END_AT = {0: 40, 1: 44, 2: 28, 3: 28}  # byte of the end-of-file address, by superblock version


@contextmanager
def opened(path: str) -> Iterator[tuple[Any, int, bool]]:
    """The HDF5 file, how many bytes it has and whether it was cut. Raises RecordingError where it cannot be opened."""
    size, cut = Path(path).stat().st_size, False
    try:
        file = h5py.File(path, "r", rdcc_nbytes=CACHE_BYTES, locking="best-effort")
    except (OSError, RuntimeError) as error:
        promised = _promised_bytes(path)
        if not size < promised < LARGEST_FILE:
            raise RecordingError(f"{path}: is no HDF5 file, or is cut or damaged ({error}). Copy it again.") from error
        cut = True
        try:
            file = h5py.File(_Padded(path, promised), "r", rdcc_nbytes=CACHE_BYTES)
        except (OSError, RuntimeError) as still:
            raise RecordingError(
                f"{path}: is cut, and its table of contents with it ({still}). Copy it again."
            ) from still
    with file:
        yield file, size, cut


def _promised_bytes(path: str) -> int:
    """How long the file's header says it is; 0 where there is no such header."""
    with Path(path).open("rb") as file:
        head = file.read(MARK_BYTES)
    at = END_AT.get(head[8], 0) if len(head) == MARK_BYTES else 0
    return int(struct.unpack_from("<Q", head, at)[0]) if at else 0


class _Padded(io.RawIOBase):
    """A file that goes on with zeros up to `size` bytes."""

    def __init__(self, path: str, size: int) -> None:
        self.file, self.size, self.at = Path(path).open("rb"), size, 0  # noqa: SIM115

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.at = (0, self.at, self.size)[whence] + offset
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        self.file.seek(self.at)
        count = self.file.readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        self.at += len(view)
        return len(view)

    def close(self) -> None:
        self.file.close()
        super().close()


class Places:
    """Where the rows of some datasets of equal length lie, in a file of `file_bytes`.

    `present_rows` are there as far as datasets stored in one piece tell; `chunk_rows` is the smallest unit that can be
    lost.
    """

    def __init__(self, datasets: list[Any], file_bytes: int) -> None:
        self.file_bytes = file_bytes
        self.chunked = [dataset for dataset in datasets if dataset.chunks]
        self.maps = [_chunk_map(dataset) for dataset in self.chunked]
        self.pieces = [(at, _row_bytes(item)) for item in datasets if (at := _start(item)) is not None]
        ends = [max(file_bytes - start, 0) // row for start, row in self.pieces]
        self.present_rows = min(ends, default=1 << 62)
        self.chunk_rows = max([dataset.chunks[0] for dataset in self.chunked], default=CONTIGUOUS_ROWS)

    def missing(self, start: int, stop: int) -> str:
        """What is wrong with the chunks of rows start..stop-1: "truncated", "corrupt" (not in the index), or ""."""
        for dataset, places in zip(self.chunked, self.maps):
            rows = dataset.chunks[0]
            for row in range(start - start % rows, stop, rows):
                if row not in places:
                    return "corrupt"
                if sum(places[row]) > self.file_bytes:
                    return "truncated"
        return ""

    def of(self, start: int, stop: int) -> tuple[int, int]:
        """First byte of these rows and how many bytes of them the file holds; 0, 0 where the index lacks them."""
        found = [(at + start * row, (stop - start) * row) for at, row in self.pieces]
        for dataset, places in zip(self.chunked, self.maps):
            rows = dataset.chunks[0]
            found += [places[row] for row in range(start - start % rows, stop, rows) if row in places]
        held = sum(max(min(size, self.file_bytes - at), 0) for at, size in found)
        return (min(min(at for at, _ in found), self.file_bytes), held) if found else (0, 0)


def _start(dataset: Any) -> int | None:
    """The byte where a dataset stored in one piece begins; None for others."""
    at = None if dataset.chunks else dataset.id.get_offset()
    return None if at is None else int(at)


def _row_bytes(dataset: Any) -> int:
    row = dataset.dtype.itemsize
    for length in dataset.shape[1:]:
        row *= length
    return max(int(row), 1)


def _chunk_map(dataset: Any) -> dict[int, tuple[int, int]]:
    """First row of each chunk -> its byte and length; as far as the index can be read."""
    places: dict[int, tuple[int, int]] = {}

    def note(info: Any) -> None:
        places[info.chunk_offset[0]] = (info.byte_offset, info.size)

    with suppress(OSError, RuntimeError, ValueError):  # what is missing is told row by row
        dataset.id.chunk_iter(note)
    return places
