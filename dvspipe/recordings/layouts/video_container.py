"""Which video container a file is, and whether its end is missing: the outermost layer of four formats.

A decoder that runs into the end of a cut file says nothing, so the sizes that the containers state are compared with
the file's here. Sources: ISO 14496-12 (boxes), RFC 8794 (EBML), the RIFF and GIF89a specifications. Decodes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

EBML, RIFF, GIF = b"\x1a\x45\xdf\xa3", b"RIFF", b"GIF8"
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
MOST_BOXES = 1 << 20
GIF_TRAILER = b";"


def container_of(head: bytes) -> str | None:
    """FFmpeg's name of the container whose first bytes these are: mov (mp4 too), matroska (webm too), avi, gif."""
    if head[4:8] in FIRST_BOXES:
        return "mov"
    if head.startswith(EBML):
        return "matroska"
    if head.startswith(RIFF) and head[8:12] == b"AVI ":
        return "avi"
    return "gif" if head.startswith(GIF) else None


def missing_bytes(path: Path, container: str) -> int:
    """How many bytes the file is too short for what it says of itself; 0 where it is whole or does not say."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if container == "gif":
            file.seek(max(0, size - 1))
            return int(file.read(1) != GIF_TRAILER)
        file.seek(0)
        stop = {"mov": _boxes_stop, "matroska": _segment_stop, "avi": _riff_stop}[container](file, size)
    return max(0, stop - size)


def _boxes_stop(file: BinaryIO, size: int) -> int:
    """Where the last box ends: each says its length, 1 that eight more bytes say it, 0 that it fills the file."""
    at = 0
    for _ in range(MOST_BOXES):
        if at >= size:
            return at
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return size if length == 0 or len(head) >= 8 else at + 8
        at += length
    return size


def _segment_stop(file: BinaryIO, size: int) -> int:
    """Where the segment behind the EBML header ends; a live stream's does not say."""
    at = 0
    for _ in range(2):
        file.seek(at)
        head = file.read(12)
        marker = _vint_bytes(head)
        width = _vint_bytes(head[marker:])
        length = int.from_bytes(head[marker : marker + width], "big") & ((1 << 7 * width) - 1)
        if not width or length == (1 << 7 * width) - 1:
            return size
        at += marker + width + length
        if at > size:
            break
    return at


def _vint_bytes(data: bytes) -> int:
    """The length of an EBML number by its first byte; 0 where there is none."""
    return 9 - data[0].bit_length() if data and data[0] else 0


def _riff_stop(file: BinaryIO, size: int) -> int:
    """Where the first RIFF chunk ends; a writer that died leaves 0 there."""
    length = int.from_bytes(file.read(8)[4:], "little")
    return 8 + length if length else size
