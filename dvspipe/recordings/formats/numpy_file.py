""".npy files: an array with named fields t, x, y, p, or an N x 4 table. Streamed from a memory map; no pickles.

Times are µs. One exception, as there is no standard: an N x 4 table of floats is taken for tonic's DVSGesture layout,
`x, y, p, t` with t in ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.cameras import SAMPLE_EVENTS, size_holding
from dvspipe.recordings.columns import Deliverer, Rows
from dvspipe.recordings.layouts.npy_header import MARK, read_layout
from dvspipe.recordings.recording import Format, Recording
from dvspipe.recordings.tables import US_PER_MS, column_order, named, pieces, whole_us


class Stored(NamedTuple):
    """The rows that are whole in the file, where they begin, and how many the header promised."""

    array: NDArray[Any]
    start: int
    row_bytes: int
    promised: int


def _open(path: Path) -> Recording:
    stored = _map(path)
    rows = _rows_of(stored.array, str(path))
    _, x, y, _ = rows(slice(0, SAMPLE_EVENTS))
    return Recording(path, "numpy", size_holding(x, y), partial(_read, stored=stored, rows=rows))


def _map(path: Path) -> Stored:
    """Maps what is there of the array into memory, without reading it."""
    with path.open("rb") as file:
        shape, fortran_order, dtype = read_layout(file, str(path))
        start, size = file.tell(), file.seek(0, 2)
    row_bytes = dtype.itemsize * math.prod(shape[1:])
    held = min(shape[0], (size - start) // row_bytes) if row_bytes else 0
    if held < shape[0] and fortran_order and len(shape) > 1:
        raise RecordingError(f"{path}: is cut, and stores column after column, so no event is whole. Copy it again.")
    if not held:
        return Stored(np.empty((0, *shape[1:]), dtype), start, row_bytes, shape[0])
    array = np.memmap(path, dtype, "r", start, (held, *shape[1:]), "F" if fortran_order else "C")
    return Stored(array, start, row_bytes, shape[0])


def _rows_of(array: NDArray[Any], source: str) -> Callable[[slice], Rows]:
    """A function from a slice to the rows t, x, y, p there; t in µs. Raises RecordingError for an unknown layout."""
    if array.dtype.names:
        names = named(dict.fromkeys(array.dtype.names), source)
        if names and array.ndim == 1 and all(array.dtype[name].kind in "iufb" for name in names.values()):
            whole_us(array[names["t"]][:SAMPLE_EVENTS], source)
            return partial(_from_fields, array, names)
    elif array.ndim == 2 and array.shape[1] == 4 and array.dtype.kind in "iuf":
        return partial(_from_table, array, column_order(array[:SAMPLE_EVENTS], source))
    raise RecordingError(
        f"{source}: array of shape {array.shape} and type {array.dtype}, expected N x 4 numbers (x, y, p, t) "
        "or one row per event with fields t, x, y, p."
    )


def _from_fields(array: NDArray[Any], names: dict[str, str], piece: slice) -> Rows:
    t, x, y, p = (np.ascontiguousarray(array[names[column]][piece]) for column in "txyp")
    return t, x, y, p


def _from_table(table: NDArray[Any], order: tuple[int, int, int, int], piece: slice) -> Rows:
    t, x, y, p = (np.ascontiguousarray(table[piece, place]) for place in order)
    with np.errstate(over="ignore", invalid="ignore"):  # of damaged numbers
        return t * US_PER_MS if t.dtype.kind == "f" else t, x, y, p


def _read(recording: Recording, stored: Stored, rows: Callable[[slice], Rows]) -> Iterator[Events]:
    out = Deliverer(recording)
    for piece in pieces(len(stored.array)):
        yield from out.inside(rows(piece), stored.start + piece.start * stored.row_bytes, stored.row_bytes)
        if not out.going:
            return
    stop = stored.start + len(stored.array) * stored.row_bytes
    if len(stored.array) < stored.promised:
        missing = stored.promised - len(stored.array)
        out.report("truncated", stop, recording.path.stat().st_size - stop, f"{missing} events are missing")


FORMAT = Format("numpy", lambda head, path: head.startswith(MARK), _open)
