"""AEDAT 3.1: what a reader must and must not take from a file. Files are made byte by byte, not by our own writer."""

import random
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvspipe.errors import DamagedRecordingError
from dvspipe.recordings import open_recording


@pytest.fixture
def opened(tmp_path):
    """Writes bytes to a file and opens it."""

    def write(*parts, on_damage="skip"):
        path = tmp_path / "made.aedat"
        path.write_bytes(b"".join(parts))
        return open_recording(path, on_damage)

    return write


def test_every_event_of_ordinary_packets_arrives(opened, made):
    events = made.random_events(10_000)
    recording = opened(made.header(), *made.packets(events, 700))
    assert made.tuples(recording.load()) == events
    assert (recording.format, recording.sensor_size, recording.damage) == ("aedat3.1", (128, 128), None)


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize(
    "extra", [(), (b"# a note that makes the header longer than 105 bytes",), (b"#!END-HEADER not",)]
)
def test_header_is_read_to_its_end_mark(opened, made, end, extra):
    events = made.random_events(50)
    assert made.tuples(opened(made.header(end, extra=extra), made.packet(events)).load()) == events


def test_packet_that_begins_with_the_header_sign_is_no_header(opened, made):
    events = made.random_events(20)
    hash_packet = struct.pack("<hhiiiiii", 0x23, 1, 8, 4, 0, 0, 0, 0)
    path_bytes = (made.header(), made.packet([(5, 1, 1, 0)], kind=0, source=0x0A23), made.packet(events))
    assert made.tuples(opened(*path_bytes).load()) == events
    # Type 0x23 is not a type of the format; what follows is found again all the same.
    recording = opened(made.header(), hash_packet, made.packet(events))
    assert made.tuples(recording.load()) == events
    assert recording.damage.lost_bytes == len(hash_packet)


DEVICES = {
    b"DVS128": (128, 128),
    b"DAVIS240C": (240, 180),
    b"DAVIS346B": (346, 260),
    b"64x48": (64, 48),
    b"?": (128, 128),
}


@pytest.mark.parametrize("device, size", DEVICES.items())
def test_sensor_size_comes_from_the_device_name(opened, made, device, size):
    assert opened(made.header(device=device)).sensor_size == size


@pytest.mark.parametrize("kind, size", [(0, 8), (2, 36 + 8 * 6), (3, 36), (5, 12)])
def test_packets_of_other_types_are_passed_over(opened, made, kind, size):
    events = made.random_events(30)
    first, second = made.packets(events, 15)
    body = struct.pack("<hhiiiiii", kind, 1, size, 4, 0, 9, 9, 9) + b"\x07" * size * 9
    recording = opened(made.header(), body, first, body, second, body)
    assert made.tuples(recording.load()) == events
    assert recording.damage is None


def test_packet_larger_than_a_block_is_passed_over(opened, made):
    events = made.random_events(30)
    body = struct.pack("<hhiiiiii", 2, 1, 1_000_000, 12, 0, 2, 2, 2) + bytes(2_000_000)
    assert made.tuples(opened(made.header(), body, made.packet(events)).load()) == events


def test_invalid_events_are_dropped_without_damage(opened, made):
    events = [(*each, index % 3 > 0) for index, each in enumerate(made.random_events(300))]
    recording = opened(made.header(), made.packet(events))
    assert made.tuples(recording.load()) == [each[:4] for each in events if each[4]]
    assert recording.damage is None


def test_time_goes_on_above_31_bits(opened, made):
    top = (1 << 31) - 1
    recording = opened(
        made.header(),
        made.packet([(top - 1, 1, 2, 0), (top, 3, 4, 1)]),
        made.packet([(0, 5, 6, 0), (7, 7, 8, 1)], overflow=1),
        made.packet([(9, 9, 9, 1)], overflow=5),
    )
    assert recording.load().t.tolist() == [top - 1, top, 1 << 31, (1 << 31) + 7, (5 << 31) + 9]


@pytest.mark.parametrize("stored", [True, False], ids=["slots-stored", "slots-left-out"])
def test_unfilled_slots_are_no_events(opened, made, stored):
    events = made.random_events(40)
    first, second = events[:20], events[20:]
    spare = made.packet(first, spare=7) if stored else made.packet(first, capacity=27)
    for parts in ([spare, made.packet(second)], [made.packet(second), spare]):
        recording = opened(made.header(), *parts)
        assert sorted(made.tuples(recording.load())) == sorted(events)
        assert recording.damage is None


def test_event_size_and_time_offset_are_honoured(opened, made):
    events = made.random_events(25)
    wide = b"".join(struct.pack("<IIIi", 1 | p << 1 | y << 2 | x << 17, 0, 0, t) for t, x, y, p in events)
    recording = opened(made.header(), struct.pack("<hhiiiiii", 1, 1, 16, 12, 0, 25, 25, 25) + wide)
    assert made.tuples(recording.load()) == events


@given(cut=st.integers(0, 5_000), per_packet=st.integers(1, 200))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_cut_file_gives_every_whole_event_and_a_report(opened, made, cut, per_packet):
    events = made.random_events(600)
    header, packets = made.header(), made.packets(events, per_packet)
    whole = header + b"".join(packets)
    cut = len(header) + min(cut, len(whole) - len(header))
    recording = opened(whole[:cut])
    read = made.tuples(recording.load())

    at, expected, clean = len(header), 0, cut == len(header)
    for packet in packets:
        held = max(0, min(len(packet), cut - at) - 28) // 8
        expected, at = expected + held, at + len(packet)
        clean |= at == cut
    assert read == events[:expected]
    assert (recording.damage is None) == clean
    if recording.damage:
        assert recording.damage.kind == "truncated"
        assert recording.damage.offset + recording.damage.lost_bytes == cut
        assert recording.damage.lost_bytes < 28
        assert recording.damage.last_good_t_us == (read[-1][0] if read else None)


def test_cut_header_is_reported(opened, made):
    recording = opened(made.header()[:60])
    assert len(recording.load()) == 0
    assert recording.damage.kind == "truncated"


CORRUPT = {
    "kind": 99,
    "size": -8,
    "huge size": 1 << 30,
    "number": -1,
    "number>capacity": 10_000,
    "overflow": -3,
    "stamp": 64,
}


@pytest.mark.parametrize("fault", CORRUPT)
def test_corrupt_packet_header_costs_one_packet(opened, made, fault):
    events = made.random_events(300)
    value = CORRUPT[fault]
    bad = {"kind": {"kind": value}, "number>capacity": {"number": value}, "huge size": {"size": value}}.get(
        fault, {fault: value}
    )
    before, after = made.packet(events[:100]), made.packet(events[200:])
    lost = made.packet(events[100:200], **bad)
    parts = made.header(), before, lost, after

    recording = opened(*parts)
    assert made.tuples(recording.load()) == events[:100] + events[200:]
    damage = recording.damage
    assert (damage.kind, damage.lost_bytes, damage.last_good_t_us) == ("corrupt", len(lost), events[99][0])
    assert damage.offset == len(made.header()) + len(before)

    assert made.tuples(opened(*parts, on_damage="stop").load()) == events[:100]

    delivered = []
    with pytest.raises(DamagedRecordingError, match=f"byte {damage.offset}"):
        delivered.extend(each for chunk in opened(*parts, on_damage="fail") for each in made.tuples(chunk))


def test_on_damage_fail_delivers_first(opened, made):
    events = made.random_events(100)
    stream = iter(opened(made.header(), made.packet(events), b"\x01", on_damage="fail"))
    assert made.tuples(next(stream)) == events
    with pytest.raises(DamagedRecordingError, match="truncated"):
        next(stream)


def test_events_outside_the_sensor_are_refused_and_reported(opened, made):
    events = made.random_events(100)
    dirty = [*events[:40], (events[40][0], 128, 5, 1), (events[40][0], 5, 400, 0), *events[40:]]
    recording = opened(made.header(), made.packet(dirty))
    assert made.tuples(recording.load()) == events
    damage = recording.damage
    assert (damage.kind, damage.lost_bytes, damage.last_good_t_us) == ("out-of-bounds", 16, events[39][0])
    assert damage.offset == len(made.header()) + 28 + 8 * 40
    assert made.tuples(opened(made.header(), made.packet(dirty), on_damage="stop").load()) == events[:40]


@pytest.mark.parametrize("bit", [24, 28, 30, 31])
def test_a_flipped_bit_of_time_costs_one_event(opened, made, bit):
    events = made.random_events(100)
    t, *rest = events[50]
    flipped = t ^ (1 << bit)
    dirty = [*events[:50], (flipped - (1 << 32) if bit == 31 else flipped, *rest), *events[51:]]
    recording = opened(made.header(), made.packet(dirty))
    assert made.tuples(recording.load()) == events[:50] + events[51:]
    assert (recording.damage.kind, recording.damage.lost_bytes) == ("corrupt", 8)


def test_a_pause_is_no_damage(opened, made):
    events = [(1, 1, 1, 1), (2, 1, 1, 1), (500_000_000, 1, 1, 1), (900_000_000, 1, 1, 1), (2_000_000_000, 1, 1, 1)]
    recording = opened(made.header(), made.packet(events))
    assert made.tuples(recording.load()) == events
    assert recording.damage is None


def test_all_lost_bytes_are_counted_and_the_first_damage_is_kept(opened, made):
    events = made.random_events(90)
    packets = made.packets(events, 30)
    junk = b"\xee" * 44
    recording = opened(made.header(), junk, packets[0], junk, packets[1], junk, packets[2])
    assert made.tuples(recording.load()) == events
    assert (recording.damage.offset, recording.damage.lost_bytes) == (len(made.header()), 3 * len(junk))
    assert made.tuples(recording.load()) == events, "a second way through the file gives the same"


def test_random_damage_never_crashes_nor_leaves_the_sensor(opened, made):
    """300 files with flipped, lost, repeated or zeroed bytes: the prefix arrives, no event is outside the sensor."""
    events = made.random_events(3_000)
    header = made.header()
    whole = header + b"".join(made.packets(events, 137))
    for seed in range(300):
        rng = random.Random(seed)
        data = bytearray(whole)
        at, length = rng.randrange(len(header), len(data)), rng.choice([1, 1, 8, 64, 500])
        match rng.choice(["flip", "flip", "drop", "repeat", "zero"]):
            case "flip":
                for place in range(at, min(at + length, len(data))):
                    data[place] ^= 1 << rng.randrange(8)
            case "drop":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + length]
            case "zero":
                data[at : at + length] = bytes(len(data[at : at + length]))
        recording = opened(bytes(data))
        read = recording.load()
        assert np.all(read.x < 128) and np.all(read.y < 128) and np.all(read.t >= 0), seed
        packet = (at - len(header)) // (28 + 8 * 137)
        inside = max(0, (at - len(header)) % (28 + 8 * 137) - 28) // 8
        untouched = packet * 137 + (inside if (at - len(header)) % (28 + 8 * 137) >= 28 else 0)
        assert made.tuples(read[:untouched]) == events[:untouched], seed
        if recording.damage:
            offset = recording.damage.offset or len(data)  # 0 where only the times of other packets tell of it
            assert offset >= len(header) + packet * (28 + 8 * 137), seed
            assert 0 <= recording.damage.lost_bytes <= len(data), seed


def test_chunks_are_bounded_and_joined_they_are_the_recording(tmp_path, made, events_of, same):
    from dvspipe.recordings.formats.aedat31 import write_aedat31

    events = events_of(300_000)
    for step in (1_000, 65_536, 300_000):
        path = tmp_path / f"{step}.aedat"
        write_aedat31(path, (events[start : start + step] for start in range(0, len(events), step)))
        chunks = list(open_recording(path))
        assert max(len(chunk) for chunk in chunks) <= 65_536
        assert same(type(events).concatenate(chunks, (128, 128)), events)
