"""Prophesee RAW: EVT2, EVT2.1 and EVT3, word by word. Files are made by `evt_builders.py`, never by a writer of ours."""

import hashlib
import importlib.util
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from dvspipe.errors import DamagedRecordingError, RecordingError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.layouts.evt_decoder import EvtDecoder

ENCODINGS = ("evt2", "evt2.1", "evt3")
SIZE = (640, 480)
SECOND_US = 1_000_000
TRIGGERS = {  # words that are no events: trigger, others, continued, and EVT3's IMU and continued 4
    "evt2": [0xA0000100, 0xE1234567, 0xF7654321],
    "evt2.1": [0xA << 60 | 1 << 32, 0xE << 60 | 77, 0xF << 60 | 5],
    "evt3": [0xA001, 0xE234, 0xF345, 0x7003, 0xD111],
}


def _load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


evt = _load("evt_builders")


@pytest.fixture
def opened(tmp_path):
    """Writes bytes to a file and opens it."""

    def write(*parts, on_damage="skip"):
        path = tmp_path / "made.raw"
        path.write_bytes(b"".join(parts))
        return open_recording(path, on_damage)

    return write


def rows(events):
    return list(zip(events.t.tolist(), events.x.tolist(), events.y.tolist(), events.p.astype(int).tolist()))


def decoded(encoding, data, cuts=(), size=SIZE, **how):
    """The events of bytes given to one decoder in parts, and the decoder."""
    decoder = EvtDecoder(encoding, size, **how)
    edges = [0, *cuts, len(data)]
    parts = [decoder.decode(data[start:stop]) for start, stop in itertools.pairwise(edges)]
    return rows(Events.concatenate([*parts, decoder.finish()], size)), decoder


def words(encoding, *values):
    return b"".join(evt.pack(encoding, value) for value in values)


# ---------------------------------------------------------------------------------------------- whole files


def test_the_real_evt3(recordings_dir):
    """TIME_LOW steps back by some us in it, each time before the next event: neither an overflow nor damage."""
    recording = open_recording(recordings_dir / "gen41_scene_evt3.raw")
    events = recording.load()
    assert (recording.sensor_size, recording.details["encoding"], recording.damage) == ((1280, 720), "evt3", None)
    assert (len(events), int(events.t[0]), int(events.t[-1])) == (219_596, 11_718_656, 11_727_457)
    assert round(float(events.p.mean()), 3) == 0.526
    assert np.diff(events.t).min() == 0


def test_the_real_evt2(recordings_dir):
    recording = open_recording(recordings_dir / "gen3_scene_evt2.raw")
    chunks = list(recording)
    events = Events.concatenate(chunks, recording.sensor_size)
    assert (recording.sensor_size, recording.details["encoding"], recording.damage) == ((640, 480), "evt2", None)
    assert (len(events), int(events.t[0]), int(events.t[-1])) == (521_252, 913_716_224, 913_812_095)
    assert round(float(events.p.mean()), 3) == 0.357
    assert max(len(chunk) for chunk in chunks) <= 65_536


@pytest.mark.parametrize("beat_us", [16, 500, None])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_event_arrives(opened, encoding, beat_us):
    for seed, (step, vectors) in enumerate([(3, True), (40, True), (40, False), (2_000, True)]):
        events = evt.random_events(1_500, seed, step=step, run=0.5)
        recording = opened(evt.header(encoding), evt.stream(encoding, events, beat_us, vectors).data())
        assert rows(recording.load()) == events
        assert (recording.format, recording.sensor_size, recording.damage) == ("prophesee-raw", SIZE, None)
        assert recording.details["encoding"] == encoding
        assert rows(recording.load()) == events, "a second way through the file gives the same"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_chunks_are_bounded(opened, encoding):
    events = [(1_000 + index // 600, index % 600, 7, 1) for index in range(150_000)]
    chunks = list(opened(evt.header(encoding), evt.stream(encoding, events).data()))
    assert max(len(chunk) for chunk in chunks) <= 65_536
    assert [row for chunk in chunks for row in rows(chunk)] == events


@pytest.mark.parametrize("swapped", [False, True], ids=["genx320", "imx636"])
@pytest.mark.parametrize("beat_us", [16, None])
def test_both_orders_of_evt21_are_recognised(opened, swapped, beat_us):
    for count in (20, 3_000):
        events = evt.random_events(count, run=0.8)
        stream = evt.stream("evt2.1", events, beat_us)
        assert rows(opened(evt.header("evt2.1"), stream.data(swapped=swapped)).load()) == events


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_big_endian_words(opened, encoding):
    events = evt.random_events(2_000, run=0.5)
    line = f"format EVT{encoding[3:].replace('.', '')};endianness=big;height=480;width=640"
    head = evt.header(encoding, size=None, extra=[line])
    recording = opened(head, evt.stream(encoding, events).data(big_endian=True))
    assert (rows(recording.load()), recording.sensor_size) == (events, SIZE)


@pytest.mark.parametrize("encoding", ["evt2", "evt3"])
def test_faery_reads_the_same(tmp_path, encoding):
    """A peer that shares no code with us, on files without damage; it has no EVT2.1."""
    from faery import evt as peer

    for seed, beat_us in enumerate([16, 500, None]):
        events = evt.random_events(5_000, seed, step=300, run=0.4)
        path = tmp_path / "made.raw"
        path.write_bytes(evt.header(encoding) + evt.stream(encoding, events, beat_us).data())
        packets = [packet["events"] for packet in peer.Decoder(path, None, None) if "events" in packet]
        theirs = [each for packet in packets for each in packet.tolist()]
        assert [(t, x, y, int(p)) for t, x, y, p in theirs] == rows(open_recording(path).load()) == events


@pytest.mark.parametrize("zero_t0", [False, True])
@pytest.mark.parametrize("encoding", ["evt2", "evt3"])
def test_what_faery_writes(tmp_path, encoding, zero_t0):
    """It crosses pauses by TIME_HIGHs one behind the other, over many turns of EVT3's clock (where its own decoder
    loses count), names a `t0` and leaves out a first TIME_LOW of 0."""
    import faery
    from faery import evt as peer

    events = []
    for seed, first in enumerate([5, 1_000 * SECOND_US, 1_009 * SECOND_US, 1_300 * SECOND_US]):
        events += evt.random_events(40, seed, first=first, step=200)
    path = tmp_path / "made.raw"
    written = np.array([(t, x, y, bool(p)) for t, x, y, p in events], faery.EVENTS_DTYPE)
    with peer.Encoder(path, encoding, zero_t0, SIZE, False) as encoder:
        encoder.write({"events": written})
    recording = open_recording(path)
    assert (rows(recording.load()), recording.damage) == (events, None)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_where_bytes_are_cut_changes_nothing(encoding):
    """Neither of whole streams nor of damaged ones: also what is lost is the same."""
    for seed in range(12):
        rng = random.Random(seed)
        events = evt.random_events(60, seed, step=rng.choice([5, 200, 20_000]), run=0.5)
        data = bytearray(evt.stream(encoding, events, rng.choice([16, None]) if seed % 3 else None).data())
        if seed % 2:
            at = rng.randrange(len(data))
            data[at : at + 40] = rng.randbytes(len(data[at : at + 40])) if seed % 4 == 1 else bytes(40)
        whole, decoder = decoded(encoding, bytes(data))
        for step in (1, 7, 61):
            cut, other = decoded(encoding, bytes(data), range(step, len(data), step))
            assert cut == whole
            assert (other.lost_bytes, other.early_words) == (decoder.lost_bytes, decoder.early_words)
        if not seed % 2:
            assert (whole, decoder.lost_bytes) == (events, 0)


def test_the_compiled_loops_are_those_of_this_clock(checkout):
    """numba does not notice when a file changes that a compiled function calls into; it does when its own file does."""
    from dvspipe.recordings.layouts import evt2_words, evt3_words, evt21_words

    digits = hashlib.sha256((checkout / "dvspipe/recordings/layouts/evt_clock.py").read_bytes()).hexdigest()[:8]
    for module in (evt2_words, evt21_words, evt3_words):
        assert digits == module.EVT_CLOCK, f"set EVT_CLOCK = {digits!r} in {module.__name__}"


# ---------------------------------------------------------------------------------------------- headers

LINES = {
    "geometry 320x240": (320, 240),
    "format EVT3;height=400;width=600": (600, 400),
    "plugin_name hal_plugin_gen41_evk3": (1280, 720),
    "plugin_name hal_plugin_gen31_fx3": (640, 480),
    "sensor_name IMX636": (1280, 720),
    "sensor_name GenX320": (320, 320),
    "geometry 0x5000": (304, 240),
    "note no size here": (304, 240),
}


@pytest.mark.parametrize("line, size", LINES.items())
def test_sensor_size_is_said_or_found(opened, line, size):
    """By the header, else by the camera's name, else by the events, which need the smallest sensor here."""
    events = evt.random_events(300, size=(290, 230))
    recording = opened(evt.header("evt3", size=None, extra=[line]), evt.stream("evt3", events).data())
    assert (recording.sensor_size, rows(recording.load())) == (size, events)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (2000, 1500)])
def test_the_smallest_sensor_that_holds_the_events(opened, size):
    events = [*evt.random_events(3_000, size=size), (5_100_000, size[0] - 1, size[1] - 1, 1)]
    recording = opened(evt.header("evt2", size=None), evt.stream("evt2", events).data())
    assert recording.sensor_size == size
    assert rows(recording.load()) == events


@pytest.mark.parametrize("first", [0x0A, 0x25, 0x0D, 0x20])
def test_words_that_look_like_text_are_no_header(opened, first):
    """Old files have no `% end`: the first word may begin with a line feed or a per cent sign."""
    t = first << 6
    recording = opened(evt.header("evt2", end=False), words("evt2", evt.time_high2(first), evt.event2(t, 5, 6, 1)))
    assert rows(recording.load()) == [(t, 5, 6, 1)]


def test_old_names_of_the_encodings(opened):
    events = evt.random_events(50)
    for line in ("% evt 2", "% evt 2.0", "% format EVT2"):
        head = f"% Date 2020\r\n{line}\r\n% geometry 640x480\r\n".encode()
        assert rows(opened(head, evt.stream("evt2", events).data()).load()) == events


@pytest.mark.parametrize("line", ["evt 4.0", "format EVT4;height=720;width=1280", "evt", "evt 1.1", "nothing"])
def test_other_encodings_are_refused(opened, line):
    with pytest.raises(RecordingError, match=r"readable are EVT2, EVT2\.1 and EVT3"):
        opened(f"% Date 2024\n% {line}\n% end\n".encode(), bytes(100))
    with pytest.raises(RecordingError, match=r"evt2\.1, evt3"):
        EvtDecoder("evt4", SIZE)


def test_a_damaged_header_line_is_passed_over_and_reported(opened):
    events = evt.random_events(50)
    head = bytearray(evt.header("evt3"))
    at = head.index(b"% serial")
    head[at] ^= 1
    recording = opened(bytes(head), evt.stream("evt3", events).data())
    assert rows(recording.load()) == events
    assert (recording.damage.kind, recording.damage.offset) == ("corrupt", at)


def test_a_cut_header_is_reported_and_a_whole_one_is_an_empty_recording(opened):
    head = evt.header("evt3", end=False)
    recording = opened(head[:-3])
    assert (len(recording.load()), recording.damage.kind) == (0, "truncated")
    recording = opened(head)
    assert (len(recording.load()), recording.damage) == (0, None)


# ---------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_times_above_31_bits(encoding):
    """EVT3 cannot tell them at once: its clock gets there by running over every 16.8 s, EVT2's every 4.8 h."""
    if encoding == "evt3":
        events = [(t, 5, 5, 1) for t in range(10_000, (1 << 31) + 40_000_000, 9_000_000)]
        assert decoded(encoding, evt.stream(encoding, events, beat_us=1_000_000).data())[0] == events
        return
    for first in ((1 << 31) - 500, (1 << 32) - 500, (1 << 34) - 500):
        events = evt.random_events(200, first=first)
        for beat_us in (16, None):
            assert decoded(encoding, evt.stream(encoding, events, beat_us).data())[0] == events


@pytest.mark.parametrize(
    "encoding, pause_us", [("evt2", 3_600 * SECOND_US), ("evt2.1", 3_600 * SECOND_US), ("evt3", 15 * SECOND_US)]
)
@pytest.mark.parametrize("step", [5, 3_000])
def test_a_pause_without_a_word_is_no_damage(encoding, pause_us, step):
    first = evt.random_events(300, step=step)
    later = evt.random_events(300, 1, first=first[-1][0] + pause_us, step=step)
    got, decoder = decoded(encoding, evt.stream(encoding, first + later, None).data())
    assert (got, decoder.lost_bytes) == (first + later, 0)
    quiet = evt.stream(encoding, first).words + evt.stream(encoding, later).words
    got, decoder = decoded(encoding, words(encoding, *quiet))
    assert (got, decoder.lost_bytes) == (first + later, 0)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pauses_one_behind_the_other(encoding):
    """Shorter ones in EVT3, whose clock runs over every 16.8 s: five of them must fit in."""
    longest = (3 if encoding == "evt3" else 200) * SECOND_US
    t = 5_000_000 + np.cumsum(np.random.default_rng(0).integers(1_500_000, longest, 60))
    events = [(int(each), 3, 4, 1) for each in t]
    got, decoder = decoded(encoding, evt.stream(encoding, events, None).data())
    assert (got, decoder.lost_bytes) == (events, 0)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_minutes_of_silence_in_which_the_clock_goes_on(encoding):
    events = [*evt.random_events(50), *evt.random_events(50, 1, first=5_000_000 + 300 * SECOND_US)]
    got, decoder = decoded(encoding, evt.stream(encoding, events, beat_us=4_096).data())
    assert (got, decoder.lost_bytes) == (events, 0)


def test_backward_time_low_is_what_the_file_says(opened):
    lows = [607, 619, 608, 620, 616, 0xFFE, 0xFFB, 0xFFF]
    body = [evt.time_high3(9)]
    for low in lows:
        body += [evt.time_low3(low), 7, 0x2000 | 30]
    body += [evt.time_high3(10), evt.time_low3(2), 7, 0x2000 | 30, evt.time_high3(10), evt.time_low3(0), 0x2000 | 31]
    recording = opened(evt.header("evt3"), words("evt3", *body))
    assert recording.load().t.tolist() == [*(9 << 12 | low for low in lows), 10 << 12 | 2, 10 << 12]
    assert recording.damage is None


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_comes_before_the_first_time_is_counted_and_no_damage(opened, encoding):
    events = evt.random_events(100)
    stream = evt.stream(encoding, events)
    cut = next(index for index, whole in enumerate(stream.whole) if whole >= 10)
    left = stream.words[1 : cut + 1]
    early = sum(later > before for before, later in zip(stream.whole, stream.whole[1 : cut + 1]))
    left = [word for word in left if word >> {"evt2": 28, "evt2.1": 60, "evt3": 12}[encoding] != 8]
    recording = opened(evt.header(encoding), words(encoding, *left), stream.data())
    assert (rows(recording.load()), recording.damage) == (events, None)
    assert recording.details["early_words"] == early


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_words_of_other_types_are_passed_over(encoding):
    for seed in range(5):
        rng = random.Random(seed)
        events = evt.random_events(300, seed, run=0.5)
        mixed = []
        for word in evt.stream(encoding, events).words:
            mixed += [word, *rng.choices(TRIGGERS[encoding], k=rng.choice([0, 0, 1, 3]))]
        got, decoder = decoded(encoding, words(encoding, *mixed))
        assert (got, decoder.lost_bytes) == (events, 0)


def test_the_two_cameras_bit_changes_no_row():
    """ADDR_Y's bit 11: a slave camera sets it in every word."""
    events = evt.random_events(300, run=0.5)
    slave = [word | 0x800 if word >> 12 == 0 else word for word in evt.stream("evt3", events).words]
    assert decoded("evt3", words("evt3", *slave))[0] == events


def test_coordinates_said_once_hold_for_all_that_follow():
    """EVT3 repeats nothing: one row for two times, one base for vectors that lie apart."""
    body = [evt.time_high3(1), evt.time_low3(5), 9, 0x2000 | 3, evt.time_low3(6), 0x2800 | 4]
    body += [0x3000 | 100, 0x4000 | 0b101, 0x5000 | 0x80, 10, 0x4000 | 1]
    t = 1 << 12
    expected = [(t | 5, 3, 9, 0), (t | 6, 4, 9, 1), (t | 6, 100, 9, 0), (t | 6, 102, 9, 0), (t | 6, 119, 9, 0)]
    assert decoded("evt3", words("evt3", *body))[0] == [*expected, (t | 6, 120, 10, 0)]


def test_the_last_vector_may_reach_over_the_edge_with_what_did_not_fire():
    body = [evt.time_high3(1), evt.time_low3(5), 9, 0x3000 | 632, 0x4000 | 0x80]
    got, decoder = decoded("evt3", words("evt3", *body))
    assert (got, decoder.lost_bytes) == ([(1 << 12 | 5, 639, 9, 0)], 0)
    got, decoder = decoded("evt3", words("evt3", *body[:-1], 0x4000 | 0x180))
    assert (got, decoder.lost_bytes) == ([(1 << 12 | 5, 639, 9, 0)], 2)
    got, decoder = decoded("evt2.1", words("evt2.1", evt.time_high21(1), evt.vector21(0, 630, 9, 1, 1 << 9 | 1 << 10)))
    assert (got, decoder.lost_bytes) == ([(64, 639, 9, 1)], 8)


# ---------------------------------------------------------------------------------------------- damage


def slot_of(stream, index):
    """(first, last) event, as places in the list, of the TIME_HIGH slot that the word lies in."""
    places = [place for place, slot in enumerate(stream.slots) if slot == stream.slots[index]]
    return (stream.whole[places[0] - 1] if places[0] else 0), stream.whole[places[-1]]


def flipped(stream):
    """Every stream with one bit flipped: word, bytes."""
    data, size = stream.data(), evt.WORD_BYTES[stream.encoding]
    for index, word in enumerate(stream.words):
        for bit in range(8 * size):
            yield index, data[: index * size] + evt.pack(stream.encoding, word ^ 1 << bit) + data[(index + 1) * size :]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_one_flipped_bit_anywhere_costs_one_slot_of_a_camera(encoding):
    """A camera's stream: the time is told every 16 us. What lies before is untouched, what lies in other slots is all
    there, and no time is a second off."""
    events = evt.random_events(70, step=30, run=0.5)
    stream = evt.stream(encoding, events)
    for index, data in flipped(stream):
        got, _ = decoded(encoding, data)
        first, last = slot_of(stream, index)
        before = stream.whole[index - 1] if index else 0
        assert got[:before] == events[:before]
        assert set(events[:first] + events[last:]) <= set(got), (index, data)
        assert all(events[0][0] - SECOND_US < t < events[-1][0] + SECOND_US for t, *_ in got)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_one_flipped_bit_anywhere_moves_no_event_far(encoding):
    """A stream that tells its time only where it changes has less to check itself by: some slots may go with the one
    hit, but no event is a second late, unless it is the first slot or the last, which nothing around contradicts."""
    events = evt.random_events(60, step=1_500, run=0.3)
    stream = evt.stream(encoding, events, None)
    inner = [index for index, slot in enumerate(stream.slots) if 0 < slot < stream.slots[-1]]
    for index, data in flipped(stream):
        got, _ = decoded(encoding, data)
        before = stream.whole[index - 1] if index else 0
        assert got[:before] == events[:before]
        if index in inner:
            assert len(set(events) - set(got)) <= 24
            assert all(events[0][0] - SECOND_US < t < events[-1][0] + SECOND_US for t, *_ in got)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_cut_file_gives_every_whole_event(opened, encoding):
    events = evt.random_events(150, run=0.5)
    stream, head, size = evt.stream(encoding, events), evt.header(encoding), evt.WORD_BYTES[encoding]
    data = stream.data()
    for cut in [*range(0, 40), *range(40, len(data), 37)]:
        recording = opened(head, data[:cut])
        assert rows(recording.load()) == events[: stream.whole[cut // size - 1] if cut >= size else 0]
        damage, left = recording.damage, cut % size
        assert (damage is None) == (left == 0)
        if damage:
            assert (damage.kind, damage.offset, damage.lost_bytes) == ("truncated", len(head) + cut - left, left)


KINDS = {
    "zero": lambda rng, length: bytes(length),
    "random": lambda rng, length: rng.randbytes(length),
    "ones": lambda rng, length: b"\xff" * length,
}


@pytest.mark.parametrize("beat_us", [16, None])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_reading_goes_on_behind_damage(opened, encoding, kind, beat_us):
    """Overwritten words: all events before them and, but for the first 40, behind them; none outside, none far away."""
    size, head = evt.WORD_BYTES[encoding], evt.header(encoding)
    for seed in range(25):
        rng = random.Random(seed)
        events = evt.random_events(700, seed, step=rng.choice([20, 100] if beat_us else [400, 1_500]), run=0.3)
        stream = evt.stream(encoding, events, beat_us)
        data = bytearray(stream.data())
        first = rng.randrange(len(stream.words) // 3)
        count = rng.choice([20, 60, len(stream.words) // 4])
        data[first * size : (first + count) * size] = KINDS[kind](rng, count * size)
        before, behind = stream.whole[first - 1] if first else 0, stream.whole[first + count - 1]
        recording = opened(head, bytes(data))
        read = recording.load()
        got = rows(read)
        assert got[:before] == events[:before], seed
        assert set(events[behind + 40 :]) <= set(got), seed
        assert (read.x < SIZE[0]).all() and (read.y < SIZE[1]).all()
        assert read.t.min() >= events[0][0] - SECOND_US and read.t.max() < events[-1][0] + SECOND_US, seed
        if kind != "ones":  # ones are words of a known type
            damage = recording.damage
            assert damage.kind in ("corrupt", "out-of-bounds")
            assert len(head) + (first - 4) * size <= damage.offset <= len(head) + (first + count + 60) * size
            assert damage.lost_bytes <= len(data)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_stop_and_fail_deliver_what_comes_before(opened, encoding):
    events = evt.random_events(400)
    stream, size = evt.stream(encoding, events), evt.WORD_BYTES[encoding]
    data = bytearray(stream.data())
    first = len(stream.words) // 2
    data[first * size : (first + 30) * size] = bytes(30 * size)
    before = stream.whole[first - 1]
    head = evt.header(encoding)
    assert rows(opened(head, bytes(data), on_damage="stop").load()) == events[:before]
    recording, delivered = opened(head, bytes(data), on_damage="fail"), []
    with pytest.raises(DamagedRecordingError, match="corrupt"):
        for chunk in recording:
            delivered += rows(chunk)
    assert delivered == events[:before]
    assert recording.damage.last_good_t_us == events[before - 1][0]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_events_outside_the_sensor_are_refused_and_reported(opened, encoding):
    events = [(4_999_999, 1, 1, 1), *evt.random_events(200, size=(800, 600))]
    inside = [event for event in events if event[1] < 640 and event[2] < 480]
    stream = evt.stream(encoding, events)
    recording = opened(evt.header(encoding), stream.data())
    assert rows(recording.load()) == inside
    outside = next(place for place, event in enumerate(events) if event not in inside)
    damage = recording.damage
    assert (damage.kind, damage.last_good_t_us) == ("out-of-bounds", events[outside - 1][0])
    word = (damage.offset - len(evt.header(encoding))) // evt.WORD_BYTES[encoding]
    assert stream.whole[word - 1] == outside


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_bytes_at_all(opened, encoding):
    """No crash, no event outside the sensor, no more lost bytes than there are."""
    for seed in range(40):
        rng = random.Random(seed)
        data = rng.randbytes(rng.choice([1, 7, 300, 20_000]))
        if seed % 4 == 0:
            data = bytes(len(data))
        recording = opened(evt.header(encoding), data)
        events = recording.load()
        assert (events.x < SIZE[0]).all() and (events.y < SIZE[1]).all() and (events.t >= 0).all()
        if recording.damage:
            assert 0 <= recording.damage.lost_bytes <= len(data)
