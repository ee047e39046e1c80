"""Other people's HDF5: DSEC, TUM-VIE, M3ED, RPG (E2VID, event_utils), MVSEC, Prophesee `/CD/events`. Read in a worker.

`hdf5_columns` finds and reads the columns in a process of its own (`guarded`); here are the sensor size, bounds and the
damage report. A file with several recordings gives the first; `file.h5#right` names another. Our own archive is HDF5
too and has its own format file: it bears a mark within its first bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.archive_layout import LAYOUT
from dvspipe.recordings.cameras import SAMPLE_EVENTS, STRAY_FRACTION, size_holding
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.guarded import Chunk, GuardError, read
from dvspipe.recordings.recording import Format, Recording

MARK = b"\x89HDF\r\n\x1a\n"
DECODER = "dvspipe.recordings.layouts.hdf5_columns:columns"


def _matches(head: bytes, path: Path) -> bool:
    return head.startswith(MARK) and LAYOUT.encode() not in head


def _names(path: Path) -> list[str]:
    names = _sampled(path, None, 0)[0]["names"]
    return names if len(names) > 1 else []


def _open(path: Path, name: str | None) -> Recording:
    facts, x, y = _sampled(path, name, SAMPLE_EVENTS)
    size = _sensor_size(facts["size"], x, y)
    return Recording(path, "hdf5", size, _read, details={"recording": facts["name"], "rows": facts["rows"]})


def _sampled(path: Path, name: str | None, most: int) -> tuple[dict[str, Any], NDArray[Any], NDArray[Any]]:
    """What the file says of itself, and x, y of its first events."""
    chunks: list[Chunk] = []
    try:
        chunks += read(DECODER, str(path), name, most)
    except GuardError as error:
        if not chunks:
            raise RecordingError(f"{path}: damaged HDF5 file ({error}). Copy or record it again.") from error
    held = [chunk.columns for chunk in chunks if chunk.columns]
    x, y = (np.concatenate([np.empty(0, np.int64), *(columns[place] for columns in held)]) for place in (1, 2))
    return chunks[0].facts, x, y


def _sensor_size(declared: list[int] | None, x: NDArray[Any], y: NDArray[Any]) -> tuple[int, int]:
    """The size declared, turned round where only that holds the events; without one, that of a camera holding them."""
    for width, height in (declared, declared[::-1]) if declared else ():
        outside = np.count_nonzero(~((x >= 0) & (x < width) & (y >= 0) & (y < height)))
        if outside <= STRAY_FRACTION * len(x):
            return width, height
    return size_holding(x, y)


def _read(recording: Recording) -> Iterator[Events]:
    out = Deliverer(recording)
    chunks = read(DECODER, str(recording.path), recording.details["recording"], None)
    try:
        for facts, columns in chunks:
            if columns:
                t, x, y, p = columns
                yield from out.inside((t, x, y, p))
            elif "kind" in facts:
                out.report(facts["kind"], facts["offset"], facts["lost_bytes"], facts["note"])
            if not out.going:
                return
    except GuardError as error:
        out.report("corrupt", 0, 0, str(error))


FORMAT = Format("hdf5", _matches, names=_names, open_named=_open)
