"""Writing events as text, one event per line: the layout of DVS128-Gait (`t x y p`). Reading is `formats/gait_text`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.files import replacing


def write_text(path: str | Path, chunks: Iterable[Events]) -> int:
    """Writes every event as a line of four integers, t in µs and p 1 for ON, 0 for OFF; returns how many.

    The file appears whole or not at all. Raises RecordingError when the disk is full or the folder cannot be written to.
    """
    count = 0
    with replacing(path, RecordingError) as beside, beside.open("w", encoding="ascii", newline="\n") as file:
        for events in chunks:
            columns = (column.tolist() for column in (events.t, events.x, events.y, events.p.astype(int)))
            file.writelines(map("%d %d %d %d\n".__mod__, zip(*columns)))
            count += len(events)
    return count
