"""Events in arrays without a standard: which column is which, and what unit time has. Reads no file.

Known layouts: N x 4 tables `x, y, p, t` (tonic's DVSGesture, MATLAB exports) and `t, x, y, p`; fields named t, x, y, p.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.recordings.columns import Rows
from dvspipe.recordings.recording import CHUNK_EVENTS

NAMES = {
    "t": ("t", "ts", "time", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "on"),
}
ORDERS = {"x, y, p, t": (3, 0, 1, 2), "t, x, y, p": (0, 1, 2, 3)}
TELLING_ROWS = 16
US_PER_MS = 1000


def named(fields: Mapping[str, Any], source: str) -> dict[str, str] | None:
    """Which field is t, x, y and p; None when not all four are there.

    Raises RecordingError when two fields could be the same column.
    """
    found = {column: [name for name in fields if name.lower() in names] for column, names in NAMES.items()}
    for column, held in found.items():
        if len(held) > 1:
            raise RecordingError(f"{source}: fields {held} could all be {column}. Keep one of them.")
    return {column: held[0] for column, held in found.items()} if all(found.values()) else None


def column_order(table: NDArray[Any], source: str) -> tuple[int, int, int, int]:
    """The places of t, x, y, p in an N x 4 table, told by where the polarities (-1, 0, 1) are from the first row on.

    Rows behind damage may hold anything. Raises RecordingError when the table has no known order.
    """
    rows = {order: _leading(np.isin(table[:, order[3]], (-1, 0, 1))) for order in ORDERS.values()}
    order = max(rows, key=lambda each: rows[each])
    if rows[order] >= min(len(table), TELLING_ROWS):
        return order
    raise RecordingError(
        f"{source}: an N x 4 table without polarities (-1, 0, 1) in the third or fourth column. "
        f"Known orders: {' and '.join(ORDERS)}."
    )


def _leading(good: NDArray[np.bool_]) -> int:
    """How many are True before the first that is not."""
    return len(good) if good.all() else int(np.argmin(good))


def whole_us(t: NDArray[Any], source: str) -> NDArray[Any]:
    """Times that must be whole µs; raises RecordingError where most have fractions, so are in another unit."""
    if t.dtype.kind == "f" and 2 * np.count_nonzero(t != np.rint(t)) > len(t):
        raise RecordingError(f"{source}: times have fractions, so they are not in us. Store t as whole microseconds.")
    return t


def pieces(rows: int) -> Iterator[slice]:
    """Slices of at most a chunk each that cover `rows` rows."""
    return (slice(start, min(start + CHUNK_EVENTS, rows)) for start in range(0, rows, CHUNK_EVENTS))


def sliced(rows: Rows, piece: slice) -> Rows:
    """The rows of one piece."""
    t, x, y, p = rows
    return t[piece], x[piece], y[piece], p[piece]
