"""Prophesee DAT: `%` lines, a byte for the event type and one for the event size, then little-endian 8-byte records.

Types 0 (2D, as in N-Cars) and 12 (CD) hold change-detection events: 32 bits of µs, then x, y and polarity; from
version 2 on x and y have 14 bits each, before that 9 and 8 (Prophesee's load_cd_events.m, and faery's src/dat). Type
14 (external triggers) holds no pixels. A file that does not say how large its sensor is gets its own events' size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.cameras import LARGEST_SENSOR, SAMPLE_EVENTS, STRAY_FRACTION
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.layouts.records import RECORD_BYTES, read_records
from dvspipe.recordings.layouts.text_header import Lines, is_text, read_lines, window_at
from dvspipe.recordings.recording import Format, Recording

if TYPE_CHECKING:
    from dvspipe.recordings.layouts.record_words import Layout

ORDER = "<u4"
OLD, CD, TRIGGER = 0, 12, 14
RAW_LINE = re.compile(rb"^% *(evt|format) ", re.MULTILINE)
OWN_LINE = re.compile(rb"^% *(Data file|Version|Width|Height) ?", re.MULTILINE)
FIELD = re.compile(rb"% *(Version|Width|Height) +(\d+)")
SENSORS = ((304, 240), (480, 360), (640, 480), (1280, 720))  # ATIS, Gen 3 CD, Gen 3, Gen 4


class Kind(NamedTuple):
    """What a DAT file holds: where records begin, whether they are of version 2 or later, and the sensor size."""

    start: int
    is_new: bool
    size: tuple[int, int]


def _matches(head: bytes, path: Path) -> bool:
    """`%` lines as in Prophesee's RAW, which names its encoding there; a DAT file names a version, size or content."""
    if not head.startswith(b"%") or RAW_LINE.search(head):
        return False
    return bool(OWN_LINE.search(head)) or path.suffix.lower() == ".dat"


def _open(path: Path) -> Recording:
    with path.open("rb") as file:
        header = read_header(file)
        kind = _kind(file, header, path)
    return Recording(path, "dat", kind.size, partial(_read, header=header, kind=kind))


def read_header(file: BufferedReader) -> Lines:
    """The `%` lines; a damaged one among them is passed over."""
    return read_lines(file, b"%", FIELD, lambda at, line: line.startswith(b"%") or is_text(window_at(file, at)))


def _kind(file: BufferedReader, header: Lines, path: Path) -> Kind:
    """Reads the two bytes behind the header. Raises RecordingError for records other than pixels'."""
    what = window_at(file, header.stop, 2)
    if len(what) < 2:
        raise RecordingError(f"{path}: ends inside its header, {header.stop} bytes. Copy or record it again.")
    if what[0] == TRIGGER:
        raise RecordingError(f"{path}: holds external triggers (DAT type 14), not events. Open the file of CD events.")
    if what[0] not in (OLD, CD) or what[1] != RECORD_BYTES:
        raise RecordingError(
            f"{path}: DAT type {what[0]} with {what[1]} bytes per event; readable are types 0 and 12 with 8 bytes."
        )
    fields = {name: int(value) for name, value in header.fields.items()}
    is_new = fields.get(b"Version", 1 if what[0] == OLD else 2) >= 2
    width, height = fields.get(b"Width", 0), fields.get(b"Height", 0)
    start = header.stop + len(what)
    if 0 < width <= LARGEST_SENSOR and 0 < height <= LARGEST_SENSOR:
        return Kind(start, is_new, (width, height))
    return Kind(start, is_new, _size_by_addresses(file, start, is_new))


def _size_by_addresses(file: BufferedReader, start: int, is_new: bool) -> tuple[int, int]:
    """(W, H) of a file that does not say: the smallest Prophesee sensor that holds all but one event in a thousand.

    Of a file looked at to its end it is cut down to the events on that sensor: N-Cars' files are crops.
    """
    data = window_at(file, start, RECORD_BYTES * SAMPLE_EVENTS)
    words = np.frombuffer(data, ORDER, len(data) // RECORD_BYTES * 2)[1::2]
    shift, mask = (14, 0x3FFF) if is_new else (9, 0xFF)
    x, y = words & (mask if is_new else 0x1FF), words >> shift & mask
    for width, height in (*SENSORS, (LARGEST_SENSOR, LARGEST_SENSOR)):
        inside = (x < width) & (y < height)
        if np.count_nonzero(~inside) <= STRAY_FRACTION * len(words):
            break
    if (len(data) == RECORD_BYTES * SAMPLE_EVENTS and width < LARGEST_SENSOR) or not inside.any():
        return width, height
    return int(x[inside].max()) + 1, int(y[inside].max()) + 1


def _layout(is_new: bool) -> Layout:
    from dvspipe.recordings.layouts.record_words import Layout

    if is_new:
        return Layout(0, 0, 0xE000_0000, 0, 0x3FFF, 14, 0x3FFF, 28, 1)
    return Layout(0, 0, 0, 0, 0x1FF, 9, 0xFF, 17, 1)


def _read(recording: Recording, header: Lines, kind: Kind) -> Iterator[Events]:
    out = Deliverer(recording)
    if header.damaged_at is not None:
        out.report("corrupt", header.damaged_at, header.damaged_bytes, "header line")
    if out.going:
        yield from read_records(out, kind.start, _layout(kind.is_new), ORDER)


FORMAT = Format("dat", _matches, _open)
