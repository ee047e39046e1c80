"""Text, one event per line: DVS128-Gait and RPG (`t x y p`), Metavision (`x,y,p,t`), CSV with named columns.

p is ON where it is 1; OFF is 0 or -1. `text_layout` tells columns and units from the first lines; blocks of whole lines
are read by `text_lines`. Lines that begin with # or % are comments. A line that is no event is reported by its number
and passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.cameras import size_holding
from dvspipe.recordings.columns import Deliverer, empty_columns, filled
from dvspipe.recordings.layouts.text_layout import Layout, read_layout
from dvspipe.recordings.recording import Format, Recording

BLOCK_BYTES = 1 << 19  # of the shortest lines a chunk of events
SHORTEST_LINE = 8  # "0 0 0 0\n"
ANY_SIZE = (1 << 16, 1 << 16)
NUMBERS = re.compile(rb"[+-]?[\d.]+([eE][+-]?\d+)?([\s,;]+[+-]?[\d.]+([eE][+-]?\d+)?){3}\s*")


def _matches(head: bytes, path: Path) -> bool:
    lines = [line for line in head.splitlines()[:20] if line.strip() and not line.lstrip().startswith((b"#", b"%"))]
    numbers = any(NUMBERS.fullmatch(line.strip()) for line in lines[:2])
    return numbers or path.suffix.lower() in {".txt", ".csv"}


def _open(path: Path) -> Recording:
    with path.open("rb") as file:
        layout = read_layout(file.read(BLOCK_BYTES), str(path))
        file.seek(layout.start)
        block = file.read(2 * BLOCK_BYTES)
    parser = Parser(layout, ANY_SIZE)
    sample = parser.parse(block)
    if not len(sample) and parser.seen[parser.lines.BAD]:
        first, byte = int(parser.seen[parser.lines.FIRST_LINE]), int(parser.seen[parser.lines.FIRST_BYTE])
        raise RecordingError(
            f"{path}: line {first + layout.lines} is {line_text(block, byte)}, expected four numbers `t x y p` or "
            "`x y p t` (t in us, or in s with a decimal point; p in {0, 1} or {-1, 1}) on every line, or first a header "
            "naming t, x, y and p."
        )
    size = layout.sensor_size or size_holding(sample.x, sample.y)
    return Recording(path, "text", size, _read, details=layout._asdict())


def line_text(block: bytes, byte: int) -> str:
    """The line that starts at `byte`, quoted and cut for a message."""
    return repr(block[byte : byte + 40].split(b"\n")[0].decode("ascii", "replace"))


class Parser:
    """The compiled parser with its buffers."""

    def __init__(self, layout: Layout, sensor_size: tuple[int, int]) -> None:
        from dvspipe.recordings.layouts import text_lines

        self.lines, self.sensor_size, self.shift = text_lines, sensor_size, layout.shift
        self.roles, self.values, self.seen = np.array(layout.roles), np.zeros(4, np.int64), np.zeros(7, np.int64)

    def parse(self, block: bytes) -> Events:
        """The events of a block of whole lines; `seen` then tells of the lines that are none."""
        columns = empty_columns(len(block) // SHORTEST_LINE + 1)
        data: NDArray[np.uint8] = np.frombuffer(block, np.uint8)
        count = self.lines.parse(data, self.roles, self.shift, self.values, self.seen, *columns, *self.sensor_size)
        return filled(columns, count, self.sensor_size)


def _read(recording: Recording) -> Iterator[Events]:
    layout = Layout(**recording.details)
    parser, out = Parser(layout, recording.sensor_size), Deliverer(recording)
    offset, line = layout.start, layout.lines
    with recording.path.open("rb") as file:
        for block in _blocks(file, offset):
            events = parser.parse(block)
            lines, bad, bad_bytes, first, byte, before, outside = (int(number) for number in parser.seen)
            if bad:
                kind = "out-of-bounds" if outside else "corrupt"
                if byte + bad_bytes > len(block) and not outside:
                    kind = "truncated"  # the last line, and it has no end
                note = f"line {line + first}: {line_text(block, byte)}, {bad} bad lines near it"
                yield from out.around(events, before, kind, offset + byte, min(bad_bytes, len(block) - byte), note)
            else:
                yield from out.deliver(events)
            if not out.going:
                return
            line, offset = line + lines, offset + len(block)


def _blocks(file: BinaryIO, start: int) -> Iterator[bytes]:
    """Whole lines, about a block of them at a time; a line longer than a block comes in pieces."""
    file.seek(start)
    held = b""
    while data := file.read(BLOCK_BYTES):
        held += data
        cut = held.rfind(b"\n") + 1 or len(held) * (len(held) > BLOCK_BYTES)
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


FORMAT = Format("text", _matches, _open, guess=True)
