"""The header of an .npy array, read without NumPy's pickle path. Knows no events."""

from __future__ import annotations

from io import BytesIO
from math import prod
from typing import Any, NamedTuple, Protocol

import numpy as np

from dvspipe.errors import RecordingError

MARK = b"\x93NUMPY"
LARGEST_HEADER = 10_000  # bytes


class Layout(NamedTuple):
    """What an .npy header says."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


class _Readable(Protocol):
    def read(self, count: int, /) -> bytes: ...


def read_layout(file: _Readable, source: str) -> Layout:
    """Reads the .npy header and leaves the file at the first byte of data.

    Raises RecordingError for a damaged header, a single number, and arrays of Python objects (pickles).
    """
    try:
        layout = _layout(file)
    except Exception as error:
        raise RecordingError(f"{source}: damaged .npy header ({error}). Copy or save the array again.") from error
    if layout.dtype.hasobject:
        raise RecordingError(f"{source}: holds Python objects, which are not read for safety. Save plain numbers.")
    if not layout.shape or layout.dtype.itemsize == 0:
        raise RecordingError(f"{source}: holds a single value, not events. Save one row per event.")
    return layout


def _layout(file: _Readable) -> Layout:
    """The header, no longer than a header of events can be. Raises ValueError, or what NumPy raises."""
    start = file.read(8)
    width = 2 if start[6:7] == b"\x01" else 4
    length = file.read(width)
    size = int.from_bytes(length, "little")
    if not start.startswith(MARK) or not 0 < size <= LARGEST_HEADER:
        raise ValueError(f"it begins with {(start + length).hex(' ')}")
    text = BytesIO(length + file.read(size))
    read = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    layout = Layout(*read(text))
    if min(layout.shape, default=0) < 0 or prod(layout.shape) > 1 << 62:
        raise ValueError(f"it says a shape of {layout.shape}")
    return layout
