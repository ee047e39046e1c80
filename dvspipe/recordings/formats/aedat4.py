"""AEDAT 4, the format of iniVation's DV: packets of events, mostly compressed by LZ4. t is Unix time in µs.

The layout is `aedat4_layout`; here is the way from packet to packet, over damaged ones too. A damaged packet is lost
whole where its compression notices (DV writes LZ4 without checksums). Of several event streams the first is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.layouts.aedat4_layout import (
    EVENTS_MARK,
    LARGEST_BODY,
    LZ4_MARK,
    MARK,
    PACKET,
    ZSTD_MARK,
    Broken,
    Cut,
    events_of,
    read_header,
    unpacked,
)
from dvspipe.recordings.recording import CHUNK_EVENTS, Format, Recording

SEARCH_BYTES = 1 << 20
MARKS = {LZ4_MARK: 8, ZSTD_MARK: 8, EVENTS_MARK: 16}  # what a packet is known by, and how far behind its start


def _open(path: Path) -> Recording:
    with path.open("rb") as file:
        try:
            header = read_header(file)
        except Broken as error:
            raise RecordingError(
                f"{path}: AEDAT 4 header cannot be read ({error}). Copy or record it again."
            ) from error
    return Recording(path, "aedat4", header.size, _read)


def _read(recording: Recording) -> Iterator[Events]:
    with recording.path.open("rb") as file:
        yield from _Reader(recording, file).events()


class _Reader:
    """One way through one file. `position` is the byte of the next packet."""

    def __init__(self, recording: Recording, file: BufferedReader) -> None:
        self.file, self.out = file, Deliverer(recording)
        self.header = read_header(file)
        self.size = file.seek(0, 2)
        self.finished = self.header.start <= self.header.table < self.size
        self.stop = self.header.table if self.finished else self.size
        self.position = self.header.start
        self.waiting: list[tuple[int, int, NDArray[np.void]]] = []  # packets read: byte, bytes, rows

    def events(self) -> Iterator[Events]:
        while self.out.going and self.position < self.stop:
            body = self._packet(self.position)
            try:
                if body is None:
                    raise Broken("packet header")
                self._take(*body)
            except Broken as error:
                yield from self._deliver()
                if self.out.going:
                    self._lose(body is not None, str(error))
            if sum(len(rows) for *_, rows in self.waiting) >= CHUNK_EVENTS // 2:
                yield from self._deliver()
        yield from self._deliver()
        if self.out.going:
            self._report_table()

    def _packet(self, position: int) -> tuple[int, bytes] | None:
        """Stream and body of the packet at `position`; None when there is no whole packet."""
        self.file.seek(position)
        head = self.file.read(PACKET.size)
        if len(head) < PACKET.size:
            return None
        stream, length = PACKET.unpack(head)
        if stream not in self.header.streams or not 0 < length <= min(LARGEST_BODY, self.stop - position - PACKET.size):
            return None
        return stream, self.file.read(length)

    def _take(self, stream: int, body: bytes) -> None:
        """Keeps the packet's events for delivery and moves on."""
        length = PACKET.size + len(body)
        if stream == self.header.events:
            self.waiting.append((self.position, length, events_of(body)))
        self.position += length

    def _deliver(self) -> Iterator[Events]:
        """Delivers what waits: at once, or packet by packet where one holds events that cannot be."""
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        width, height = self.out.recording.sensor_size
        joined = np.concatenate([rows for *_, rows in waiting])
        x, y = joined["x"].view(np.uint16), joined["y"].view(np.uint16)
        if len(joined) and x.max() < width and y.max() < height:
            yield from self.out.deliver(Events.of(joined["t"], x, y, joined["p"], (width, height)))
            return
        for position, length, rows in waiting:
            if self.out.going and len(rows):
                columns = rows["t"], rows["x"], rows["y"], rows["p"]
                yield from self.out.inside(columns, position, length // len(rows))

    def _lose(self, framed: bool, note: str) -> None:
        """Reports the packet at `position` as lost and moves to the next: behind it, or where one is found again."""
        behind = self.position + PACKET.size
        if framed:
            self.file.seek(self.position + 4)
            behind += int.from_bytes(self.file.read(4), "little")
        next_one = behind if framed and self._begins(behind) else self._search(self.position + 1)
        cut = next_one == self.stop and not self.finished
        self.out.report("truncated" if cut else "corrupt", self.position, next_one - self.position, note)
        self.position = next_one

    def _begins(self, position: int) -> bool:
        return position == self.stop or self._packet(position) is not None

    def _search(self, base: int) -> int:
        """The byte of the next thing that looks like a packet, from `base` on; where packets end if there is none."""
        while base < self.stop:
            self.file.seek(base)
            data = self.file.read(min(SEARCH_BYTES + max(MARKS.values()) + 4, self.stop - base))
            for place in sorted(_marked(data)):
                if place < SEARCH_BYTES and self._begins(base + place):
                    return base + place
            base += SEARCH_BYTES
        return self.stop

    def _report_table(self) -> None:
        """Reports what is wrong behind the last packet: nothing is lost there but the table of packets."""
        if not self.finished:
            if self.out.recording.damage is None:
                self.out.report("truncated", self.size, 0, "the recording was not finished")
            return
        self.file.seek(self.stop)
        try:
            table = unpacked(self.file.read(LARGEST_BODY))
            if len(table) < 4 or len(table) < 4 + int.from_bytes(table[:4], "little"):
                raise Cut("it has no end")
        except Broken as error:
            note = f"the table behind the packets is damaged: {error}"
            kind = "truncated" if isinstance(error, Cut) else "corrupt"
            self.out.report(kind, self.stop, self.size - self.stop, note)


def _marked(data: bytes) -> set[int]:
    """Where packets may begin in `data`, by their marks."""
    places = set()
    for mark, behind in MARKS.items():
        found = data.find(mark)
        while found >= 0:
            places.add(found - behind)
            found = data.find(mark, found + 1)
    return {place for place in places if place >= 0}


FORMAT = Format("aedat4", lambda head, path: head.startswith(MARK[:12]), _open)
