"""How an AEDAT 4 file lies in bytes: its header, its packets, the events of one. Reads only what the bytes hold.

    #!AER-DAT4.0\\r\\n, IOHeader, packets (stream u32, size u32, body), table of packets
    https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html

Header and bodies are FlatBuffers: of their tables only the few fields below are followed, each within bounds. A body is
an LZ4 or Zstandard frame, or bare; its first bytes tell which.
"""

from __future__ import annotations

import struct
import sys
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

MARK = b"#!AER-DAT4.0\r\n"
LARGEST_BODY = 1 << 25  # bytes, stored or unpacked: two million events
UNPACKED_BYTES = 1 << 20  # at a time: the LZ4 library takes what it is allowed before it knows what it needs
LZ4_MARK, ZSTD_MARK, EVENTS_MARK = b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd", b"EVTS"
PACKET = struct.Struct("<II")
EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?"), ("spare", "V3")])


class Broken(Exception):
    """These bytes are not what the format has there. The message says what is wrong."""


class Cut(Broken):
    """The bytes end before what the format has there does."""


class Header(NamedTuple):
    """`start`: byte of the first packet; `table`: byte of the table behind the last one (-1: the header does not say);
    `streams`: type ("EVTS", ...) of each stream's packets; `events`: the first event stream; `size`: its sensor (W, H).
    """

    start: int
    table: int
    streams: dict[int, str]
    events: int
    size: tuple[int, int]


def read_header(file: BinaryIO) -> Header:
    """Reads the header. Raises Broken, also where the file holds no event stream with a sensor size."""
    file.seek(len(MARK))
    data = _exactly(file.read(4), 4)
    length = int.from_bytes(data, "little")
    if length > LARGEST_BODY:
        raise Broken(f"a header of {length} bytes")
    header = _exactly(file.read(length), length)
    root = _number(header, 0, "<I")
    place = _field(header, root, 1)
    table = _number(header, place, "<q") if place else -1
    place = _field(header, root, 2)
    text = place + _number(header, place, "<I")
    streams, sizes = _streams(header[text + 4 : text + 4 + _number(header, text, "<I")])
    if not sizes:
        raise Broken("it holds no event stream: record the camera's events, not only its frames or IMU")
    first = min(sizes)
    return Header(len(MARK) + 4 + length, table, streams, first, sizes[first])


def _streams(text: bytes) -> tuple[dict[int, str], dict[int, tuple[int, int]]]:
    """Type of each stream, and sensor size of each event stream, from the header's XML."""
    from xml.etree import ElementTree

    try:
        nodes = ElementTree.fromstring(text).findall("node[@name='outInfo']/node")
        streams = {int(node.get("name", "")): _attribute(node, "typeIdentifier") for node in nodes}
        events = [node for node in nodes if _attribute(node, "typeIdentifier") == EVENTS_MARK.decode()]
        infos = {int(node.get("name", "")): node.find("node[@name='info']") for node in events}
        sizes = {name: (int(_attribute(i, "sizeX")), int(_attribute(i, "sizeY"))) for name, i in infos.items()}
    except (ElementTree.ParseError, ValueError, AttributeError) as error:
        raise Broken(f"its description of streams: {error}") from error
    for size in sizes.values():
        if not 0 < min(size) <= max(size) < 1 << 15:
            raise Broken(f"a sensor of {size[0]} x {size[1]} pixels")
    return streams, sizes


def _attribute(node: object, key: str) -> str:
    return node.find(f"attr[@key='{key}']").text or ""  # type: ignore[attr-defined,no-any-return]


def unpacked(body: bytes) -> bytes:
    """The body without its compression. Raises Broken where it is damaged, cut, or would be too large."""
    try:
        if body.startswith(LZ4_MARK):
            import lz4.frame

            decoder = lz4.frame.LZ4FrameDecompressor()
        elif body.startswith(ZSTD_MARK):
            decoder = _zstd().ZstdDecompressor()
        else:
            return body
        parts: list[bytes] = [decoder.decompress(body, max_length=UNPACKED_BYTES)]
        while not decoder.eof and not decoder.needs_input and len(parts) * UNPACKED_BYTES < LARGEST_BODY:
            parts.append(decoder.decompress(b"", max_length=UNPACKED_BYTES))
    except Exception as error:  # each library has errors of its own
        raise Broken(f"{error}") from error
    if not decoder.eof:
        raise Cut("it has no end")
    if decoder.unused_data:
        raise Broken(f"{len(decoder.unused_data)} bytes behind its end")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _zstd() -> Any:
    """Python's own module from 3.14 on; the same, backported, before."""
    from importlib import import_module

    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def events_of(body: bytes) -> NDArray[np.void]:
    """[N] EVENT rows of an event packet's body. Raises Broken."""
    data = unpacked(body)
    if data[8:12] != EVENTS_MARK:
        raise Broken(f"a packet of events that begins with {data[:12].hex(' ')}")
    place = _field(data, 4 + _number(data, 4, "<I"), 0)
    rows = place + _number(data, place, "<I")
    count = _number(data, rows, "<I")
    if not place or not 0 <= len(data) - rows - 4 - count * EVENT.itemsize < EVENT.itemsize:
        raise Broken(f"{count} events in a packet of {len(data)} bytes")
    return np.frombuffer(data, EVENT, count, rows + 4)


def _field(data: bytes, table: int, number: int) -> int:
    """The byte of a table's field; 0 where the table does not have it."""
    fields = table - _number(data, table, "<i")
    slot = 4 + 2 * number
    offset = _number(data, fields + slot, "<H") if slot < _number(data, fields, "<H") else 0
    return table + offset if offset else 0


def _number(data: bytes, place: int, kind: str) -> int:
    if not 0 <= place <= len(data) - struct.calcsize(kind):
        raise Broken(f"a pointer to byte {place} of {len(data)}")
    return int(struct.unpack_from(kind, data, place)[0])


def _exactly(data: bytes, count: int) -> bytes:
    if len(data) < count:
        raise Cut("the file ends there")
    return data
