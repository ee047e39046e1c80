"""Events as text, one a line: CSV with a header, and the layout of DVS128-Gait (`t x y p`, nothing else in the file).

CSV begins with `# sensor_size 128x128`, because text does not say how large the sensor was; then `t,x,y,p`. Reading
is the text format. The digits are made by `text_digits`, twelve times as fast as by Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.files import replacing
from dvspipe.recordings.cameras import LARGEST_SENSOR
from dvspipe.recordings.recording import CHUNK_EVENTS
from dvspipe.recordings.writer import Holds, Labels, Writer, checked

DIGITS = 18  # of a time, what readers take as an integer
HOLDS = Holds("text", first_us=-(10**DIGITS) + 1, last_us=10**DIGITS - 1)


def write_text(path: str | Path, chunks: Iterable[Events]) -> int:
    """Writes every event as a line `t x y p`, t in µs and p 1 for ON, 0 for OFF; returns how many.

    The file appears whole or not at all. Raises RecordingError when the disk is full or the folder cannot be written to.
    """
    return _write_lines(path, chunks, (LARGEST_SENSOR, LARGEST_SENSOR), "", " ")


def write_csv(path: str | Path, chunks: Iterable[Events], sensor_size: tuple[int, int]) -> int:
    """Writes the sensor's size (W, H), the header `t,x,y,p` and a line per event, in their order; returns how many.

    The file appears whole or not at all. Raises RecordingError for events outside the sensor and when the disk is full.
    """
    width, height = sensor_size
    return _write_lines(path, chunks, sensor_size, f"# sensor_size {width}x{height}\nt,x,y,p\n", ",")


def _write_lines(
    path: str | Path, chunks: Iterable[Events], sensor_size: tuple[int, int], head: str, separator: str
) -> int:
    from dvspipe.recordings.layouts.text_digits import LONGEST_LINE, format_lines

    count, lines = 0, np.empty(CHUNK_EVENTS * LONGEST_LINE, np.uint8)
    with replacing(path, RecordingError) as beside, beside.open("wb") as file:
        file.write(head.encode("ascii"))
        for events in checked(path, chunks, sensor_size, HOLDS):
            for start in range(0, len(events), CHUNK_EVENTS):
                part = events[start : start + CHUNK_EVENTS]
                stop = format_lines(part.t, part.x, part.y, part.p, ord(separator), lines)
                file.write(lines[:stop].data)
            count += len(events)
    return count


def _write(path: Path, chunks: Iterable[Events], sensor_size: tuple[int, int], labels: Labels | None) -> int:
    return write_csv(path, chunks, sensor_size)


WRITER = Writer("csv", ".csv", _write)
