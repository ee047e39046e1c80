"""AEDAT 3.1: the format of the DVS128 Gesture set (IBM) and of cAER. Reading; `write_aedat31` comes with it.

ASCII header to `#!END-HEADER`, then packets: a 28-byte little-endian header and `eventCapacity` slots of `eventSize`
bytes (https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html). `aedat31_words` turns
words into columns; here are the header, what to do at damage, and the way through the file. Knows no labels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.events import Events
from dvspipe.recordings.cameras import named_size
from dvspipe.recordings.columns import Deliverer, empty_columns, filled
from dvspipe.recordings.recording import CHUNK_EVENTS, Format, Recording
from dvspipe.recordings.writers.aedat31 import END_MARK, MARK, write_aedat31

__all__ = ["FORMAT", "write_aedat31"]

BLOCK_BYTES = 8 * CHUNK_EVENTS
PACKET_HEADER_BYTES = 28
ORDINARY_SIZES = struct.pack("<ii", 8, 4)  # eventSize, eventTSOffset: what a lost reader looks for


class Header(NamedTuple):
    """The ASCII header: the byte where packets begin, the device, and whether its end mark was found."""

    stop: int
    device: str
    ended: bool


def read_header(file: BufferedReader) -> Header:
    """Reads `#` lines up to the end mark, never further: a packet's first byte may be `#` too."""
    device = "DVS128"
    while True:
        start = file.tell()
        line = file.readline(BLOCK_BYTES)
        if not line.startswith(b"#"):
            return Header(start, device, False)
        if line.strip() == END_MARK:
            return Header(file.tell(), device, True)
        if line.startswith(b"#Source"):
            device = line.partition(b":")[2].decode("ascii", "replace").strip()


def _open(path: Path) -> Recording:
    with path.open("rb") as file:
        header = read_header(file)
    size = named_size(header.device) or (128, 128)
    return Recording(path, "aedat3.1", size, _read, details={"device": header.device})


def _read(recording: Recording) -> Iterator[Events]:
    with recording.path.open("rb") as file:
        yield from _Reader(recording, file).events()


class _Reader:
    """One way through one file, in blocks. `position` is the byte that the next block starts at."""

    def __init__(self, recording: Recording, file: BufferedReader) -> None:
        from dvspipe.recordings.layouts import aedat31_words

        self.words = aedat31_words
        self.recording, self.file, self.out = recording, file, Deliverer(recording)
        self.header = read_header(file)
        self.position, self.size = self.header.stop, file.seek(0, 2)
        self.walk, self.buffer = aedat31_words.new_walk(), np.empty(BLOCK_BYTES // 4, "<u4")

    def events(self) -> Iterator[Events]:
        if not self.header.ended:
            self._lose("truncated" if self.position == self.size else "corrupt", "no #!END-HEADER line")
        while self.out.going and self.position < self.size:
            yield from self._block()

    def _block(self) -> Iterator[Events]:
        """Delivers one block's events and moves `position` on."""
        block, at_end = self._load()
        self.walk[self.words.AT] = 0
        yield from self._decode(block)
        while self.out.going and self.walk[self.words.ODD]:
            if not self._enter_odd_packet(block):
                return
            yield from self._decode(block)
        self._move_on(at_end)

    def _load(self) -> tuple[NDArray[np.uint32], bool]:
        self.file.seek(self.position)
        count = self.file.readinto(self.buffer.data)
        return self.buffer[: count // 4], self.position + count >= self.size

    def _decode(self, block: NDArray[np.uint32]) -> Iterator[Events]:
        """Delivers the events up to the block's end or the next odd header; reports those refused on the way."""
        columns = empty_columns((len(block) - int(self.walk[self.words.AT])) // 2)
        refused = np.zeros(4, np.int64)
        count = self.words.decode(block, self.walk, refused, *columns, *self.recording.sensor_size)
        events = filled(columns, count, self.recording.sensor_size)
        lost, word, before, outside = (int(number) for number in refused)
        if not lost:
            yield from self.out.deliver(events)
            return
        kind, note = ("out-of-bounds", f"{lost} events") if outside else ("corrupt", f"{lost} impossible times")
        offset, lost_bytes = self.position + 4 * word, lost * self._event_bytes()
        yield from self.out.around(events, before, kind, offset, lost_bytes, note)

    def _enter_odd_packet(self, block: NDArray[np.uint32]) -> bool:
        """Steps into a packet with unfilled slots; False where the header is no header and the block must be left."""
        at = int(self.walk[self.words.AT])
        if not self.words.plausible(block, at):
            self.position += 4 * at
            self._lose("corrupt", "packet header")
            return False
        self.words.enter(block, at, self.walk)
        size, capacity, number = (int(block[at + word]) for word in (1, 4, 5))
        body = self.position + 4 * at + PACKET_HEADER_BYTES
        # The format stores eventCapacity slots, but some writers store only the filled ones: the next header tells.
        only_filled = not self._header_at(body + capacity * size) and self._header_at(body + number * size)
        self.walk[self.words.SPARE] = 0 if only_filled else capacity - number
        return True

    def _move_on(self, at_end: bool) -> None:
        """Sets `position` behind what was decoded, jumping over a packet to be skipped; reports a cut file."""
        self.position += 4 * int(self.walk[self.words.AT])
        left = int(self.walk[self.words.LEFT])
        behind = self.position
        if left and not self.walk[self.words.IS_POLARITY]:
            behind += left * self._event_bytes()
            self.walk[self.words.LEFT] = left = 0
        if behind > self.size or (at_end and behind == self.position and (left or behind < self.size)):
            self.out.report("truncated", self.position, self.size - self.position, "the file ends inside a packet")
            behind = self.size
        self.position = behind

    def _lose(self, kind: str, note: str) -> None:
        """Reports that nothing can be read at `position` and moves to the next packet, if there is one."""
        found = self._next_packet()
        self.out.report(kind, self.position, found - self.position, note)
        self.position = found
        self.walk[self.words.LEFT] = self.walk[self.words.SPARE] = 0

    def _next_packet(self) -> int:
        """The byte of the next plausible polarity packet header behind `position`; the file's size if there is none."""
        base = self.position + 1
        while base < self.size:
            self.file.seek(base)
            data = self.file.read(BLOCK_BYTES + PACKET_HEADER_BYTES)
            found = data.find(ORDINARY_SIZES, 4)
            while found >= 0:
                if data[found - 4 : found - 2] == b"\x01\x00" and self._header_at(base + found - 4, ends=False):
                    return base + found - 4
                found = data.find(ORDINARY_SIZES, found + 1)
            base += BLOCK_BYTES
        return self.size

    def _header_at(self, offset: int, ends: bool = True) -> bool:
        """Whether a plausible packet header stands at `offset`; the end of the file counts as one if `ends`."""
        if offset >= self.size:
            return ends and offset == self.size
        self.file.seek(offset)
        data = self.file.read(PACKET_HEADER_BYTES)
        return len(data) == PACKET_HEADER_BYTES and bool(self.words.plausible(np.frombuffer(data, "<u4"), 0))

    def _event_bytes(self) -> int:
        return 4 * int(self.walk[self.words.STRIDE])


FORMAT = Format("aedat3.1", lambda head, path: head.startswith(MARK), _open)
