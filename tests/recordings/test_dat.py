"""Prophesee DAT, made byte by byte: types and versions, sizes said and not said, the clock, damage; and as faery reads."""

import random

import numpy as np
import pytest

from dvspipe.errors import RecordingError
from dvspipe.jobs.inspect import inspect_recording
from dvspipe.recordings import open_recording
from dvspipe.recordings.layouts import records

SIZE = (640, 480)


@pytest.fixture
def opened(tmp_path):
    def write(*parts, on_damage="skip", name="made.dat"):
        path = tmp_path / name
        path.write_bytes(b"".join(parts))
        return open_recording(path, on_damage)

    return write


@pytest.mark.parametrize("kind", [0, 12])
@pytest.mark.parametrize("name", ["made.dat", "made_td.bin2"])
def test_events_arrive(opened, made, words, kind, name):
    events = made.random_events(3_000, size=SIZE)
    recording = opened(words.dat_header(*SIZE, kind=kind), *(words.dat(*each) for each in events), name=name)
    assert (recording.format, recording.sensor_size) == ("dat", SIZE)
    assert made.tuples(recording.load()) == events
    assert recording.damage is None


@pytest.mark.parametrize("version", [1, None])
def test_before_version_2_places_were_shorter(opened, made, words, version):
    events = made.random_events(2_000, size=(304, 240))
    header = words.dat_header(304, 240, version=version, kind=0)
    assert made.tuples(opened(header, *(words.dat1(*each) for each in events)).load()) == events


def test_a_cd_file_without_version_is_a_new_one(opened, made, words):
    events = made.random_events(500, size=SIZE)
    header = words.dat_header(*SIZE, version=None)
    assert made.tuples(opened(header, *(words.dat(*each) for each in events)).load()) == events


REFUSED = {
    "triggers .DAT type 14.": {"kind": 14},
    "DAT type 7 with 8 bytes": {"kind": 7},
    "DAT type 12 with 16 bytes": {"size": 16},
}


@pytest.mark.parametrize("text", REFUSED)
def test_other_types_are_refused(opened, words, text):
    with pytest.raises(RecordingError, match=text):
        opened(words.dat_header(*SIZE, **REFUSED[text]), words.dat(1, 2, 3, 1))


def test_a_header_without_an_end_is_refused(opened, words):
    with pytest.raises(RecordingError, match="ends inside its header"):
        opened(words.dat_header(*SIZE)[:-1])


def test_prophesees_raw_files_are_not_taken_for_dat(tmp_path, words):
    from dvspipe.recordings.formats import dat

    for line in (b"% evt 3.0", b"% format EVT3;height=720;width=1280"):
        head = b"% Date 2020-09-25 07:48:29\n" + line + b"\n" + bytes(100)
        assert not dat.FORMAT.matches(head, tmp_path / "made.dat")
    assert dat.FORMAT.matches(words.dat_header(), tmp_path / "made.dat")


def test_a_crop_is_as_large_as_its_events(opened, made, words):
    """N-Cars' files do not say how large they are."""
    events = [*made.random_events(2_000, size=(78, 42)), (2_000_000, 77, 41, 1)]
    recording = opened(words.dat_header(kind=0), *(words.dat(*each) for each in events))
    assert recording.sensor_size == (78, 42)
    assert made.tuples(recording.load()) == events


def test_a_stray_place_makes_no_large_sensor(opened, made, words):
    events = made.random_events(2_000, size=(78, 42))
    rows = [words.dat(*each) for each in events]
    rows[700] = words.dat(events[700][0], 16_000, 20, 1)
    recording = opened(words.dat_header(kind=0), *rows)
    assert recording.sensor_size[0] <= 78 and recording.sensor_size[1] <= 42
    assert len(recording.load()) == 1_999
    assert recording.damage.kind == "out-of-bounds"


def test_a_long_file_gets_a_whole_sensor(opened, words, monkeypatch):
    from dvspipe.recordings.formats import dat

    monkeypatch.setattr(dat, "SAMPLE_EVENTS", 100)
    rows = [words.dat(t, 5, 5, 1) for t in range(150)] + [words.dat(150, 300, 200, 1)]
    recording = opened(words.dat_header(), *rows)
    assert recording.sensor_size == (304, 240)
    assert len(recording.load()) == 151


def test_a_size_that_cannot_be_is_not_believed(opened, made, words):
    events = made.random_events(500, size=(100, 90))
    recording = opened(words.dat_header(0, 70_000), *(words.dat(*each) for each in events))
    assert recording.sensor_size[0] <= 100


def test_no_events(opened, words):
    recording = opened(words.dat_header())
    assert len(recording.load()) == 0
    assert (recording.sensor_size, recording.damage) == ((304, 240), None)


def test_time_goes_on_over_the_end_of_its_clock(opened, made, words):
    turn = 1 << 32
    events = made.random_events(3_000, first=turn - 40_000, size=SIZE)
    assert made.tuples(opened(words.dat_header(*SIZE), *(words.dat(*each) for each in events)).load()) == events
    times = [5, turn // 2 + 9, turn - 1, turn, turn + turn // 3, turn + 2 * turn // 3, 2 * turn + 1]
    assert opened(words.dat_header(*SIZE), *(words.dat(t, 1, 1, 1) for t in times)).load().t.tolist() == times


BAD = {"x": (0, 640, 5, 1), "y": (0, 5, 480, 1), "polarity": (0, 5, 5, 2)}


@pytest.mark.parametrize("fault", BAD)
def test_impossible_records_are_refused_and_reported(opened, made, words, fault):
    events = made.random_events(400, size=SIZE)
    rows = [words.dat(*each) for each in events]
    rows.insert(100, words.dat(events[100][0], *BAD[fault][1:]))
    header = words.dat_header(*SIZE)
    recording = opened(header, *rows)
    assert made.tuples(recording.load()) == events
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("out-of-bounds", len(header) + 800, 8)
    assert damage.last_good_t_us == events[99][0]
    assert made.tuples(opened(header, *rows, on_damage="stop").load()) == events[:100]


@pytest.mark.parametrize("fill, kind", [(b"\x00", "corrupt"), (b"\xff", "out-of-bounds")])
def test_filled_records_are_no_events(opened, made, words, fill, kind):
    events = made.random_events(1_000, first=200, size=SIZE)
    rows = [words.dat(*each) for each in events]
    rows[300:600] = [fill * 8] * 300
    recording = opened(words.dat_header(*SIZE), *rows)
    assert made.tuples(recording.load()) == events[:300] + events[600:]
    assert (recording.damage.kind, recording.damage.lost_bytes) == (kind, 2_400)


def test_a_damaged_header_line_is_passed_over(opened, made, words):
    events = made.random_events(300, size=SIZE)
    header = bytearray(words.dat_header(*SIZE, extra=(b"% Date 2017-10-31 11:29:21", b"% note" * 20)))
    header[header.index(b"% Date")] ^= 1
    recording = opened(header, *(words.dat(*each) for each in events))
    assert made.tuples(recording.load()) == events
    assert (recording.damage.kind, recording.damage.lost_bytes) == ("corrupt", 27)


@pytest.mark.parametrize("block", [1, 3, 64, 65_536])
def test_any_block_size_gives_the_same(opened, made, words, monkeypatch, block):
    events = made.random_events(500, first=(1 << 32) - 5_000, size=SIZE)
    monkeypatch.setattr(records, "BLOCK_RECORDS", block)
    recording = opened(words.dat_header(*SIZE), *(words.dat(*each) for each in events), b"\x01\x02")
    assert made.tuples(recording.load()) == events
    assert (recording.damage.kind, recording.damage.lost_bytes) == ("truncated", 2)


def test_random_damage_never_crashes_nor_leaves_the_sensor(opened, made, words):
    events = made.random_events(1_500, size=SIZE)
    header = words.dat_header(*SIZE)
    whole = header + b"".join(words.dat(*each) for each in events)
    for seed in range(200):
        rng = random.Random(seed)
        data, at, length = bytearray(whole), rng.randrange(len(header), len(whole)), rng.choice([1, 8, 100, 3_000])
        stop = min(at + length, len(whole))
        data[at:stop] = rng.choice([bytes(stop - at), rng.randbytes(stop - at)])
        read = opened(bytes(data)).load()
        assert np.all(read.x < 640) and np.all(read.y < 480), seed
        untouched = (at - len(header)) // 8
        assert made.tuples(read[:untouched]) == events[:untouched], seed


def test_faery_reads_the_same(tmp_path, made, words):
    from faery import dat as faery_dat

    events = made.random_events(70_000, first=(1 << 32) - 900_000, size=SIZE)
    path = tmp_path / "made.dat"
    path.write_bytes(words.dat_header(*SIZE) + b"".join(words.dat(*each) for each in events))
    ours = open_recording(path).load()
    with faery_dat.Decoder(path, None, None) as decoder:
        theirs = np.concatenate([packet.copy() for packet in decoder])
    for name, column in {"t": ours.t, "x": ours.x, "y": ours.y}.items():
        assert np.array_equal(theirs[name].astype(np.int64), column.astype(np.int64)), name
    polarity = next(name for name in theirs.dtype.names if name not in "txy")
    assert np.array_equal(theirs[polarity].astype(bool), ours.p)


def test_the_real_car(recordings_dir):
    result = inspect_recording(recordings_dir / "atis_ncars.dat")
    assert (result["format"], result["sensor_size"], result["damage"]) == ("dat", [78, 42], None)
    assert (result["events"], result["t_first_us"], result["t_last_us"]) == (2_009, 0, 99_952)
    assert round(result["on_fraction"], 3) == 0.672
