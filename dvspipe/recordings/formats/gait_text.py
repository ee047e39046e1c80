"""Text, one event per line: the layout of DVS128-Gait (`t x y p`, integers, µs, no header) and CSV with named columns.

p is ON where it is 1; OFF is 0 or -1. Read in blocks of whole lines by `text_lines`. A line that is no event is
reported by its number and passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.cameras import size_holding
from dvspipe.recordings.columns import Deliverer, empty_columns, filled
from dvspipe.recordings.recording import Format, Recording

BLOCK_BYTES = 1 << 20
SHORTEST_LINE = 8  # "0 0 0 0\n"
ANY_SIZE = (1 << 16, 1 << 16)


def header_roles(line: bytes) -> list[int] | None:
    """Which column is t, x, y and p, from a header line that names exactly these; None when it is no such line."""
    names = [name.strip() for name in line.decode("ascii", "replace").lower().strip("\r\n# ").split(",")]
    return [names.index(name) for name in "txyp"] if sorted(names) == ["p", "t", "x", "y"] else None


def _matches(head: bytes, path: Path) -> bool:
    fields = head.partition(b"\n")[0].replace(b",", b" ").split()
    numbers = len(fields) == 4 and all(field.lstrip(b"-").isdigit() for field in fields)
    return numbers or path.suffix.lower() in {".txt", ".csv"}


def _open(path: Path) -> Recording:
    with path.open("rb") as file:
        line = file.readline(BLOCK_BYTES)
        roles = header_roles(line)
        start = len(line) if roles else 0
        file.seek(start)
        block = file.read(BLOCK_BYTES)
    parser = _Parser(roles or [0, 1, 2, 3], ANY_SIZE)
    sample = parser.parse(block)
    if not len(sample) and block.strip():
        first, byte = int(parser.seen[parser.lines.FIRST_LINE]), int(parser.seen[parser.lines.FIRST_BYTE])
        raise RecordingError(
            f"{path}: line {first + bool(start)} is {line_text(block, byte)}, expected four integers `t x y p` "
            "(t in us, p in {0, 1} or {-1, 1}) on every line, or first a CSV header naming t, x, y and p."
        )
    size = size_holding(sample.x, sample.y)
    return Recording(path, "text", size, _read, details={"roles": parser.roles.tolist(), "start": start})


def line_text(block: bytes, byte: int) -> str:
    """The line that starts at `byte`, quoted and cut for a message."""
    return repr(block[byte : byte + 40].split(b"\n")[0].decode("ascii", "replace"))


class _Parser:
    """The compiled parser with its buffers."""

    def __init__(self, roles: list[int], sensor_size: tuple[int, int]) -> None:
        from dvspipe.recordings import text_lines

        self.lines, self.sensor_size = text_lines, sensor_size
        self.roles, self.values, self.seen = np.array(roles), np.zeros(5, np.int64), np.zeros(7, np.int64)

    def parse(self, block: bytes) -> Events:
        """The events of a block of whole lines; `seen` then tells of the lines that are none."""
        columns = empty_columns(len(block) // SHORTEST_LINE + 1)
        data: NDArray[np.uint8] = np.frombuffer(block, np.uint8)
        count = self.lines.parse(data, self.roles, self.values, self.seen, *columns, *self.sensor_size)
        return filled(columns, count, self.sensor_size)


def _read(recording: Recording) -> Iterator[Events]:
    parser, out = _Parser(recording.details["roles"], recording.sensor_size), Deliverer(recording)
    offset = recording.details["start"]
    line = 1 if offset else 0
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
