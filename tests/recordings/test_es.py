"""Event Stream, made byte by byte: steps of time, ATIS, refusals, going on behind damage; and as faery reads."""

import random
import time

import numpy as np
import pytest

from dvspipe.errors import DamagedRecordingError, RecordingError
from dvspipe.recordings import open_recording
from dvspipe.recordings.formats import es


@pytest.fixture
def opened(tmp_path):
    def write(*parts, on_damage="skip"):
        path = tmp_path / "made.es"
        path.write_bytes(b"".join(parts))
        return open_recording(path, on_damage)

    return write


@pytest.mark.parametrize("size", [(34, 34), (304, 240), (1280, 720)])
@pytest.mark.parametrize("step", [5, 50, 100_000])
def test_events_arrive(opened, made, words, size, step):
    events = made.random_events(2_000, size=size, step=step)
    recording = opened(words.es_header(size), *words.es(events))
    assert (recording.format, recording.sensor_size, recording.details) == ("es", size, {"events": "dvs"})
    assert made.tuples(recording.load()) == events
    assert recording.damage is None


def test_a_reset_byte_changes_nothing(opened, made, words):
    events = made.random_events(100)
    parts = words.es(events)
    assert made.tuples(opened(words.es_header(), b"\xfe", *parts[:50], b"\xfe\xfe", *parts[50:]).load()) == events


@pytest.mark.parametrize("step", [5, 60, 2_000])
def test_of_atis_the_change_detection_events_are_read(opened, made, words, step):
    rows = [(*each, index % 3 == 0) for index, each in enumerate(made.random_events(1_500, step=step))]
    recording = opened(words.es_header(kind=2), *words.es_atis(rows))
    assert made.tuples(recording.load()) == [each[:4] for each in rows if not each[4]]
    assert (recording.damage, recording.details) == (None, {"events": "atis"})


REFUSED = {
    "holds generic events, readable are dvs and atis": {"kind": 0},
    "holds color events": {"kind": 4},
    r"holds unknown \(9\) events": {"kind": 9},
    "version 1.2.3, readable is version 2": {"version": (1, 2, 3)},
    "0 x 128 pixels": {"size": (0, 128)},
    "128 x 60000 pixels": {"size": (128, 60_000)},
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_is_refused(opened, words, text):
    with pytest.raises(RecordingError, match=text):
        opened(words.es_header(**REFUSED[text]))


def test_a_cut_header_is_refused(opened, words):
    with pytest.raises(RecordingError, match="ends inside its header"):
        opened(words.es_header()[:17])


def test_no_events(opened, words):
    recording = opened(words.es_header())
    assert len(recording.load()) == 0
    assert recording.damage is None


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_cut_event_is_reported(opened, made, words, cut):
    events = made.random_events(300)
    parts = words.es(events)
    whole = words.es_header() + b"".join(parts[:-1])
    recording = opened(whole, parts[-1][:cut])
    assert made.tuples(recording.load()) == events[:-1]
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("truncated", len(whole), cut)
    assert damage.last_good_t_us == events[-2][0]


def test_a_pixel_outside_costs_its_event_only(opened, made, words):
    """The time it brought still counts: all later events keep theirs."""
    events = made.random_events(400)
    dirty = [*events[:150], (events[150][0], 500, 3, 1), *events[151:]]
    parts = words.es(dirty)
    recording = opened(words.es_header(), *parts)
    assert made.tuples(recording.load()) == events[:150] + events[151:]
    damage = recording.damage
    at = len(words.es_header() + b"".join(parts[:150]))
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("out-of-bounds", at, 5)
    assert damage.last_good_t_us == events[149][0]
    assert made.tuples(opened(words.es_header(), *parts, on_damage="stop").load()) == events[:150]
    delivered = []
    with pytest.raises(DamagedRecordingError, match=f"byte {at}"):
        chunks = opened(words.es_header(), *parts, on_damage="fail")
        delivered.extend(each for chunk in chunks for each in made.tuples(chunk))
    assert delivered == events[:150]


@pytest.mark.parametrize("junk", [b"\x91" * 7, bytes(40), b"\x11\xff\xff\xff\xff", bytes(10_000) + b"\x80"])
def test_reading_goes_on_behind_damage(opened, made, words, junk):
    events = made.random_events(600, step=20)
    parts = words.es(events)
    recording = opened(words.es_header(), *parts[:200], junk, *parts[200:])
    read = made.tuples(recording.load())
    assert read[:200] == events[:200]
    pixels = [each[1:] for each in events]
    assert [each[1:] for each in read[-395:]] == pixels[-395:]
    assert recording.damage.offset >= 20 + len(b"".join(parts[:200]))


def test_zero_filled_bytes_are_no_events(opened, made, words):
    events = made.random_events(500, step=20)
    parts = words.es(events)
    recording = opened(words.es_header(), *parts[:100], bytes(5 * 300), *parts[400:])
    read = made.tuples(recording.load())
    assert read[:100] == events[:100]
    assert [each[1:] for each in read[-100:]] == [each[1:] for each in events[400:]]
    assert len(read) <= 100 + 2 + 100  # the last zeros look like two events: no third follows
    damage = recording.damage
    assert (damage.kind, damage.lost_bytes, damage.last_good_t_us) == ("corrupt", 1_490, events[99][0])
    assert "early" in damage.note


@pytest.mark.parametrize("block", [20, 33, 500, 5 * 65_536])
def test_any_block_size_gives_the_same(opened, made, words, monkeypatch, block):
    events = made.random_events(400, step=300)
    dirty = [*events[:150], (events[150][0], 500, 3, 1), *events[151:]]
    monkeypatch.setattr(es, "BLOCK_BYTES", block)
    recording = opened(words.es_header(), *words.es(dirty), b"\x03")
    assert made.tuples(recording.load()) == events[:150] + events[151:]
    assert recording.damage.lost_bytes == 5 + 1


def test_random_damage_never_crashes_nor_leaves_the_sensor(opened, made, words):
    events = made.random_events(1_500)
    header, parts = words.es_header(), words.es(events)
    ends = np.cumsum([len(header), *map(len, parts)])
    whole = header + b"".join(parts)
    for seed in range(200):
        rng = random.Random(seed)
        data, at, length = bytearray(whole), rng.randrange(len(header), len(whole)), rng.choice([1, 8, 100, 3_000])
        stop = min(at + length, len(whole))
        data[at:stop] = rng.choice([bytes(stop - at), rng.randbytes(stop - at)])
        read = opened(bytes(data)).load()
        assert np.all(read.x < 128) and np.all(read.y < 128), seed
        assert np.all(np.diff(read.t) >= 0), seed
        untouched = int(np.searchsorted(ends, at, side="right")) - 1
        assert made.tuples(read[:untouched]) == events[:untouched], seed


@pytest.mark.parametrize("fill", [b"\xff", b"\xfe", b"\x01\x90\x90\x90\x90\xff", b"\x00\x00\x00\x00\x00\x90"])
def test_no_bytes_take_long(opened, words, fill):
    recording = opened(words.es_header(), b"\x01\x90\x90\x90\x90", fill * (2_000_000 // len(fill)))
    recording.load()
    started = time.perf_counter()
    assert len(recording.load()) < 1_000
    assert time.perf_counter() - started < 2


def test_faery_reads_the_same(tmp_path, made, words):
    from faery import es as faery_es

    events = made.random_events(80_000, size=(640, 480), step=300)
    path = tmp_path / "made.es"
    path.write_bytes(words.es_header((640, 480)) + b"".join(words.es(events)))
    with faery_es.Decoder(path, 0) as decoder:
        theirs = np.concatenate([packet.copy() for packet in decoder])
    ours = open_recording(path).load()
    for name, column in {"t": ours.t, "x": ours.x, "y": ours.y, "on": ours.p}.items():
        assert np.array_equal(theirs[name].astype(np.int64), column.astype(np.int64)), name

    again = tmp_path / "again.es"
    with faery_es.Encoder(again, "dvs", False, (640, 480)) as encoder:
        encoder.write(theirs)
    assert made.tuples(open_recording(again).load()) == events
