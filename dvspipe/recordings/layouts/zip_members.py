"""The members of a zip file, each read as a stream as far as it goes: of a cut or damaged file too. Knows no arrays.

Python's zipfile needs the table at the file's end and drops, at damage, what it has unpacked before. Here the members
are found by their own headers where the table is lost or does not fit.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

MARK = b"PK\x03\x04"
HEADER = struct.Struct("<4s5H3I2H")  # mark, needs, flags, method, time, date, crc, stored, whole size, name, extra
STORED, DEFLATED = 0, 8
UNKNOWN = 0xFFFFFFFF  # the size stands in the extra field
SEARCH_BYTES, BLOCK_BYTES = 1 << 20, 1 << 16
Listed = tuple[str, int, int | None, int]  # name, offset of the header, CRC, stored size


class Place(NamedTuple):
    """Where a member's data lie: first byte, bytes (up to the next member or the file's end where this is not said),
    how they are packed, and their CRC-32 (None where it is not known)."""

    start: int
    size: int
    method: int
    crc: int | None


def find_members(path: Path, by_marks: bool = False) -> dict[str, Place]:
    """The stored and deflated members by name, the first of each name: by the file's table of them, or by their own
    marks if asked or where the table does not fit them. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        listed = [] if by_marks else _listed(path)
        headers = [_header_at(file, offset) for _, offset, _, _ in listed]
        fits = [header[0] if header else "" for header in headers] == [name for name, *_ in listed]
        return _places(file, listed if listed and fits else _searched(file, size), size)


def _places(file: BinaryIO, listed: list[Listed], size: int) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for _, offset, crc, length in listed:
        header = _header_at(file, offset)
        if header is not None and header[2] in (STORED, DEFLATED):
            name, start, method = header
            found.setdefault(name, Place(start, max(0, min(length, size - start)), method, crc))
    return found


def _listed(path: Path) -> list[Listed]:
    """The members by the table at the end; nothing where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [(each.filename, each.header_offset, each.CRC, each.compress_size) for each in archive.infolist()]
    except Exception:  # zipfile raises whatever its damaged bytes lead to
        return []


def _searched(file: BinaryIO, size: int) -> list[Listed]:
    """The same by the members' own headers, found by their mark."""
    offsets, base = [], 0
    while base < size:
        file.seek(base)
        data = file.read(SEARCH_BYTES + len(MARK) - 1)
        found = data.find(MARK)
        while found >= 0:
            offsets.append(base + found)
            found = data.find(MARK, found + 1)
        base += SEARCH_BYTES
    found_here: list[Listed] = []
    for offset, behind in zip(offsets, [*offsets[1:], size]):
        header = _header_at(file, offset)
        if header is not None:
            found_here.append((header[0], offset, None, behind - header[1]))
    return found_here


def _header_at(file: BinaryIO, offset: int) -> tuple[str, int, int] | None:
    """Name, first byte of data and method of the member whose header stands at `offset`."""
    file.seek(max(offset, 0))  # a damaged table may say less than 0
    data = file.read(HEADER.size)
    if len(data) < HEADER.size:
        return None
    mark, _, _, method, _, _, _, _, _, name_bytes, extra_bytes = HEADER.unpack(data)
    name = file.read(name_bytes).decode("utf-8", "replace")
    return (name, offset + HEADER.size + name_bytes + extra_bytes, method) if mark == MARK else None


class Member:
    """One member's bytes, unpacked, in order. `fault` says why they ended early or cannot be trusted ("" while well)."""

    def __init__(self, file: BinaryIO, place: Place) -> None:
        self.file, self.place, self.fault = file, place, ""
        self.at, self.crc, self.packed = place.start, 0, b""
        self.inflate = zlib.decompressobj(-15) if place.method == DEFLATED else None

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer at the member's end or its damage."""
        parts, left = [], count
        while left and not self.fault and (part := self._some(left)):
            parts.append(part)
            left -= len(part)
        data = b"".join(parts)
        self.crc = zlib.crc32(data, self.crc)
        return data

    def check(self) -> None:
        """Sets `fault` if the whole member is read and its checksum is wrong."""
        if not self.fault and self.place.crc is not None and not self.read(1) and self.crc != self.place.crc:
            self.fault = "its checksum is wrong"

    def _stored(self, count: int) -> bytes:
        self.file.seek(self.at)
        data = self.file.read(min(count, self.place.start + self.place.size - self.at))
        self.at += len(data)
        return data

    def _some(self, count: int) -> bytes:
        """Some of the next bytes, none at the end."""
        if self.inflate is None:
            return self._stored(count)
        while not self.inflate.eof:
            data = self.packed or self._stored(BLOCK_BYTES)
            before = self.inflate.copy()
            try:
                part = self.inflate.decompress(data, count)
            except zlib.error as error:
                self.fault = str(error)
                return _up_to_fault(before, data)[:count]
            self.packed = self.inflate.unconsumed_tail
            if part or not data:
                return part
        return b""


def _up_to_fault(inflate: zlib._Decompress, data: bytes) -> bytes:
    """What can be unpacked of `data` before its damage."""
    parts = []
    for at in range(len(data)):
        try:
            parts.append(inflate.decompress(data[at : at + 1]))
        except zlib.error:
            break
    return b"".join(parts)
