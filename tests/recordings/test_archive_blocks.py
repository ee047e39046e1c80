"""Chunks unpacked by ourselves against HDF5's own filters, on data that packs well, badly and not at all; and damage."""

import h5py
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.archive import Archive, ArchiveWriter
from dvspipe.recordings.archive_blocks import Blocks
from dvspipe.recordings.archive_layout import FILTERS
from dvspipe.recordings.layouts import lzf_chunks

COLUMNS = "txyp"


def kinds(rng, size):
    """Bytes that LZF makes nothing of, half of, and next to nothing of."""
    return {
        "noise": rng.integers(0, 256, size, np.uint8),
        "few": rng.integers(0, 3, size, np.uint8),
        "runs": np.repeat(rng.integers(0, 256, size // 50 + 1, np.uint8), 50)[:size],
        "period": np.tile(rng.integers(0, 256, 7, np.uint8), size // 7 + 1)[:size],
        "zero": np.zeros(size, np.uint8),
    }


@pytest.mark.parametrize("size", [16, 1_021, 8_192, 40_001])
@pytest.mark.parametrize("kind", ["noise", "few", "runs", "period", "zero"])
def test_what_hdf5_packs_is_unpacked_and_damage_is_seen(tmp_path, kind, size):
    rng = np.random.default_rng(size)
    data = kinds(rng, size)[kind]
    with h5py.File(tmp_path / "one.h5", "w") as file:
        held = file.create_dataset("a", data=data[None], chunks=(1, size), **FILTERS)
        file.flush()
        mask, raw = held.id.read_direct_chunk((0, 0))
    raw, room = np.frombuffer(raw, np.uint8), np.empty(size, np.uint8)
    assert mask in (0, lzf_chunks.NOT_COMPRESSED)
    np.testing.assert_array_equal(lzf_chunks.unpack(raw, mask == 0, room, size), data)
    for at in {0, len(raw) // 2, len(raw) - 1}:
        damaged = raw.copy()
        damaged[at] ^= 0x10
        assert len(lzf_chunks.unpack(damaged, mask == 0, room, size)) == 0
    for cut in (0, 3, 4, len(raw) - 1):
        assert len(lzf_chunks.unpack(raw[:cut], mask == 0, room, size)) == 0


@given(st.binary(max_size=200), st.integers(0, 300))
@settings(deadline=None, max_examples=300)
def test_bytes_that_are_no_lzf_write_nothing_beyond_their_room(data, size):
    room = np.full(size + 64, 0xA5, np.uint8)
    length = lzf_chunks.unpack_lzf(np.frombuffer(data, np.uint8), room[:size])
    assert -1 <= length <= size
    assert (room[size:] == 0xA5).all()


@pytest.fixture(params=[(128, 128), (1280, 720)], ids=["uint8", "uint16"])
def archive(tmp_path, request):
    """Events in every state of order, 3 blocks and a bit, negative times, and a recording of one event."""
    width, height = request.param
    rng, n = np.random.default_rng(2), 3 * 8_192 + 77
    t = np.sort(rng.integers(-(2**40), -(2**40) + 10**9, n)) + rng.integers(-500, 500, n)
    p = np.repeat(rng.random(n // 9 + 1) < 0.5, 9)[:n]
    events = Events.of(t, rng.integers(0, width, n), rng.integers(0, height, n), p, request.param)
    with ArchiveWriter(tmp_path / "set.h5", request.param, ["a"], {}) as writer:
        writer.add("many", [events], [])
        writer.add("single", [events[5:6]], [])
    return tmp_path / "set.h5", events


def read(path, name="many", low=0, high=9):
    """Events of some blocks, and whether they were unpacked here."""
    with Archive(path) as archive:
        return archive.blocks(name, low, high), archive._blocks.direct


def assert_same(one, two):
    for column in COLUMNS:
        left, right = getattr(one, column), getattr(two, column)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("compiled", [True, False])
def test_directly_and_through_hdf5(archive, monkeypatch, compiled):
    path, events = archive
    monkeypatch.setattr(numba.config, "DISABLE_JIT", not compiled)
    for expected, *which in ((events, "many"), (events[8_192 : 3 * 8_192], "many", 1, 3), (events[5:6], "single")):
        found, direct = read(path, *which)
        assert_same(found, expected)
        assert direct is compiled


def test_a_file_of_other_filters_is_read_too_and_told(archive, tmp_path, caplog):
    path, events = archive
    other = tmp_path / "other.h5"
    with h5py.File(path) as old, h5py.File(other, "w", libver=("v110", "v110")) as new:
        new.attrs.update(old.attrs)
        for name in old:
            chunks = (1, old[name].shape[1]) if name in COLUMNS else None
            new.create_dataset(name, data=old[name][:], chunks=chunks, compression="gzip" if chunks else None)
    again, direct = read(other)
    assert_same(again, events)
    assert not direct
    assert "other filters" in caplog.text


@pytest.mark.parametrize("column", COLUMNS)
def test_a_flipped_bit_in_any_column_is_found(archive, column):
    path, _ = archive
    with h5py.File(path) as file:
        place = file[column].id.get_chunk_info_by_coord((1, 0))
    with path.open("r+b") as file:
        file.seek(place.byte_offset + place.size // 2)
        (byte,) = file.read(1)
        file.seek(place.byte_offset + place.size // 2)
        file.write(bytes([byte ^ 4]))
    with Archive(path) as opened:
        with pytest.raises(RecordingError, match=r"damaged events in 'many' \(checksum of block 1\)"):
            opened.blocks("many", 0, 9)
        assert len(opened.blocks("many", 2, 9)) == 8_192 + 77


def test_a_clip_reads_the_blocks_that_can_hold_it_and_no_other(tmp_path, monkeypatch):
    n = 40 * 8_192
    t = np.arange(n)
    events = Events.of(t, t % 128, t // 128 % 128, t % 3 == 0, (128, 128))
    with ArchiveWriter(tmp_path / "set.h5", (128, 128), ["a"], {}) as writer:
        writer.add("many", [events], [])
    unpacked, real = [], Blocks._unpack
    monkeypatch.setattr(
        Blocks, "_unpack", lambda self, block, *rest: (unpacked.append(block), real(self, block, *rest))
    )
    with Archive(tmp_path / "set.h5") as archive:
        for start, length in ((0, 1), (100_000, 30_000), (8_192, 8_192), (n - 5, 5), (n, 9)):
            unpacked.clear()
            assert_same(archive.events("many", start, start + length), events.between(start, start + length))
            assert len(unpacked) <= -(-length // 8_192) + 2
