"""The header of an .npy array, read without NumPy's pickle path. Knows no events."""

from __future__ import annotations

from typing import IO, Any, NamedTuple

import numpy as np

from dvspipe.errors import RecordingError


class Layout(NamedTuple):
    """What an .npy header says."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def read_layout(file: IO[bytes], source: str) -> Layout:
    """Reads the .npy header and leaves the file at the first byte of data.

    Raises RecordingError for a damaged header, a single number, and arrays of Python objects (pickles).
    """
    try:
        major, _ = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        layout = Layout(*reader(file))
    except Exception as error:
        raise RecordingError(f"{source}: damaged .npy header ({error}). Copy or save the array again.") from error
    if layout.dtype.hasobject:
        raise RecordingError(f"{source}: holds Python objects, which are not read for safety. Save plain numbers.")
    if not layout.shape or layout.dtype.itemsize == 0:
        raise RecordingError(f"{source}: holds a single value, not events. Save one row per event.")
    return layout
