"""faery's readers: Rust decoders with a numpy array at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import faery
import numpy as np
from numpy.typing import NDArray

CSV = faery.CsvProperties(
    has_header=True, separator=b",", t_index=0, x_index=1, y_index=2, on_index=3, t_scale=0.0, on_value=b"1", off_value=b"0",
    skip_errors=True,
)  # fmt: skip


def reading(path: Path) -> Callable[[], tuple[NDArray, NDArray, NDArray, NDArray]]:
    """Reads a whole file into columns t, x, y, p."""

    def read() -> tuple[NDArray, NDArray, NDArray, NDArray]:
        stream = faery.events_stream_from_file(path, csv_properties=CSV)
        table = stream.to_array()
        return table["t"].astype(np.int64), table["x"], table["y"], table["on"]

    return read
