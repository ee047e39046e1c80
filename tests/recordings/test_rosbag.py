"""ROS 1 bags: made by the rosbags library, and byte by byte; whole, unfinished, cut and damaged."""

import random
import struct
from itertools import pairwise

import numpy as np
import pytest

from dvspipe.errors import DamagedRecordingError, RecordingError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.opening import recording_paths

rosbag1 = pytest.importorskip("rosbags.rosbag1")

COUNT, PER_MESSAGE = 12_000, 300
SECOND = 1_500_000_000
SIZE = (240, 180)
EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("sec", "<u4"), ("nsec", "<u4"), ("p", "u1")])
EVENT_ARRAY = (
    "Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n" + "=" * 80 + "\n"
    "MSG: dvs_msgs/Event\nuint16 x\nuint16 y\ntime ts\nbool polarity\n"
)
EVENT_PACKET = (
    "Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\nstring encoding\n"
    "bool is_bigendian\nuint8[] events\n"
)
BAG_HEADER_AT = 13


@pytest.fixture(scope="module")
def events(events_of):
    return events_of(COUNT, size=SIZE, first=SECOND * 1_000_000, step=30)


def packed(events):
    rows = np.empty(len(events), EVENT)
    rows["x"], rows["y"], rows["p"] = events.x, events.y, events.p
    rows["sec"], rows["nsec"] = events.t // 1_000_000, events.t % 1_000_000 * 1000 + 7
    return rows.tobytes()


def start(frame_id=b"dvs", size=SIZE, second=SECOND):
    return struct.pack("<IIII", 1, second, 0, len(frame_id)) + frame_id + struct.pack("<II", size[1], size[0])


def array(events, **how):
    return start(**how) + struct.pack("<I", len(events)) + packed(events)


def packet(words, encoding=b"evt3", time_base=0, big_endian=0):
    body = struct.pack("<QQI", 1, time_base, len(encoding)) + encoding + struct.pack("<BI", big_endian, len(words))
    return start(size=(1280, 720)) + body + words


def arrays(events, per_message=PER_MESSAGE):
    return [array(events[low : low + per_message]) for low in range(0, len(events), per_message)]


@pytest.fixture
def bag(tmp_path):
    """bag({topic: (type, definition, messages)}, compression) writes a bag with the rosbags library."""

    def write(topics, compression=None, chunk_bytes=20_000):
        path = tmp_path / "made.bag"
        path.unlink(missing_ok=True)
        writer = rosbag1.Writer(path)
        writer.chunk_threshold = chunk_bytes
        if compression:
            writer.set_compression(getattr(rosbag1.Writer.CompressionFormat, compression))
        with writer:
            held = [
                (writer.add_connection(topic, kind, msgdef=text, md5sum="0" * 32), messages)
                for topic, (kind, text, messages) in topics.items()
            ]
            for number in range(max(len(messages) for _, messages in held)):
                for connection, messages in held:
                    if number < len(messages):
                        writer.write(connection, number, messages[number])
        return path

    return write


def event_arrays(messages):
    return ("dvs_msgs/msg/EventArray", EVENT_ARRAY, messages)


def record(fields, data=b""):
    header = b"".join(
        struct.pack("<I", len(name) + 1 + len(value)) + name + b"=" + value for name, value in fields.items()
    )
    return struct.pack("<I", len(header)) + header + struct.pack("<I", len(data)) + data


def by_bytes(messages, topic=b"/dvs/events", index_pos=0, kind=b"dvs_msgs/EventArray"):
    """A bag as a recorder leaves it that died: no index, one chunk without compression whose length was never written."""
    head = record(
        {b"chunk_count": bytes(4), b"conn_count": bytes(4), b"index_pos": struct.pack("<Q", index_pos), b"op": b"\x03"},
        b" " * 4027,
    )
    fields = {b"topic": topic, b"type": kind, b"md5sum": b"*", b"message_definition": b""}
    body = record(fields)
    connection = record({b"conn": bytes(4), b"op": b"\x07", b"topic": topic}, body[4:-4])
    held = [record({b"conn": bytes(4), b"op": b"\x02", b"time": bytes(8)}, message) for message in messages]
    chunk = record({b"compression": b"none", b"op": b"\x05", b"size": bytes(4)})
    return b"#ROSBAG V2.0\n" + head + chunk + connection, held


@pytest.mark.parametrize("compression", [None, "BZ2", "LZ4"])
@pytest.mark.parametrize("per_message", [1, 8, PER_MESSAGE, COUNT])
def test_event_arrays(bag, events, same, compression, per_message):
    messages = arrays(events[:1000] if per_message < 10 else events, per_message)
    recording = open_recording(bag({"/dvs/events": event_arrays(messages)}, compression))
    assert same(recording.load(), events[: len(messages) * per_message])
    assert (recording.format, recording.sensor_size, recording.damage) == ("rosbag", SIZE, None)
    assert recording.details["topic"] == "/dvs/events"


def test_chunks_are_bounded(bag, events):
    recording = open_recording(bag({"/dvs/events": event_arrays([array(events)] * 20)}))
    sizes = [len(chunk) for chunk in recording]
    assert sum(sizes) == 20 * COUNT and max(sizes) <= 65_536 and len(sizes) < 12


def test_topics_are_named_and_the_first_is_read(bag, events, same):
    topics = {
        "/imu": ("std_msgs/msg/String", "string data\n", [struct.pack("<I", 2) + b"hi"] * 5),
        "/left": event_arrays(arrays(events[:500])),
        "/right": event_arrays(arrays(events[500:])),
    }
    path = bag(topics)
    assert recording_paths(path) == [f"{path}#/left", f"{path}#/right"]
    assert same(open_recording(path).load(), events[:500])
    assert same(open_recording(f"{path}#/right").load(), events[500:])
    with pytest.raises(RecordingError, match=r"no event topic '/imu'; it holds: /left \(dvs_msgs/EventArray\), /right"):
        open_recording(f"{path}#/imu")


def test_bag_without_events_is_refused(bag):
    with pytest.raises(
        RecordingError, match=r"no event topic; it holds: /imu \(std_msgs/String\). Known: dvs_msgs/EventArray"
    ):
        open_recording(bag({"/imu": ("std_msgs/msg/String", "string data\n", [struct.pack("<I", 2) + b"hi"])}))


def evt3(rows):
    """EVT3 words of (t, x, y, p) rows, one event each, time written in full."""
    words = []
    for t, x, y, p in rows:
        words += [8 << 12 | t >> 12 & 0xFFF, 6 << 12 | t & 0xFFF, y, 2 << 12 | p << 11 | x]
    return np.array(words, "<u2").tobytes()


def test_camera_words_go_on_across_messages(bag, made):
    rows = made.random_events(3_000, first=5_000_000, size=(1280, 720))
    words = evt3(rows)
    cuts = [0, *sorted(random.Random(0).sample(range(1, len(words)), 40)), len(words)]
    messages = [packet(words[low:high]) for low, high in pairwise(cuts)]
    recording = open_recording(
        bag({"/event_camera/events": ("event_camera_msgs/msg/EventPacket", EVENT_PACKET, messages)})
    )
    assert made.tuples(recording.load()) == rows
    assert (recording.sensor_size, recording.damage) == ((1280, 720), None)
    assert recording.details["encoding"] == "evt3"


@pytest.mark.parametrize("big_endian", [0, 1])
def test_mono_words_have_a_time_base(bag, made, big_endian):
    rows = made.random_events(500, first=0, size=(1280, 720))
    t, x, y, p = (np.array(column, "u8") for column in zip(*rows))
    words = (p << np.uint64(63) | y << np.uint64(48) | x << np.uint64(32) | t * np.uint64(1000)).astype(
        ">u8" if big_endian else "<u8"
    )
    messages = [packet(words[low : low + 50].tobytes(), b"mono", 77_000, big_endian) for low in range(0, 500, 50)]
    recording = open_recording(bag({"/events": ("event_camera_msgs/msg/EventPacket", EVENT_PACKET, messages)}))
    assert made.tuples(recording.load()) == [(t + 77, x, y, p) for t, x, y, p in rows]


def test_unknown_encoding_is_refused(bag):
    topics = {"/events": ("event_camera_msgs/msg/EventPacket", EVENT_PACKET, [packet(b"1234", b"libcaer_cmp")])}
    with pytest.raises(RecordingError, match=r"encoded as 'libcaer_cmp'. Known: mono, evt2"):
        open_recording(bag(topics))


def test_a_bag_whose_recorder_died(tmp_path, events, same):
    head, held = by_bytes(arrays(events))
    path = tmp_path / "made.bag.active"
    path.write_bytes(head + b"".join(held))
    recording = open_recording(path)
    assert same(recording.load(), events)
    damage = recording.damage
    assert (damage.kind, damage.lost_bytes, damage.last_good_t_us) == ("truncated", 0, int(events.t[-1]))
    assert "not finished" in damage.note


@pytest.mark.parametrize("compression", [None, "BZ2", "LZ4"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_cut_bag_gives_what_comes_before(bag, events, compression, share):
    path = bag({"/dvs/events": event_arrays(arrays(events))}, compression)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    recording = open_recording(path)
    read = recording.load()
    assert read.t.tolist() == events.t[: len(read)].tolist()
    reached = len(read) * len(data) / COUNT
    assert share * len(data) - (60_000 if compression else 8_000) < reached + 8_000
    assert recording.damage.last_good_t_us == read.t[-1]
    assert recording.damage.kind in ("truncated", "corrupt")


def test_every_event_before_a_cut(tmp_path, events):
    head, held = by_bytes(arrays(events))
    data, path = head + b"".join(held), tmp_path / "made.bag"
    width = len(held[0])
    for cut in (len(head) + 10 * width + 500, len(head) + 3 * width + 20, len(head) + 5 * width):
        path.write_bytes(data[:cut])
        recording = open_recording(path)
        inside = cut - len(head) - (cut - len(head)) // width * width - (width - PER_MESSAGE * EVENT.itemsize)
        whole = (cut - len(head)) // width * PER_MESSAGE + max(inside, 0) // EVENT.itemsize
        assert recording.load().t.tolist() == events.t[:whole].tolist()
        damage = recording.damage
        assert (damage.kind, damage.last_good_t_us) == ("truncated", int(events.t[whole - 1]))
        assert damage.offset + damage.lost_bytes == cut


@pytest.mark.parametrize("what", ["record header", "length of the record", "number of events", "sensor"])
def test_a_damaged_message_costs_no_other(tmp_path, events, what):
    head, held = by_bytes(arrays(events))
    dirty = bytearray(held[7])
    body = len(dirty) - len(arrays(events)[7])
    at = {"record header": 5, "length of the record": body - 2, "number of events": body + 29, "sensor": body + 22}[
        what
    ]
    dirty[at] ^= 0x80
    path = tmp_path / "made.bag"
    path.write_bytes(head + b"".join([*held[:7], bytes(dirty), *held[8:]]))
    recording = open_recording(path)
    read = recording.load()
    kept = set(read.t.tolist())
    low, high = 7 * PER_MESSAGE, 8 * PER_MESSAGE
    assert set(events.t[:low].tolist()) | set(events.t[high:].tolist()) <= kept <= set(events.t.tolist())
    assert (recording.damage.kind, recording.damage.last_good_t_us) != ("truncated", None)
    assert recording.damage.kind == "corrupt"
    stopped = open_recording(path, "stop").load()
    assert low <= len(stopped) <= high and stopped.t.tolist() == events.t[: len(stopped)].tolist()
    with pytest.raises(DamagedRecordingError):
        open_recording(path, "fail").load()


@pytest.mark.parametrize("compression", ["BZ2", "LZ4"])
def test_a_damaged_compressed_chunk_costs_no_other(bag, events, compression):
    path = bag({"/dvs/events": event_arrays(arrays(events))}, compression)
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data)) if data.startswith(b"compression=", at)]
    low = starts[2] + 200
    data[low : low + 400] = bytes(400)
    path.write_bytes(data)
    recording = open_recording(path)
    read = recording.load()
    assert COUNT - 3 * 20_000 // EVENT.itemsize < len(read) < COUNT
    assert set(read.t.tolist()) <= set(events.t.tolist())
    assert read.t[-1] == events.t[-1] and recording.damage.kind == "corrupt"


def test_impossible_values_are_refused(bag, events):
    rows = bytearray(packed(events[:200]))
    rows[13 * 50 + 8 : 13 * 50 + 12] = b"\xff\xff\xff\xff"  # nanoseconds
    rows[13 * 60 + 12] = 9  # polarity
    struct.pack_into("<H", rows, 13 * 70, SIZE[0])
    rows[13 * 100 : 13 * 120] = bytes(13 * 20)  # zeros: the beginning of 1970
    message = start() + struct.pack("<I", 200) + bytes(rows)
    recording = open_recording(bag({"/dvs/events": event_arrays([message, array(events[200:])])}))
    assert recording.load().t.tolist() == np.delete(events.t, [50, 60, 70, *range(100, 120)]).tolist()
    assert (recording.damage.kind, recording.damage.last_good_t_us) == ("corrupt", int(events.t[49]))


@pytest.mark.parametrize("second", [0, SECOND])
def test_a_clock_that_is_set_later_costs_nothing(bag, events, made, second):
    """A robot without a clock of its own starts in 1970, until the network tells it the time."""
    early = Events(events.t[:500] - SECOND * 1_000_000, events.x[:500], events.y[:500], events.p[:500], SIZE)
    recording = open_recording(bag({"/dvs/events": event_arrays([array(early, second=second), *arrays(events[500:])])}))
    assert made.tuples(recording.load()) == made.tuples(early) + made.tuples(events[500:])
    assert recording.damage is None


@pytest.mark.parametrize("compression", [None, "LZ4"])
def test_random_damage_gives_nothing_strange(bag, events, compression):
    data = bag({"/dvs/events": event_arrays(arrays(events))}, compression).read_bytes()
    path = bag({"/dvs/events": event_arrays(arrays(events[:10]))})
    for seed in range(60):
        rng = random.Random(seed)
        dirty = bytearray(data)
        for _ in range(rng.choice([1, 4, 60])):
            dirty[rng.randrange(14, len(dirty))] ^= 1 << rng.randrange(8)
        if seed % 4 == 0:
            low = rng.randrange(len(dirty))
            dirty[low : low + 2_000] = bytes(len(dirty[low : low + 2_000]))
        path.write_bytes(dirty[: rng.randrange(5_000, len(dirty))] if seed % 3 == 0 else dirty)
        try:
            recording = open_recording(path)
            read = recording.load()
        except RecordingError:
            continue
        width, height = recording.sensor_size
        assert np.all(read.x < width) and np.all(read.y < height), seed
        if compression is None:
            assert np.isin(read.t, events.t).mean() > 0.98, seed


@pytest.mark.parametrize(
    "data", [b"#ROSBAG V2.0\n", b"#ROSBAG V2.0\n" + b"\xff" * 9_000, b"#ROSBAG V2.0\n" + bytes(9_000)]
)
def test_a_mark_and_nothing_behind_it(tmp_path, data):
    path = tmp_path / "made.bag"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="no event topic; it holds: none"):
        open_recording(path)
