"""AEDAT 4 through faery: its packets, its errors as reports, its panics as nothing worse."""

import random
from io import BytesIO

import numpy as np
import pytest

from dvspipe.errors import DamagedRecordingError, RecordingError
from dvspipe.recordings import open_recording
from dvspipe.recordings.layouts.aedat4_layout import read_header

FIRST = 1_605_537_493_718_345  # Unix µs, as the format has them
PACKETS, PER_PACKET = 20, 250


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a made file of 20 packets, and the times of its events."""
    import faery
    from faery import aedat

    def node(name, nodes=(), **values):
        kinds = {str: "string", int: "int"}
        attributes = {key: aedat.DescriptionAttribute(kinds[type(value)], value) for key, value in values.items()}
        return aedat.DescriptionNode(name, f"/mainloop/Recorder/{name}/", attributes, list(nodes))

    info = node("info", sizeX=128, sizeY=100, source="made")
    stream = node("0", [info], compression="LZ4", originalOutputName="events", typeIdentifier="EVTS")
    rng = np.random.default_rng(0)
    events = np.zeros(PACKETS * PER_PACKET, faery.EVENTS_DTYPE)
    events["t"] = FIRST + np.cumsum(rng.integers(0, 50, len(events)))
    events["x"], events["y"] = rng.integers(0, 128, len(events)), rng.integers(0, 100, len(events))
    events["on"] = rng.integers(0, 2, len(events))
    path = tmp_path_factory.mktemp("aedat4") / "made.aedat4"
    with aedat.Encoder(path, [node("outInfo", [stream])], aedat.LZ4_DEFAULT) as encoder:
        for start in range(0, len(events), PER_PACKET):
            encoder.write(0, events[start : start + PER_PACKET])
    return path.read_bytes(), events["t"].astype(np.int64)


@pytest.fixture
def opened(tmp_path):
    def write(data, on_damage="skip"):
        path = tmp_path / "made.aedat4"
        path.write_bytes(data)
        return open_recording(path, on_damage)

    return write


def test_whole_file(opened, whole):
    recording = opened(whole[0])
    assert (recording.format, recording.sensor_size) == ("aedat4", (128, 100))
    assert recording.load().t.tolist() == whole[1].tolist()
    assert recording.damage is None


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_cut_file_gives_the_whole_packets_before(opened, whole, share):
    data, t = whole
    recording = opened(data[: int(share * len(data))])
    read = recording.load()
    assert 0 < len(read) < len(t) and len(read) % PER_PACKET == 0
    assert read.t.tolist() == t[: len(read)].tolist()
    damage = recording.damage
    assert (damage.kind, damage.last_good_t_us) == ("truncated", int(read.t[-1]))
    assert damage.offset + damage.lost_bytes == int(share * len(data))


def test_cut_behind_the_last_packet_loses_no_event(opened, whole):
    data, t = whole
    table = read_header(BytesIO(data)).table
    for cut in (table, table + 7, len(data) - 1):
        recording = opened(data[:cut])
        assert recording.load().t.tolist() == t.tolist()
        assert recording.damage is None or recording.damage.kind == "truncated"
        assert recording.damage is not None or cut > table + 7


def test_cut_header_is_an_error_that_says_so(opened, whole):
    with pytest.raises(RecordingError, match="header cannot be read"):
        opened(whole[0][:60])


def test_fail_delivers_first(opened, whole):
    delivered = 0
    with pytest.raises(DamagedRecordingError, match="truncated at byte"):
        for chunk in opened(whole[0][: len(whole[0]) // 2], on_damage="fail"):
            delivered += len(chunk)
    assert delivered > 0


@pytest.mark.parametrize("place", [4, 8, 12, 300])
def test_a_damaged_packet_costs_itself(opened, whole, place):
    """In its header (its length: the next is searched for) or its body (the next is known)."""
    data, t = whole
    start, fifth = read_header(BytesIO(data)).start, 0
    for _ in range(5):
        fifth = start
        start += 8 + int.from_bytes(data[start + 4 : start + 8], "little")
    dirty = bytearray(data)
    dirty[fifth + place] ^= 0xFF
    recording = opened(bytes(dirty))
    assert recording.load().t.tolist() == np.delete(t, slice(4 * PER_PACKET, 5 * PER_PACKET)).tolist()
    damage = recording.damage
    assert (damage.kind, damage.offset, damage.lost_bytes) == ("corrupt", fifth, start - fifth)
    assert damage.last_good_t_us == t[4 * PER_PACKET - 1]
    assert opened(bytes(dirty), "stop").load().t.tolist() == t[: 4 * PER_PACKET].tolist()


def test_a_packet_that_unpacks_to_gigabytes_is_refused(opened, whole):
    import tracemalloc

    import lz4.frame

    data, t = whole
    header = read_header(BytesIO(data))
    bomb = lz4.frame.compress(bytes(1 << 28))
    packet = (0).to_bytes(4, "little") + len(bomb).to_bytes(4, "little") + bomb
    moved = [each.to_bytes(8, "little") for each in (header.table, header.table + len(packet))]
    recording = opened(data[: header.start].replace(*moved) + packet + data[header.start :])
    tracemalloc.start()
    assert recording.load().t.tolist() == t.tolist()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (recording.damage.kind, recording.damage.offset) == ("corrupt", header.start)
    assert recording.damage.lost_bytes == len(packet)
    assert peak < 100e6


def test_random_damage_is_reported_or_refused(opened, whole):
    data, _ = whole
    reported = 0
    for seed in range(100):
        rng = random.Random(seed)
        dirty = bytearray(data)
        first = rng.randrange(600, len(data))
        for place in [first, *(rng.randrange(first, len(data)) for _ in range(rng.choice([0, 4, 40])))]:
            dirty[place] ^= 1 << rng.randrange(8)
        try:
            recording = opened(bytes(dirty))
            read = recording.load()
        except RecordingError:
            continue
        assert np.all(read.x < 128) and np.all(read.y < 100), seed
        reported += recording.damage is not None
    assert reported > 50


def test_real_recording(recordings_dir):
    recording = open_recording(recordings_dir / "dvxplorer_person.aedat4")
    events = recording.load()
    assert (recording.sensor_size, recording.damage, len(events)) == ((320, 240), None, 111_954)
    assert (events.t[0], events.t[-1]) == (1_605_537_493_718_345, 1_605_537_494_308_262)
    assert round(float(events.p.mean()), 3) == 0.491
