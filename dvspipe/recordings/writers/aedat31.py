"""AEDAT 3.1 as the DVS128 Gesture set has it: five header lines, polarity packets, and labels in a CSV beside it.

Reading is `formats/aedat31.py`, which offers `write_aedat31` too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.files import replacing
from dvspipe.recordings.cameras import SIZES
from dvspipe.recordings.labels import CLASSES, label_file, write_labels
from dvspipe.recordings.writer import Holds, Labels, Writer, checked

MARK = b"#!AER-DAT3.1"
END_MARK = b"#!END-HEADER"
PACKET_EVENTS = 4096
TIME_BITS = 31
HOLDS = Holds("AEDAT 3.1", first_us=0, last_us=(1 << 51) - 1, ordered=True)


def write_aedat31(
    path: str | Path,
    chunks: Iterable[Events],
    sensor_size: tuple[int, int] = (128, 128),
    start_time: str = "2016-09-16 14:20:00 (TZ+0000)",
) -> int:
    """Writes events, ordered in time, as AEDAT 3.1; returns how many. The file appears whole or not at all.

    `sensor_size` (W, H) becomes the device name of the header (DVS128, ..., or "WxH"). A new packet begins after 4,096
    events and whenever the time passes another 2^31 µs (its eventTSOverflow).

    Raises RecordingError for times that are negative or go back, events outside the sensor, and when the disk is full.
    """
    count = 0
    with replacing(path, RecordingError) as beside, beside.open("wb") as file:
        file.write(header_bytes(sensor_size, start_time))
        for events in checked(path, chunks, sensor_size, HOLDS):
            file.writelines(_packets(events))
            count += len(events)
    return count


def header_bytes(sensor_size: tuple[int, int], start_time: str) -> bytes:
    """The five header lines, each ended by CRLF."""
    width, height = sensor_size
    device = next((name for name, size in SIZES.items() if size == (width, height)), f"{width}x{height}")
    lines = [MARK, b"#Format: RAW", f"#Source 1: {device}".encode(), f"#Start-Time: {start_time}".encode(), END_MARK]
    return b"".join(line + b"\r\n" for line in lines)


def _packets(events: Events) -> Iterator[bytes]:
    high = events.t >> TIME_BITS
    starts = np.union1d(np.arange(0, len(events), PACKET_EVENTS), np.flatnonzero(np.diff(high)) + 1)
    for start, stop in zip(starts, [*starts[1:], len(events)]):
        number = int(stop - start)
        yield struct.pack("<hhiiiiii", 1, 1, 8, 4, int(high[start]), number, number, number)
        yield _words(events[start:stop]).tobytes()


def _words(events: Events) -> np.ndarray:
    """Events as uint32 [N, 2]: data word (valid, polarity, y, x from bit 0) and the low 31 bits of time."""
    words = np.empty((len(events), 2), "<u4")
    x, y, p = (column.astype(np.uint32) for column in (events.x, events.y, events.p))
    words[:, 0] = 1 | p << 1 | y << 2 | x << 17
    words[:, 1] = events.t & ((1 << TIME_BITS) - 1)
    return words


def _write(path: Path, chunks: Iterable[Events], sensor_size: tuple[int, int], labels: Labels | None) -> int:
    count = write_aedat31(path, chunks, sensor_size)
    if labels:
        write_labels(label_file(path), [(each.label, each.start_us, each.stop_us) for each in labels.segments])
    return count


WRITER = Writer("aedat3.1", ".aedat", _write, most_classes=CLASSES)
