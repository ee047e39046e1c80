"""The way through a file of 8-byte records, block by block, in constant memory. Knows no header and no bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dvspipe.events import Events
from dvspipe.recordings.columns import Deliverer, empty_columns, filled
from dvspipe.recordings.recording import CHUNK_EVENTS

if TYPE_CHECKING:
    from dvspipe.recordings.layouts.record_words import Layout

RECORD_BYTES = 8
BLOCK_RECORDS = CHUNK_EVENTS
AHEAD_RECORDS = 2  # what the decoder looks at behind a block, to tell zero-filled records


def read_records(out: Deliverer, start: int, layout: Layout, order: str) -> Iterator[Events]:
    """Delivers the events of the records from byte `start` to the end of `out.recording`'s file.

    `order` is the numpy type of a word, ">u4" or "<u4". Reports refused events and a cut last record.
    """
    from dvspipe.recordings.layouts import record_words

    refused, size = np.zeros(4, np.int64), out.recording.sensor_size
    with out.recording.path.open("rb") as file:
        file.seek(start)
        data = file.read(RECORD_BYTES * BLOCK_RECORDS)
        clock = record_words.new_clock(len(data) // RECORD_BYTES)
        while data and out.going:
            following = file.read(RECORD_BYTES * BLOCK_RECORDS)
            records, cut = divmod(len(data), RECORD_BYTES)
            columns = empty_columns(records)
            words = _words(data, following[: RECORD_BYTES * AHEAD_RECORDS], order)
            count = record_words.decode(words, records, layout, clock, refused, *size, *columns)
            yield from _deliver(out, filled(columns, count, size), start, refused.tolist())
            if cut and out.going:
                out.report("truncated", start + RECORD_BYTES * records, cut, "the last record is cut")
            data, start = following, start + len(data)


def _words(data: bytes, ahead: bytes, order: str) -> NDArray[np.uint32]:
    """The whole records' words of both, in this machine's byte order."""
    parts = [np.frombuffer(each, order, len(each) // RECORD_BYTES * 2) for each in (data, ahead)]
    return np.concatenate(parts, dtype=np.uint32, casting="equiv")


def _deliver(out: Deliverer, events: Events, start: int, refused: list[int]) -> Iterator[Events]:
    """Delivers a block's events, and reports those refused among them."""
    lost, record, before, outside = refused
    if not lost:
        yield from out.deliver(events)
        return
    kind, note = ("out-of-bounds", "outside the sensor") if outside else ("corrupt", "zero-filled")
    offset, lost_bytes = start + RECORD_BYTES * record, RECORD_BYTES * lost
    yield from out.around(events, before, kind, offset, lost_bytes, f"{lost} events, the first {note}")
