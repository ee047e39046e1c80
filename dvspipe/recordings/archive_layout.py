"""How an event archive lies in its HDF5 file: names, types and the checks both its writer and its reader rely on.

    /t /x /y         [blocks, 8192] columns; every recording begins a new block; t int32 µs from the block's first event
    /p               [blocks, 1024] eight polarities a byte, first event in the highest bit
    /base /reached   [blocks] int64 µs: time of the block's first event; latest time up to it (the time index)
    /recordings      [R] first_block, count, t_first, t_last, disorder
    /segments        [S] recording, label, subject, test, start_us, stop_us
    /texts           JSON bytes: names [R], classes, attributes
    attributes       layout, version, sensor_size

Chosen by measuring reads of single clips: lzf leaves 8-bit coordinates as they are, where gzip 1 spends half of its
time to save a tenth; int32 times halve the time of int64 ones. 3.2 bytes an event. A damaged block is found by its
checksum. No HDF5 strings: libhdf5 reads them from a heap without checksum, and never returns from a damaged one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LAYOUT = "dvspipe-events"
VERSION = 1
BLOCK_EVENTS = 8192
FILTERS = {"compression": "lzf", "shuffle": True, "fletcher32": True}
LARGEST_STEP_US = (1 << 31) - 1
SPLITS = ("train", "test")
RECORDING_ROW = np.dtype(
    [("first_block", "<i8"), ("count", "<i8"), ("t_first", "<i8"), ("t_last", "<i8"), ("disorder", "<i8")]
)
SEGMENT_ROW = np.dtype(
    [("recording", "<i4"), ("label", "<i4"), ("subject", "<i4"), ("test", "?"), ("start_us", "<i8"), ("stop_us", "<i8")]
)


class Segment(NamedTuple):
    """One labelled window of a recording: events with start_us <= t < stop_us. `split` is "train" or "test"."""

    recording: str
    label: int
    subject: int
    split: str
    start_us: int
    stop_us: int


def coordinate_type(sensor_size: tuple[int, int]) -> np.dtype[np.unsignedinteger]:
    """The smallest type that holds every x and y of the sensor."""
    return np.dtype(np.uint8) if max(sensor_size) <= 256 else np.dtype(np.uint16)
