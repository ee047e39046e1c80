"""Blocks of an open event archive -> columns, by the shortest way: each chunk's bytes are taken as they lie in the file
and unpacked in one compiled loop, instead of through HDF5's filters.

Through HDF5 where numba compiles nothing, or where the file was written with other filters. Knows no recordings.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.recordings.archive_layout import BLOCK_EVENTS
from dvspipe.recordings.columns import Columns, empty_columns

COLUMNS = "txyp"
logger = logging.getLogger(__name__)


class Blocks:
    """The four columns of an open HDF5 file."""

    def __init__(self, file: Any) -> None:
        import numba

        from dvspipe.recordings.layouts import lzf_chunks

        self.sets = [file[name] for name in COLUMNS]
        self.ids = [each.id for each in self.sets]
        self.width = self.sets[1].dtype.itemsize  # asked for once: h5py takes 10 µs to tell
        self.unpacker, self.direct = lzf_chunks, not numba.config.DISABLE_JIT
        ours = [lzf_chunks.SHUFFLE, lzf_chunks.LZF, lzf_chunks.FLETCHER32]
        if self.direct and any(_filters(each) != ours or each.chunks[0] != 1 for each in self.sets):
            logger.warning(
                "%s: written with other filters, so it is read through HDF5, which is slower.", file.filename
            )
            self.direct = False

    def read(self, low: int, count: int, base: NDArray[np.int64]) -> Columns:
        """`count` events from block `low` on; `base` [blocks] are the times that blocks count from.

        Raises what h5py raises for damaged bytes, and ValueError where a checksum differs.
        """
        if not self.direct:
            return self._through_hdf5(low, count, base)
        columns = empty_columns(count)
        for block, start in enumerate(base):
            part = slice(block * BLOCK_EVENTS, min(count, (block + 1) * BLOCK_EVENTS))
            self._unpack(low + block, int(start), tuple(column[part] for column in columns))
        return columns

    def _unpack(self, block: int, base: int, columns: tuple[NDArray[Any], ...]) -> None:
        stored = [each.read_direct_chunk((block, 0)) for each in self.ids]
        chunks = tuple(np.frombuffer(data, np.uint8) for _, data in stored)
        packed = tuple(mask == 0 for mask, _ in stored)
        known = all(mask in (0, self.unpacker.NOT_COMPRESSED) for mask, _ in stored)
        if not known or not self.unpacker.unpack_block(chunks, packed, base, self.width, *columns):
            raise ValueError(f"checksum of block {block}")

    def _through_hdf5(self, low: int, count: int, base: NDArray[np.int64]) -> Columns:
        t, x, y, p = (each[low : low + len(base)] for each in self.sets)
        x, y = (column.reshape(-1)[:count].astype(np.uint16) for column in (x, y))
        ons = np.unpackbits(p.reshape(-1), count=count).view(np.bool_)
        return (t + base[:, None]).reshape(-1)[:count], x, y, ons


def _filters(column: Any) -> list[int]:
    """HDF5's numbers of the filters that a column's chunks went through, in order."""
    made = column.id.get_create_plist()
    return [made.get_filter(index)[0] for index in range(made.get_nfilters())]
