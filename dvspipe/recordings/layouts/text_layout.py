"""How a text of events is laid out: which column is which, the unit of time, where the events begin, the sensor's size.

Told by a header with the names of `tables`, in any order and beside other columns; without one by where the
polarities are. Times with decimal points are seconds unless the header says otherwise. Reads the first lines only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from dvspipe.recordings.tables import NAMES, ORDERS, named

COMMENT = (b"#", b"%")
ROLE = {"t": 0, "x": 1, "y": 2, "p": 3}
SHIFTS = {"s": 6, "sec": 6, "seconds": 6, "ms": 3, "us": 0, "usec": 0, "µs": 0, "ns": -3, "nsec": -3}
UNIT = re.compile(rf"(.+?)\s*[_\[(\s]\s*({'|'.join(SHIFTS)})[\])]?")
SIDE = re.compile(r"([xy])@(\d{1,5})")  # faery's header: t,x@128,y@100,on
SIZE = re.compile(r"(?:size|resolution|geometry)\D*(\d{1,5})\s*[x, ]\s*(\d{1,5})\b")
SAMPLE_LINES = 400
MOST = 0.9  # of the lines sampled, the others may be damaged


class Layout(NamedTuple):
    """`roles` says per column which of t, x, y, p (0..3) it is, -1 for others; times are multiplied by 10^shift to µs.

    `start` is the byte and `lines` the number of lines before the first event; `sensor_size` (W, H) where it is told.
    """

    roles: list[int]
    shift: int
    start: int
    lines: int
    sensor_size: tuple[int, int] | None


class _Header(NamedTuple):
    names: list[str]
    shift: int | None
    sides: dict[str, int]


def read_layout(block: bytes, source: str) -> Layout:
    """The layout of a text that begins with `block`. Raises RecordingError where two columns bear names of one."""
    header: _Header | None = None
    size: tuple[int, int] | None = None
    start = count = 0
    for line in block.splitlines(keepends=True):
        text = line.strip().lstrip(b"#% ").decode("utf-8", "replace").lower()
        found = None if header else _header(text, source)
        if found is None and text and not line.lstrip().startswith(COMMENT):
            first_line_size = None if header or size else _two_sides(text)
            if first_line_size is None:
                break
            size = first_line_size
        header, size = header or found, size or _told_size(text)
        start, count = start + len(line), count + 1
    rows = list(_rows(block, start))
    if header is None:
        return Layout(_order(rows), _shift(rows, _order(rows)), start, count, size)
    roles = _roles(header.names, source)
    shift = _shift(rows, roles) if header.shift is None else header.shift
    sides = (header.sides["x"], header.sides["y"]) if len(header.sides) == 2 else size
    return Layout(roles, shift, start, count, sides)


def _header(text: str, source: str) -> _Header | None:
    """A line that names t, x, y and p among its columns; None for any other."""
    fields = [
        field.strip(" \"'") for field in (re.split(r"[,;\t]", text) if re.search(r"[,;\t]", text) else text.split())
    ]
    shift, names, sides = None, [], {}
    for field in fields:
        unit, side = UNIT.fullmatch(field), SIDE.fullmatch(field)
        if unit and unit[1] in NAMES["t"]:
            field, shift = unit[1], SHIFTS[unit[2]]
        elif side:
            field, sides[side[1]] = side[1], int(side[2])
        names.append(field)
    return _Header(names, shift, sides) if named(dict.fromkeys(names), source) else None


def _roles(names: list[str], source: str) -> list[int]:
    found = named(dict.fromkeys(names), source) or {}
    role = {name: ROLE[column] for column, name in found.items()}
    return [role.get(name, -1) for name in names]


def _told_size(text: str) -> tuple[int, int] | None:
    """(W, H) from a comment as `sensor_size 128x128`."""
    found = SIZE.search(text)
    return (int(found[1]), int(found[2])) if found else None


def _two_sides(text: str) -> tuple[int, int] | None:
    """(W, H) from a line of two integers: E2VID's texts begin with one."""
    found = re.fullmatch(r"(\d{1,5})[\s,]+(\d{1,5})", text)
    return (int(found[1]), int(found[2])) if found and int(found[1]) and int(found[2]) else None


def _rows(block: bytes, start: int) -> Iterator[list[str]]:
    """The columns of the first lines that are no comments; the block's last line may be cut and is left out."""
    for line in block[start : start + 256 * SAMPLE_LINES].split(b"\n")[: SAMPLE_LINES + 1]:
        columns = re.split(r"[\s,;]+", line.decode("ascii", "replace").strip())
        if columns[0] and not line.lstrip().startswith(COMMENT):
            yield columns


def _number(text: str) -> float:
    with suppress(ValueError):
        return float(text)
    return float("nan")


def _order(rows: list[list[str]]) -> list[int]:
    """The roles of four columns without names: those of the first known order whose polarities are -1, 0 or 1."""
    orders = ORDERS["t, x, y, p"], ORDERS["x, y, p, t"]
    order = next((each for each in orders if _polarities(rows, each[3]) >= MOST * len(rows)), orders[0])
    return [role for _, role in sorted(zip(order, range(4)))]


def _polarities(rows: list[list[str]], place: int) -> int:
    """How many rows of four columns have -1, 0 or 1 at a place."""
    return sum(len(row) == 4 and _number(row[place]) in (-1, 0, 1) for row in rows)


def _shift(rows: list[list[str]], roles: list[int]) -> int:
    """6 where times are seconds: most have a decimal point or an exponent, and not all of them are whole."""
    place = roles.index(0)
    times = [row[place] for row in rows if len(row) == len(roles)]
    pointed = [time for time in times if "." in time or "e" in time.lower()]
    whole = all(_number(time).is_integer() for time in pointed) and len(pointed) > 1
    return SHIFTS["s"] if 2 * len(pointed) > len(times) and not whole else SHIFTS["us"]
