"""AEDAT 2.0: jAER's conventions, the clock, records that are no events, headers of all kinds, damage."""

import random
import struct

import numpy as np
import pytest

from dvspipe.errors import DamagedRecordingError, RecordingError, UsageError
from dvspipe.jobs.inspect import inspect_recording
from dvspipe.recordings import open_recording
from dvspipe.recordings.formats.aedat2 import open_aedat2
from dvspipe.recordings.layouts import records

SIZES = {
    b"Davis128": (128, 128),
    b"Davis208PixelParade": (208, 192),
    b"DAVIS240C": (240, 180),
    b"Davis346blue": (346, 260),
    b"Davis640": (640, 480),
}


@pytest.fixture
def opened(tmp_path):
    def write(*parts, on_damage="skip"):
        path = tmp_path / "made.aedat"
        path.write_bytes(b"".join(parts))
        return open_recording(path, on_damage)

    return write


@pytest.fixture
def dvs(made, words):
    """Random events and their records."""
    events = made.random_events(2_000)
    return events, [words.dvs128(*each) for each in events]


def test_dvs128_events_arrive(opened, made, words, dvs):
    events, records = dvs
    recording = opened(words.aedat2_header(), *records)
    assert made.tuples(recording.load()) == events
    assert (recording.format, recording.sensor_size, recording.damage) == ("aedat2.0", (128, 128), None)
    assert recording.details == {"camera": "DVS128", "convention": "jaer"}


@pytest.mark.parametrize("chip", SIZES)
def test_davis_events_arrive(opened, made, words, chip):
    size = SIZES[chip]
    events = made.random_events(2_000, size=size)
    make = words.davis(size, on=b"208" not in chip)
    recording = opened(words.aedat2_header(words.DAVIS + chip), *(make(*each) for each in events))
    assert recording.sensor_size == size
    assert made.tuples(recording.load()) == events
    assert recording.damage is None


# (header, address, then x, y, ON as jAER means them and as the bits say)
ORIENTATION = [
    ("DVS128", 0x0000, (127, 127, 1), (0, 0, 0)),
    ("DVS128", 0x0001, (127, 127, 0), (0, 0, 1)),
    ("DVS128", 5 << 1, (122, 127, 1), (5, 0, 0)),
    ("DVS128", 7 << 8, (127, 120, 1), (0, 7, 0)),
    ("DAVIS346B", 3 << 12, (342, 259, 0), (3, 0, 0)),
    ("DAVIS346B", 4 << 22 | 1 << 11, (345, 255, 1), (0, 4, 1)),
    ("Davis208PixelParade", 1 << 11, (207, 191, 0), (0, 0, 1)),
]


@pytest.mark.parametrize("chip, address, as_jaer, raw", ORIENTATION)
def test_directions_and_polarity(tmp_path, made, words, chip, address, as_jaer, raw):
    path = tmp_path / "made.aedat"
    path.write_bytes(words.aedat2_header(chip.encode()) + words.record(address, 77))
    assert made.tuples(open_recording(path).load()) == [(77, *as_jaer)]
    assert made.tuples(open_aedat2(path, "jaer").load()) == [(77, *as_jaer)]
    assert made.tuples(open_recording(path, convention="raw").load()) == [(77, *raw)]
    with pytest.raises(UsageError, match="'mirrored' is unknown; one of jaer, raw"):
        open_aedat2(path, "mirrored")


def test_time_is_unsigned_and_goes_on_over_its_end(opened, made, words):
    turn = 1 << 32
    times = [
        turn // 2 - 5,
        turn // 2 + 5,
        turn - 2,
        turn - 1,
        turn,
        turn + 3,
        3 * turn // 2,
        2 * turn - 9,
        2 * turn + 900,
    ]
    recording = opened(words.aedat2_header(), *(words.dvs128(t, 1, 2, 0) for t in times))
    assert recording.load().t.tolist() == times
    assert recording.damage is None


def test_late_events_around_the_end_of_the_clock_stay_where_they_were(opened, words):
    turn = 1 << 32
    times = [turn - 9, turn - 4, turn + 2, turn - 1, turn + 5, turn + 4, turn + 70]
    assert opened(words.aedat2_header(), *(words.dvs128(t, 1, 2, 0) for t in times)).load().t.tolist() == times


@pytest.mark.parametrize("bit", [22, 26, 30, 31])
@pytest.mark.parametrize("first", [1_000_000, 2_693_326_797, (1 << 32) - 30_000])
def test_a_flipped_bit_of_time_costs_one_event(opened, made, words, bit, first):
    events = made.random_events(1_500, first=first)
    rows = [words.dvs128(*each) for each in events]
    address, t = struct.unpack(">II", rows[900])
    rows[900] = struct.pack(">II", address, t ^ 1 << bit)
    recording = opened(words.aedat2_header(), *rows)
    assert made.tuples(recording.load()) == events[:900] + events[901:]
    assert recording.damage.kind == "corrupt"


def test_pauses_are_no_damage(opened, words):
    times = [1, 2, 500_000_000, 900_000_000, 2_000_000_000, 2_000_000_001]
    recording = opened(words.aedat2_header(), *(words.dvs128(t, 1, 2, 0) for t in times))
    assert recording.load().t.tolist() == times
    assert recording.damage is None


def test_what_is_no_event_is_passed_over_without_damage(opened, made, words):
    size = (346, 260)
    events = made.random_events(600, size=size)
    parts = [words.aedat2_header(words.DAVIS + b"Davis346B")]
    for t, *rest in events:
        parts += [words.davis(size)(t, *rest), words.aps(t), words.aps(t, read=1), words.imu(t), words.external(t)]
    recording = opened(*parts)
    assert made.tuples(recording.load()) == events
    assert recording.damage is None

    synced = [words.record(0x8000, 5), words.record(0xFFFF_8001, 6), words.dvs128(7, 1, 2, 1)]
    recording = opened(words.aedat2_header(), *synced)
    assert made.tuples(recording.load()) == [(7, 1, 2, 1)]
    assert recording.damage is None


LONG_HEADER = tuple(b'#    <entry key="DVS128.IPot.%d" value="54"/>' % number for number in range(500))


@pytest.mark.parametrize(
    "extra", [(), LONG_HEADER, (b"#",), (b"#" + b"-" * 70,), (b"# HardwareInterface: \xe9\x02\xff",)]
)
def test_headers_of_any_length_with_and_without_their_end(opened, made, words, dvs, extra):
    events, rows = dvs
    for end in (words.JAER_END, b""):
        recording = opened(words.aedat2_header(extra=extra, end=end), *rows)
        assert made.tuples(recording.load()) == events
        assert recording.damage is None


@pytest.mark.parametrize("x", [185, 345, 160], ids=["plain", "all-ones", "line-end"])
def test_records_that_begin_like_a_header_line_are_records(opened, made, words, x):
    """An event at raw y 140 begins with `#`; one at raw x 160 goes on like the end of a line."""
    size = (346, 260)
    rows = [(t, 345 - (x if t < 105 else 9), 259 - 140, 1) for t in range(100, 140)]
    data = [words.davis(size)(*row) for row in rows]
    assert data[0].startswith(b"#")
    for end in (words.JAER_END, b""):
        recording = opened(words.aedat2_header(words.DAVIS + b"Davis346B", end=end), *data)
        assert made.tuples(recording.load()) == rows
        assert recording.damage is None


def test_the_camera_of_a_file_that_does_not_say(opened, made, words, dvs):
    events, rows = dvs
    assert made.tuples(opened(words.aedat2_header(chip=None), *rows).load()) == events
    for size in [(240, 180), (346, 260), (640, 480)]:  # v2e writes such
        events = made.random_events(5_000, size=size)
        recording = opened(words.aedat2_header(chip=None, end=b""), *(words.davis(size)(*each) for each in events))
        assert recording.sensor_size == size
        assert made.tuples(recording.load()) == events
    hardware = opened(words.aedat2_header(chip=None, extra=(b"# HardwareInterface: DAVIS240C 0002",)))
    assert hardware.sensor_size == (240, 180)


def test_an_unknown_chip_is_refused(opened, words):
    with pytest.raises(RecordingError, match=r"'ch\.unizh\.CochleaAMS1c'; addresses are known of DVS128, DAVIS128"):
        opened(words.aedat2_header(b"ch.unizh.CochleaAMS1c"))


def test_no_events_are_no_damage(opened, words):
    recording = opened(words.aedat2_header())
    assert len(recording.load()) == 0
    assert recording.damage is None


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_cut_record_is_reported(opened, made, words, dvs, cut):
    events, rows = dvs
    header = words.aedat2_header()
    recording = opened(header, *rows[:100], rows[100][:cut])
    assert made.tuples(recording.load()) == events[:100]
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("truncated", len(header) + 800, cut)
    assert damage.last_good_t_us == events[99][0]


def test_events_outside_are_refused_and_reported(opened, made, words):
    size = (346, 260)
    events = made.random_events(500, size=size)
    rows = [words.davis(size)(*each) for each in events]
    t = events[200][0]
    rows[200:200] = [words.record(346 << 12, t), words.record(260 << 22, t)]
    header = words.aedat2_header(words.DAVIS + b"Davis346B")
    recording = opened(header, *rows)
    assert made.tuples(recording.load()) == events
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("out-of-bounds", len(header) + 1_600, 16)
    assert damage.last_good_t_us == events[199][0]
    assert made.tuples(opened(header, *rows, on_damage="stop").load()) == events[:200]
    delivered = []
    with pytest.raises(DamagedRecordingError, match=f"byte {damage.offset}"):
        delivered.extend(each for chunk in opened(header, *rows, on_damage="fail") for each in made.tuples(chunk))
    assert delivered == events[:200]


def test_dvs128_addresses_are_16_bits(opened, made, words, dvs):
    events, rows = dvs
    rows = [*rows[:50], words.record(1 << 20 | 5, events[50][0]), *rows[50:]]
    recording = opened(words.aedat2_header(), *rows)
    assert made.tuples(recording.load()) == events
    assert recording.damage.kind == "out-of-bounds"


@pytest.mark.parametrize("first", [100, 1_000_000, 2_693_326_797])
def test_zero_filled_records_are_no_events(opened, made, words, first):
    events = made.random_events(1_000, first=first)
    rows = [words.dvs128(*each) for each in events]
    rows[300:600] = [bytes(8)] * 300
    header = words.aedat2_header()
    recording = opened(header, *rows)
    assert made.tuples(recording.load()) == events[:300] + events[600:]
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("corrupt", len(header) + 2_400, 2_400)
    two = opened(header, bytes(16), *rows[:5])  # pixel (127, 127) may well fire at time 0
    assert len(two.load()) == 7


def test_a_damaged_header_costs_its_lines(opened, made, words, dvs):
    events, rows = dvs
    header = bytearray(words.aedat2_header(extra=LONG_HEADER))
    line = header.index(b"#    <entry")
    header[line] ^= 4
    recording = opened(header, *rows)
    assert made.tuples(recording.load()) == events
    assert (recording.damage.kind, recording.damage.offset) == ("corrupt", line)
    assert recording.damage.lost_bytes == len(LONG_HEADER[0]) + 2


@pytest.mark.parametrize("end", [True, False])
def test_records_are_found_behind_a_destroyed_header(opened, made, words, dvs, end):
    events, rows = dvs
    header = bytearray(words.aedat2_header(extra=LONG_HEADER, end=words.JAER_END if end else b""))
    rng = random.Random(3)
    hole = slice(5_000, 5_300) if end else slice(len(header) - 300, len(header) + 3)
    whole = header + b"".join(rows)
    whole[hole] = rng.randbytes(hole.stop - hole.start)
    read = made.tuples(opened(whole).load())
    assert read[-len(events) + 50 :] == events[50:]


@pytest.mark.parametrize("block", [2, 7, 100, 65_536])
def test_any_block_size_gives_the_same(opened, made, words, monkeypatch, block):
    events = made.random_events(300, first=(1 << 32) - 4_000)
    rows = [words.dvs128(*each) for each in events]
    rows[100:150] = [bytes(8)] * 50
    rows[200] = words.record(1 << 20, events[200][0])
    monkeypatch.setattr(records, "BLOCK_RECORDS", block)
    recording = opened(words.aedat2_header(), *rows, b"\x01")
    assert made.tuples(recording.load()) == events[:100] + events[150:200] + events[201:]
    assert recording.damage.lost_bytes == 400 + 8 + 1


def test_random_damage_never_crashes_nor_leaves_the_sensor(opened, made, words):
    size = (240, 180)
    events = made.random_events(1_500, size=size)
    header = words.aedat2_header(words.DAVIS + b"DAVIS240C")
    whole = header + b"".join(words.davis(size)(*each) for each in events)
    for seed in range(200):
        rng = random.Random(seed)
        data, at, length = bytearray(whole), rng.randrange(len(header), len(whole)), rng.choice([1, 8, 100, 3_000])
        stop = min(at + length, len(whole) - 100)  # the last events of a file have no witnesses against their times
        data[at:stop] = rng.choice([bytes(max(0, stop - at)), rng.randbytes(max(0, stop - at))])
        read = opened(bytes(data)).load()
        assert np.all(read.x < 240) and np.all(read.y < 180), seed
        untouched = (at - len(header)) // 8
        assert made.tuples(read[:untouched]) == events[:untouched], seed
        assert np.all(read.t <= events[-1][0] + 1_000_000), seed


def test_the_real_file(recordings_dir):
    result = inspect_recording(recordings_dir / "dvs128_foam90_aedat2.aedat")
    assert (result["format"], result["sensor_size"], result["damage"]) == ("aedat2.0", [128, 128], None)
    assert (result["events"], result["t_first_us"], result["t_last_us"]) == (1_575, 2_693_326_797, 2_698_248_407)
    assert round(result["on_fraction"], 3) == 0.792
    raw = open_aedat2(recordings_dir / "dvs128_foam90_aedat2.aedat", "raw").load()
    assert round(float(raw.p.mean()), 3) == 0.208
