"""The records of a ROS 1 bag (http://wiki.ros.org/Bags/Format/2.0), walked from the front: messages, and what is lost.

A record is a length, a header of `name=value` fields, a length, data. Chunks hold records, compressed or not. The index
at a bag's end is not needed, so a bag whose recorder died, a cut one and a damaged one read alike: behind damage the
walk goes on at the next header that makes sense. Knows no message type.
"""

from __future__ import annotations

import struct
from bz2 import BZ2Decompressor
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

MARK = b"#ROSBAG V2.0\n"
MESSAGE, BAG_HEADER, INDEX, CHUNK, CHUNK_INFO, CONNECTION = 2, 3, 4, 5, 6, 7
FIELDS = {  # what a record's header must hold, with the bytes of a value (0: any)
    MESSAGE: {b"conn": 4, b"time": 8},
    BAG_HEADER: {b"index_pos": 8, b"conn_count": 4, b"chunk_count": 4},
    INDEX: {b"ver": 4, b"conn": 4, b"count": 4},
    CHUNK: {b"compression": 0, b"size": 4},
    CHUNK_INFO: {b"ver": 4, b"chunk_pos": 8, b"start_time": 8, b"end_time": 8, b"count": 4},
    CONNECTION: {b"conn": 4, b"topic": 0},
}
OP_FIELD = b"\x04\x00\x00\x00op="  # a lost walk looks for this
LARGEST_HEADER = 1 << 12
LARGEST_MESSAGE = 1 << 26
LARGEST_CHUNK = 1 << 28
SEARCH_BYTES = 1 << 20
PIECE_BYTES = 1 << 16
LENGTH = struct.Struct("<I")


class Message(NamedTuple):
    """A message as it was serialised. `place` is its byte, or its compressed chunk's; `cut`: the bag ends before it."""

    topic: str
    type: str
    data: bytes
    place: int
    cut: bool


class Fault(NamedTuple):
    """Bytes of the bag that hold no readable record."""

    kind: str
    offset: int
    lost_bytes: int
    note: str


class _Record(NamedTuple):
    op: int
    fields: dict[bytes, bytes]
    data: int
    length: int


class Connection(NamedTuple):
    """Who sent messages: a topic and the type of its messages, as "dvs_msgs/EventArray"."""

    topic: str
    type: str


def connections(path: Path, wanted: Collection[str]) -> list[Connection]:
    """The connections of a bag, in its order: from its front up to the first message, then from its index.

    Of two that contradict each other, the one with a type of `wanted` holds; where there is none, the whole bag is read.
    """
    with path.open("rb") as file:
        stop = file.seek(0, 2)
        front = _Walk(file, len(MARK), stop, {}, _Everything())
        next((item for item in front.items() if isinstance(item, Message)), None)
        known = front.known
        start = front.index_start()
        if start:
            index = _Walk(file, start, stop, {}, set())
            deque(index.items(), maxlen=0)
            known = index.known | {n: each for n, each in known.items() if each.type in wanted or n not in index.known}
        if not any(connection.type in wanted for connection in known.values()):
            whole = _Walk(file, len(MARK), stop, {}, set())
            deque(whole.items(), maxlen=0)
            known = known | whole.known
    return [connection for _, connection in sorted(known.items())]


class _Everything(set[str]):
    """A set of topics that has every topic."""

    def __contains__(self, topic: object) -> bool:
        return True


def messages(path: Path, topic: str) -> Iterator[Message | Fault]:
    """The messages of a topic in the order of the file, and between them what was lost."""
    with path.open("rb") as file:
        walk = _Walk(file, len(MARK), file.seek(0, 2), {}, {topic})
        faults = 0
        for item in walk.items():
            faults += isinstance(item, Fault)
            yield item
        if not faults and not walk.index_start():
            yield Fault("truncated", walk.stop, 0, "the bag has no index: its recording was not finished")


class _Walk:
    """One way through the records of a file between two bytes; `place` is what to call all of it in a report.

    `known` are the connections met, by number; `topics` those whose messages are wanted.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        stop: int,
        known: dict[int, Connection],
        topics: set[str],
        place: int | None = None,
    ) -> None:
        self.file, self.start, self.stop, self.known, self.topics, self.place = file, start, stop, known, topics, place

    def items(self) -> Iterator[Message | Fault]:
        at = self.start
        while at < self.stop:
            record = self._record(at)
            if record is None:
                found = self._next(at + 1)
                cut = found == self.stop and found - at < LARGEST_HEADER
                yield self._fault("truncated" if cut else "corrupt", at, found, "record header")
                at = found
            elif record.op == CHUNK and record.fields[b"compression"] == b"none":
                at = record.data  # its records go on like others
            else:
                yield from self._of(record)
                at = yield from self._behind(record)

    def _behind(self, record: _Record) -> Generator[Fault, None, int]:
        """The byte behind a record; reports one that reaches beyond the end, unless its message was handed on."""
        end = record.data + record.length
        if end <= self.stop:
            return end
        found = self._next(record.data)  # either the bag was cut or the length is wrong: then records follow sooner
        if found < self.stop or not self._sender(record):
            kind = "corrupt" if found < self.stop else "truncated"
            yield self._fault(kind, record.data, found, "the record is longer than the bag")
        return found

    def _sender(self, record: _Record) -> Connection | None:
        """Who sent a message that is wanted; None for all other records."""
        if record.op != MESSAGE:
            return None
        connection = self.known.get(LENGTH.unpack(record.fields[b"conn"])[0])
        return connection if connection and connection.topic in self.topics else None

    def _of(self, record: _Record) -> Iterator[Message | Fault]:
        """What a record holds."""
        if record.op == CONNECTION:
            self._learn(record)
        elif record.op == CHUNK:
            yield from self._chunk(record)
        elif sender := self._sender(record):
            place = record.data if self.place is None else self.place
            data = self._read(record.data, min(record.length, LARGEST_MESSAGE))
            yield Message(*sender, data, place, record.data + record.length > self.stop)
        elif record.op == MESSAGE and LENGTH.unpack(record.fields[b"conn"])[0] not in self.known:
            yield self._fault("corrupt", record.data, record.data + record.length, "a message of no known connection")

    def _learn(self, record: _Record) -> None:
        fields = _fields(self._read(record.data, min(record.length, SEARCH_BYTES))) or {}
        topic, kind = record.fields[b"topic"], fields.get(b"type", b"")
        connection = Connection(topic.decode("utf-8", "replace"), kind.decode("utf-8", "replace"))
        self.known.setdefault(LENGTH.unpack(record.fields[b"conn"])[0], connection)

    def _chunk(self, record: _Record) -> Iterator[Message | Fault]:
        """What a compressed chunk holds, as far as it can be decompressed."""
        (size,) = LENGTH.unpack(record.fields[b"size"])
        length = min(record.length or self.stop, self.stop - record.data)
        data, error = _decompressed(self.file, record, length, min(size or LARGEST_CHUNK, LARGEST_CHUNK))
        yield from _Walk(BytesIO(data), 0, len(data), self.known, self.topics, record.data).items()
        if error:
            yield Fault("corrupt", record.data, length if not data else 0, error)

    def _record(self, at: int) -> _Record | None:
        """The record at `at`; None where no header makes sense there."""
        head = self._read(at, LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack(head)
        if not 0 < length <= LARGEST_HEADER:
            return None
        data = self._read(at + LENGTH.size, length + LENGTH.size)
        fields = _fields(data[:length])
        if len(data) < length + LENGTH.size or fields is None or len(fields.get(b"op", b"")) != 1:
            return None
        op = fields[b"op"][0]
        if any(bytes_ not in (0, len(fields.get(name, b""))) or name not in fields for name, bytes_ in _needed(op)):
            return None
        return _Record(op, fields, at + 2 * LENGTH.size + length, LENGTH.unpack(data[length:])[0])

    def _next(self, at: int) -> int:
        """The byte of the next record that makes sense at or behind `at`; the end where there is none."""
        while at < self.stop:
            data = self._read(at, SEARCH_BYTES + LARGEST_HEADER)
            found = data.find(OP_FIELD)
            while 0 <= found < SEARCH_BYTES:
                start = self._header_around(data, at, found)
                if start is not None:
                    return start
                found = data.find(OP_FIELD, found + 1)
            at += SEARCH_BYTES
        return self.stop

    def _header_around(self, data: bytes, base: int, found: int) -> int | None:
        """The byte of the record whose header has its `op` field at data[found]."""
        for back in range(LENGTH.size, min(found, 512) + 1):
            (length,) = LENGTH.unpack_from(data, found - back)
            if length >= back + len(OP_FIELD) + 1 - LENGTH.size and length <= LARGEST_HEADER:
                record = self._record(base + found - back)
                if record and record.data + record.length <= self.stop:
                    return base + found - back
        return None

    def index_start(self) -> int:
        """Where the bag's header says its index begins; 0 where it does not, or beyond the end."""
        record = self._record(self.start)
        if record is None or record.op != BAG_HEADER:
            return 0
        start = int(struct.unpack("<Q", record.fields[b"index_pos"])[0])
        return start if self.start < start < self.stop else 0

    def _read(self, at: int, count: int) -> bytes:
        self.file.seek(at)
        return self.file.read(max(min(count, self.stop - at), 0))

    def _fault(self, kind: str, start: int, stop: int, note: str) -> Fault:
        if self.place is None:
            return Fault(kind, start, stop - start, note)
        return Fault("corrupt", self.place, stop - start, f"{note} in a compressed chunk")


def _needed(op: int) -> list[tuple[bytes, int]]:
    """Names and sizes of the fields that a record of this kind must have; one that nothing has for unknown kinds."""
    return list(FIELDS.get(op, {b"": 1}).items())


def _fields(data: bytes) -> dict[bytes, bytes] | None:
    """The fields of a header; None where their lengths do not add up."""
    fields, at = {}, 0
    while at < len(data):
        if at + LENGTH.size > len(data):
            return None
        (length,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        name, equals, value = data[at : at + length].partition(b"=")
        if not equals or at + length > len(data):
            return None
        fields[name] = value
        at += length
    return fields


def _decompressed(file: BinaryIO, record: _Record, length: int, most: int) -> tuple[bytes, str]:
    """What a compressed chunk of `length` bytes holds, at most `most` bytes of it, and what stopped it from giving all."""
    kind = record.fields[b"compression"]
    decompressor = _decompressor(kind)
    if decompressor is None:
        return b"", f"compression {kind!r}, known are none, bz2 and lz4"
    file.seek(record.data)
    parts: list[bytes] = []
    held, left = 0, length
    try:
        while held < most and not decompressor.eof:
            data = file.read(min(left, PIECE_BYTES)) if decompressor.needs_input else b""
            if decompressor.needs_input and not data:
                return b"".join(parts), "the compressed chunk is cut"
            left -= len(data)
            parts.append(decompressor.decompress(data, max_length=most - held))
            held += len(parts[-1])
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        return b"".join(parts), str(error)
    return b"".join(parts), "" if decompressor.eof else "the chunk holds more than it says"


def _decompressor(kind: bytes) -> Any:
    if kind == b"bz2":
        return BZ2Decompressor()
    if kind != b"lz4":
        return None
    from lz4.frame import LZ4FrameDecompressor  # type: ignore[import-untyped]

    make: Callable[[], Any] = LZ4FrameDecompressor
    return make()
