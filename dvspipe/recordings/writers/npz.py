""".npz as NumPy has it: arrays t (int64, µs), x, y (uint16), p (bool) and sensor_size (W, H); uncompressed.

A zip holds one array after the other and an array's header its length, so the columns wait in four temporary files,
nameless ones beside the target: writing takes twice the file's size on disk, and no memory. Reading is
`formats/numpy_zip.py`, or `numpy.load`.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.files import replacing
from dvspipe.recordings.writer import Holds, Labels, Writer, checked

HOLDS = Holds(".npz")
KINDS = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "|b1"}
COPY_BYTES = 1 << 20


def write_npz(path: str | Path, chunks: Iterable[Events], sensor_size: tuple[int, int]) -> int:
    """Writes events in their order as .npz; returns how many. The file appears whole or not at all.

    Raises RecordingError for events outside the sensor and when the disk is full.
    """
    count = 0
    with replacing(path, RecordingError) as beside, ExitStack() as stack:
        columns = {name: stack.enter_context(TemporaryFile(dir=beside.parent)) for name in KINDS}
        for events in checked(path, chunks, sensor_size, HOLDS):
            for name, column in columns.items():
                column.write(np.ascontiguousarray(getattr(events, name), KINDS[name]).data)
            count += len(events)
        with zipfile.ZipFile(beside, "w") as archive:
            for name, column in columns.items():
                column.seek(0)
                _member(archive, name, KINDS[name], count, column)
            _member(archive, "sensor_size", "<i8", 2, io.BytesIO(np.array(sensor_size, "<i8").tobytes()))
    return count


def _member(archive: zipfile.ZipFile, name: str, kind: str, count: int, values: IO[bytes]) -> None:
    """One array of the archive; always with the same date, so that equal events are equal files."""
    layout = {"descr": kind, "fortran_order": False, "shape": (count,)}
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, layout)
        shutil.copyfileobj(values, member, COPY_BYTES)


def _write(path: Path, chunks: Iterable[Events], sensor_size: tuple[int, int], labels: Labels | None) -> int:
    return write_npz(path, chunks, sensor_size)


WRITER = Writer("npz", ".npz", _write)
