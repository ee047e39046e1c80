"""Lines of text in front of binary data: telling where they end, also when some of them are damaged. Knows no format."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BufferedReader
from typing import NamedTuple

PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"
WINDOW_BYTES = 64
LONGEST_LINE = 1 << 16
TEXT_SHARE = 0.9


class Lines(NamedTuple):
    """Of a header: the fields found, the byte behind it, whether its end mark was there, whether a line was no text, and
    its damaged bytes. `damaged_at` is the first of these, None when every line begins as it should.
    """

    fields: dict[bytes, bytes]
    stop: int
    ended: bool = False
    odd: bool = False
    damaged_at: int | None = None
    damaged_bytes: int = 0

    def with_damage(self, at: int, count: int) -> Lines:
        """The same with `count` damaged bytes more, the first at `at`; the header reaches behind them."""
        first = at if self.damaged_at is None else self.damaged_at
        return self._replace(stop=at + count, damaged_at=first, damaged_bytes=self.damaged_bytes + count)


def is_text(data: bytes) -> bool:
    """Whether nearly all bytes are printable ASCII: true for a header line that a flipped bit has hit too."""
    return bool(data) and len(data.translate(None, PRINTABLE)) <= (1 - TEXT_SHARE) * len(data)


def window_at(file: BufferedReader, offset: int, length: int = WINDOW_BYTES) -> bytes:
    """The bytes from `offset`; the file then stands at `offset`."""
    file.seek(offset)
    data = file.read(length)
    file.seek(offset)
    return data


def read_lines(
    file: BufferedReader,
    sign: bytes,
    field: re.Pattern[bytes],
    belongs: Callable[[int, bytes], bool],
    end: bytes = b"\n",
) -> Lines:
    """Reads header lines up to the line `end` (lower case), or to the first that does not belong.

    A line that begins with `sign` is whole; `belongs(offset, line)` is asked of every line. `field` has two groups, the
    name of a field and what it says.
    """
    header = Lines({}, file.tell())
    while True:
        line = file.readline(LONGEST_LINE)
        start, stop = header.stop, header.stop + len(line)
        if line.strip().lower() == end:
            return header._replace(stop=stop, ended=True)
        if not line or not belongs(start, line):
            return header
        if not line.startswith(sign):
            header = header.with_damage(start, len(line))
        elif found := field.match(line):
            header.fields[found[1]] = found[2].strip()
        header = header._replace(stop=stop, odd=header.odd or not is_text(line))
        file.seek(stop)
