"""HDF5 chunks as they lie in the file -> their numbers: checksum, LZF and shuffle undone in compiled loops.

For chunks written through HDF5's filters shuffle, lzf, fletcher32, in that order, which is how the archive writes. HDF5
does the same in several passes; clips are read 1.4 to 1.7 times as fast this way. Brings numba: import it inside functions.
Sources: `H5_checksum_fletcher32` of HDF5 and `lzf_d.c` of LibLZF. Knows no events.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SHUFFLE, LZF, FLETCHER32 = 2, 32000, 3  # HDF5's numbers of the filters
NOT_COMPRESSED = 0b010  # of a chunk's filter mask: LZF was left out, for it would have made the chunk longer
CHECKSUM_BYTES = 4
SUM_WORDS = 360  # so many 16-bit words fit into 32-bit sums
BLOCK = 8192  # events in a chunk; `archive_layout.BLOCK_EVENTS`, which numba takes in as it is


@njit(cache=True, nogil=True)
def fletcher32(data):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """HDF5's checksum of bytes: two running sums of big-endian 16-bit words; a last odd byte counts as the high one."""
    low, high, at, words = np.uint64(0), np.uint64(0), 0, len(data) // 2
    while words > 0:
        count = min(words, SUM_WORDS)
        for word in range(count):
            low += (np.uint64(data[at + 2 * word]) << np.uint64(8)) | np.uint64(data[at + 2 * word + 1])
            high += low
        at, words = at + 2 * count, words - count
        low, high = folded(low), folded(high)
    if len(data) % 2:
        low += np.uint64(data[at]) << np.uint64(8)
        high += low
        low, high = folded(low), folded(high)
    return np.int64((folded(high) << np.uint64(16)) | folded(low))


@njit(cache=True, nogil=True)
def folded(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """16 bits and what went over them."""
    return (value & np.uint64(0xFFFF)) + (value >> np.uint64(16))


@njit(cache=True, nogil=True)
def unpack_lzf(data, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Decompresses bytes into `out`; returns how many bytes, or -1 for bytes that are no LZF or need more room."""
    at, to = np.int64(0), np.int64(0)
    while at < len(data):
        control = np.int64(data[at])
        at += 1
        if control < 32:
            length = control + 1
            if at + length > len(data) or to + length > len(out):
                return -1
            for step in range(length):
                out[to + step] = data[at + step]
            at += length
        else:
            length, back = control >> 5, (control & 31) << 8
            if length == 7 and at < len(data):
                length += np.int64(data[at])
                at += 1
            if at >= len(data):
                return -1
            source, length, at = to - back - np.int64(data[at]) - 1, length + 2, at + 1
            if source < 0 or to + length > len(out):
                return -1
            if source == to - 1:  # a run of one byte: every copy would wait for the one before
                out[to : to + length] = out[source]
            else:
                for step in range(length):  # overlapping on purpose, for runs of more
                    out[to + step] = out[source + step]
        to += length
    return to


@njit(cache=True, nogil=True)
def unpack(data, packed, room, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Undoes checksum and LZF of one chunk: its `size` shuffled bytes, in `room` [size] or where they lay.

    Of length 0 where the chunk is damaged.
    """
    if len(data) < CHECKSUM_BYTES:
        return data[:0]
    body = data[: len(data) - CHECKSUM_BYTES]
    stored = np.int64(0)
    for byte in range(CHECKSUM_BYTES):
        stored |= np.int64(data[len(body) + byte]) << (8 * byte)
    if fletcher32(body) != stored:
        return body[:0]
    if not packed:
        return body if len(body) == size else body[:0]
    return room if unpack_lzf(body, room) == size else body[:0]


@njit(cache=True, nogil=True)
def unpack_block(chunks, packed, base, width, t, x, y, p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """One block of an event archive: chunks of t, x, y, p as bytes, and whether LZF packed each, -> columns of n events.

    `width` is the bytes of a coordinate. False where a chunk is damaged; the columns then hold anything.
    """
    room = np.empty(4 * BLOCK, np.uint8)
    times = unpack(chunks[0], packed[0], room, 4 * BLOCK)
    if len(times) == 0:
        return False
    for i in range(len(t)):
        bits = np.uint32(times[i]) | np.uint32(times[BLOCK + i]) << np.uint32(8)
        bits |= np.uint32(times[2 * BLOCK + i]) << np.uint32(16) | np.uint32(times[3 * BLOCK + i]) << np.uint32(24)
        t[i] = base + np.int64(np.int32(bits))
    for which, column in ((1, x), (2, y)):
        places = unpack(chunks[which], packed[which], room[: width * BLOCK], width * BLOCK)
        if len(places) == 0:
            return False
        for i in range(len(column)):
            column[i] = places[i]
        if width == 2:
            for i in range(len(column)):
                column[i] |= np.uint16(places[BLOCK + i]) << np.uint16(8)
    bits_of = unpack(chunks[3], packed[3], room[: BLOCK // 8], BLOCK // 8)
    if len(bits_of) == 0:
        return False
    for i in range(len(p)):
        p[i] = ((bits_of[i >> 3] >> np.uint8(7 - (i & 7))) & np.uint8(1)) != 0
    return True
