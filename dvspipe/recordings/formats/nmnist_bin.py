"""The 40-bit records of N-MNIST and N-Caltech101 (ATIS), `.bin`: x, y, then polarity and 23 bits of µs, big-endian.

A record with y = 240 is no event: the clock ran over, and 8,192 µs are added to it and all behind it. The files say
nothing about themselves: known by their name and by times that hardly ever fall. Source: garrickorchard.com/datasets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvspipe.events import Events
from dvspipe.recordings.cameras import SAMPLE_EVENTS
from dvspipe.recordings.columns import Deliverer, Rows
from dvspipe.recordings.recording import CHUNK_EVENTS, Format, Recording

RECORD_BYTES = 5
OVERFLOW_Y, OVERFLOW_US = 240, 8192
DIGITS, OBJECTS = (34, 34), (240, 180)
FALLS_SHARE = 0.2  # of a damaged file; half of the times of anything else fall


def _matches(head: bytes, path: Path) -> bool:
    if path.suffix.lower() != ".bin" or len(head) < RECORD_BYTES:
        return False
    (t, _, y, _), _ = _rows(_records(head), 0)
    falls = np.count_nonzero(np.diff(t[y != OVERFLOW_Y]) < 0)
    return bool(falls <= FALLS_SHARE * len(t))


def _records(data: bytes) -> NDArray[np.uint8]:
    """[N,5] whole records."""
    whole = len(data) - len(data) % RECORD_BYTES
    return np.frombuffer(data, np.uint8, whole).reshape(-1, RECORD_BYTES)


def _rows(records: NDArray[np.uint8], carry_us: int) -> tuple[Rows, int]:
    """t, x, y, p of records [N,5], overflows among them, and what is to be added to the times behind them."""
    x, y = records[:, 0], records[:, 1]
    high, middle, low = records[:, 2:].astype(np.int64).T
    added = carry_us + OVERFLOW_US * np.cumsum(y == OVERFLOW_Y)
    t = ((high & 0x7F) << 16 | middle << 8 | low) + added
    return (t, x, y, high >> 7), int(added[-1]) if len(added) else carry_us


def _open(path: Path) -> Recording:
    with path.open("rb") as file:
        records = _records(file.read(RECORD_BYTES * SAMPLE_EVENTS))
    places = records[records[:, 1] != OVERFLOW_Y, :2]
    is_digit = not len(places) or int(places.max()) < DIGITS[0]
    return Recording(path, "nmnist-bin", DIGITS if is_digit else OBJECTS, _read)


def _read(recording: Recording) -> Iterator[Events]:
    out, offset, carry_us = Deliverer(recording), 0, 0
    with recording.path.open("rb") as file:
        while out.going and len(data := file.read(RECORD_BYTES * CHUNK_EVENTS)) >= RECORD_BYTES:
            (t, x, y, p), carry_us = _rows(_records(data), carry_us)
            held = y != OVERFLOW_Y
            yield from out.inside((t[held], x[held], y[held], p[held]), offset, RECORD_BYTES)
            offset += len(data)
        rest = recording.path.stat().st_size % RECORD_BYTES
    if rest and out.going:
        out.report("truncated", recording.path.stat().st_size - rest, rest, "the last record is cut")


FORMAT = Format("nmnist-bin", _matches, _open, guess=True)
