"""Event Stream (ES) version 2, `.es`: a header of 20 bytes, then events whose times are steps from one to the next.

Layout: https://github.com/neuromorphicsystems/event_stream (sepia.hpp). Read are DVS streams, and of ATIS streams
the change-detection events (those about exposure are passed over). Decoded here: faery drops all events of a block
with a fault in it. Behind damage reading goes on where 16 events in a row lie inside the sensor; as the steps in the
lost bytes are lost with them, times from there on may be early by these.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.cameras import LARGEST_SENSOR
from dvspipe.recordings.columns import Deliverer, empty_columns, filled
from dvspipe.recordings.recording import CHUNK_EVENTS, Format, Recording

MARK = b"Event Stream"
HEADER = struct.Struct("<3BBHH")  # version, type, width, height
START = len(MARK) + HEADER.size
TYPES = {0: "generic", 1: "dvs", 2: "atis", 4: "color"}
READABLE = ("dvs", "atis")

BLOCK_BYTES = 5 * CHUNK_EVENTS
NEAR_BYTES = 1 << 12  # searched first behind damage, as it is mostly small


def _open(path: Path) -> Recording:
    with path.open("rb") as file:
        data = file.read(START)[len(MARK) :]
    if len(data) < HEADER.size:
        raise RecordingError(f"{path}: ends inside its header. Copy or record it again.")
    major, minor, patch, kind, width, height = HEADER.unpack(data)
    name = TYPES.get(kind, f"unknown ({kind})")
    if major != 2:
        raise RecordingError(f"{path}: Event Stream version {major}.{minor}.{patch}, readable is version 2.")
    if name not in READABLE:
        raise RecordingError(f"{path}: holds {name} events, readable are {' and '.join(READABLE)} events.")
    if not (0 < width <= LARGEST_SENSOR and 0 < height <= LARGEST_SENSOR):
        raise RecordingError(f"{path}: says its sensor has {width} x {height} pixels. Copy or record it again.")
    read = partial(_read, is_atis=name == "atis")
    return Recording(path, "es", (width, height), read, details={"events": name})


def _read(recording: Recording, is_atis: bool) -> Iterator[Events]:
    with recording.path.open("rb") as file:
        yield from _Reader(recording, file, is_atis).events()


class _Reader:
    """One way through one file, in blocks. `position` is the byte that the next block starts at."""

    def __init__(self, recording: Recording, file: BufferedReader, is_atis: bool) -> None:
        from dvspipe.recordings.layouts import es_words

        self.words, self.is_atis = es_words, is_atis
        self.out, self.file, self.size = Deliverer(recording), file, file.seek(0, 2)
        self.width, self.height = recording.sensor_size
        self.position, self.walk = START, np.zeros(3, np.int64)

    def events(self) -> Iterator[Events]:
        while self.out.going and self.position < self.size:
            data = self._load(BLOCK_BYTES)
            at_end = self.position + len(data) >= self.size
            columns = empty_columns(len(data) // self.words.EVENT_BYTES)
            count = self.words.decode(data, at_end, self.is_atis, self.walk, self.width, self.height, *columns)
            yield from self.out.deliver(filled(columns, count, (self.width, self.height)))
            self.position += int(self.walk[self.words.AT])
            if self.walk[self.words.FAULT]:
                self._lose(int(self.walk[self.words.FAULT]))
            elif at_end and self.position < self.size:
                self.out.report("truncated", self.position, self.size - self.position, "the last event is cut")
                return

    def _load(self, length: int) -> np.ndarray:
        self.file.seek(self.position)
        return np.frombuffer(self.file.read(length), np.uint8)

    def _lose(self, fault: int) -> None:
        """Reports the faulty event at `position` and moves to where events begin again, or to the end."""
        event_bytes = self.words.EVENT_BYTES
        step = self._load(1)[0] >> (2 if self.is_atis else 1)
        found = self._next_event()
        kind, note = ("out-of-bounds", "an event") if fault == self.words.OUTSIDE_FAULT else ("corrupt", "zero-filled")
        if found == self.position + event_bytes:
            self.walk[self.words.TIME] += step  # only the pixel was damaged: the time stays right
        elif found < self.size:
            note += "; times behind it may be early by the lost steps"
        self.out.report(kind, self.position, found - self.position, note)
        self.position = found

    def _next_event(self) -> int:
        """The byte behind `position` where events begin again; the file's size if they do not."""
        found = self._search(self.position + 1, NEAR_BYTES)
        base = self.position + 1
        while found < 0 and base < self.size:
            found = self._search(base, BLOCK_BYTES)
            base += BLOCK_BYTES
        return self.size if found < 0 else found

    def _search(self, base: int, length: int) -> int:
        """The first byte of the `length` from `base` on where events begin; -1 if there is none."""
        self.file.seek(base)
        data = np.frombuffer(self.file.read(length + length // 4), np.uint8)
        at_end = base + len(data) >= self.size
        start = self.words.next_start(data, length, at_end, self.is_atis, self.width, self.height)
        return -1 if start < 0 else base + int(start)


FORMAT = Format("es", lambda head, path: head.startswith(MARK), _open)
