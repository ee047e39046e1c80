"""Events over a wire: the two encodings' bytes, what cannot be trusted, and a camera's clock."""

import os
import socket
import struct
import threading
import time

import numpy as np
import pytest

from dvspipe.errors import RecordingError, UsageError
from dvspipe.live.controls import Controls
from dvspipe.live.playing import Player, in_thread
from dvspipe.live.ring import Ring
from dvspipe.live.sources.arrivals import AGREEING
from dvspipe.live.sources.lines import LineDecoder
from dvspipe.live.sources.opening import open_source
from dvspipe.live.sources.stdin import PipeSource
from dvspipe.live.sources.udp import UdpSource
from dvspipe.live.sources.words import ENCODINGS, WordDecoder

SIZE = (64, 48)
ROWS = [(1000, 1, 2, 1), (1500, 63, 47, 0), (40_000, 5, 6, 1), (90_000, 0, 0, 0)]


def t64(rows):
    return b"".join(struct.pack("<QHHB", *row) for row in rows)


def t32(rows):
    return b"".join(struct.pack("<IHH", t & 0xFFFFFFFF, x, y << 1 | p) for t, x, y, p in rows)


def spif(rows):
    return b"".join(struct.pack("<II", x << 16 | p << 15 | y, t & 0xFFFFFFFF) for t, x, y, p in rows)


def spif_timeless(rows):
    return b"".join(struct.pack("<I", 1 << 31 | x << 16 | p << 15 | y) for _, x, y, p in rows)


def tuples(events):
    return list(zip(events.t.tolist(), events.x.tolist(), events.y.tolist(), events.p.astype(int).tolist()))


@pytest.mark.parametrize(("encoding", "write"), list(zip(ENCODINGS, (t64, t32, spif))))
def test_every_encoding_gives_the_events(encoding, write):
    decoder = WordDecoder(encoding, SIZE)
    assert tuples(decoder.decode(write(ROWS), 7)) == ROWS
    assert decoder.malformed_bytes == decoder.outside_events == 0


def test_words_without_a_time_get_that_of_arrival():
    events = WordDecoder("spif", SIZE).decode(spif_timeless(ROWS), 777)
    assert tuples(events) == [(777, *row[1:]) for row in ROWS]


def test_faery_is_understood():
    """Faery's own encoder, byte for byte."""
    from faery.events_stream import EVENTS_DTYPE

    array = np.array([(t, x, y, p) for t, x, y, p in ROWS], EVENTS_DTYPE)
    assert tuples(WordDecoder("t64_x16_y16_on8", SIZE).decode(array.tobytes(), 0)) == ROWS


@pytest.mark.parametrize(("encoding", "write"), [("t32_x16_y15_on1", t32), ("spif", spif)])
def test_a_clock_of_32_bits_wraps(encoding, write):
    """Also when an event of before the wrap comes late, within a packet and between packets."""
    wrap = 1 << 32
    times = [
        wrap - 10,
        wrap + 5,
        wrap - 3,
        wrap + 9,
        wrap + wrap // 3,
        wrap + 2 * (wrap // 3),
        2 * wrap - 4,
        2 * wrap + 8,
    ]
    rows = [(t, 1, 1, 1) for t in times]
    one_by_one, at_once = WordDecoder(encoding, SIZE), WordDecoder(encoding, SIZE)
    found = [int(one_by_one.decode(write([row]), 0).t[0]) for row in rows]
    assert found == at_once.decode(write(rows), 0).t.tolist() == times


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_bytes_are_survived_and_counted(encoding):
    rng = np.random.default_rng(0)
    decoder = WordDecoder(encoding, SIZE)
    for length in rng.integers(0, 600, 300):
        events = decoder.decode(rng.bytes(length), 5)
        assert len(events) == 0 or (events.x.max() < SIZE[0] and events.y.max() < SIZE[1] and events.t.min() >= 0)
    assert decoder.outside_events > 0
    assert decoder.malformed_bytes > 0


def send(address, packets, pause_s=0.002):
    def run():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for packet in packets:
                out.sendto(packet, address)
                time.sleep(pause_s)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def listening(encoding="t64_x16_y16_on8", timeout_s=0.5):
    return UdpSource(("127.0.0.1", 0), WordDecoder(encoding, SIZE), timeout_s)


def played(source, bin_us=10_000, until=None):
    player = Player(source, bin_us, SIZE, 1, Controls(paced=False))
    found = []
    for each in in_thread(player, Ring(1000)):
        found.append(each)
        if until is not None and len(found) >= until:
            break
    source.close()
    return player, found


def regular(count, step_us=500, first_us=0):
    return [(first_us + k * step_us, k % 64, k % 48, k % 2) for k in range(count)]


@pytest.mark.parametrize(("encoding", "write"), [("t64_x16_y16_on8", t64), ("spif", spif)])
def test_udp_packets_become_bins(encoding, write):
    source, rows = listening(encoding), regular(200)
    sender = send(source.address, [write(rows[k : k + 10]) for k in range(0, 200, 10)])
    player, found = played(source)
    sender.join()
    assert sum(int(each.frame.sum()) for each in found) + player.counts.tail == 200
    assert [each.index for each in found] == list(range(len(found)))
    for each in found[:9]:
        assert each.frame.sum() == 20
    assert player.stretches[0][0].losses["lost_packets"] == 0


def test_silence_closes_bins_by_the_clock():
    """A camera in front of a still scene sends nothing, and decisions must go on."""
    source = listening(timeout_s=5)
    sender = send(source.address, [t64(regular(40))])
    start = time.perf_counter()
    _, found = played(source, until=12)
    sender.join()
    assert time.perf_counter() - start < 2
    assert [int(each.frame.sum()) for each in found] == [20, 20] + [0] * 10


def test_hostile_packets_change_nothing():
    rows = regular(200)
    source = listening()
    good = [t64(rows[k : k + 10]) for k in range(0, 200, 10)]
    bad = [b"", b"x", os.urandom(1000), t64([(1 << 63, 1, 1, 1)]), t64([(10**15, 1, 1, 1)]), b"\xff" * 1300]
    sender = send(source.address, [packet for pair in zip(good, bad * 4) for packet in pair])
    player, found = played(source)
    sender.join()
    losses = player.stretches[0][0].losses
    assert len(player.stretches) == 1
    assert [int(each.frame.sum()) for each in found[:9]] == [20] * 9
    assert losses["far_times"] > 0
    assert losses["malformed_bytes"] > 0
    assert losses["outside_events"] > 0


def test_a_camera_that_starts_anew_is_another_stretch():
    first, again = regular(100, first_us=60_000_000), regular(100)
    source = listening()
    sender = send(source.address, [t64(rows[k : k + 10]) for rows in (first, again) for k in range(0, 100, 10)])
    player, found = played(source)
    sender.join()
    assert len(player.stretches) == 2
    assert player.stretches[0][0].losses["clock_restarts"] == 1
    assert sum(int(each.frame.sum()) for each in found if each.stretch == 1) >= 60
    assert AGREEING == 3


def test_a_taken_port_is_told():
    source = listening()
    with pytest.raises(UsageError, match="cannot be listened to"):
        UdpSource(source.address, WordDecoder("spif", SIZE))
    source.close()


def test_a_pipe_is_read_to_its_end_whatever_the_pieces():
    rows, (read, write) = regular(300), os.pipe()
    data = t64(rows) + b"cut"

    def feed():
        for start in range(0, len(data), 7):
            os.write(write, data[start : start + 7])
        os.close(write)

    thread = threading.Thread(target=feed)
    thread.start()
    source = PipeSource(read, WordDecoder("t64_x16_y16_on8", SIZE))
    player, found = played(source)
    thread.join()
    os.close(read)
    assert sum(int(each.frame.sum()) for each in found) + player.counts.tail == 300
    assert player.stretches[0][0].losses["malformed_bytes"] == 3


@pytest.mark.parametrize(
    ("header", "line"),
    [("", "{0} {1} {2} {3}"), ("t,x,y,on\n", "{0},{1},{2},{3}"), ("# made\n", "{1},{2},{3},{0}")],
    ids=["gait", "csv", "metavision"],
)
def test_lines_of_text_come_through_a_pipe(header, line):
    """As `faery ... output stdout` prints them, in pieces that end anywhere, a broken line among them."""
    rows, (read, write) = regular(300), os.pipe()
    lines = [line.format(*row) for row in rows]
    lines.insert(100, "oops")
    data = (header + "\n".join(lines) + "\n").encode()

    def feed():
        for start in range(0, len(data), 101):
            os.write(write, data[start : start + 101])
        os.close(write)

    thread = threading.Thread(target=feed)
    thread.start()
    player, found = played(PipeSource(read, LineDecoder(SIZE)))
    thread.join()
    os.close(read)
    assert sum(int(each.frame.sum()) for each in found) + player.counts.tail == 300
    assert [int(each.frame.sum()) for each in found[:5]] == [20] * 5
    assert player.stretches[0][0].losses["malformed_bytes"] == 5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("udp://", "needs a port"),
        ("udp://127.0.0.1", "needs a port"),
        ("udp://127.0.0.1:99999", "needs a port"),
        ("udp://127.0.0.1:0x", "needs a port"),
        ("udp://:3333?encoding=spiff", "did you mean 'spif'"),
        ("udp://:3333?siz=1x1", "did you mean 'size'"),
        ("udp://:3333?size=0x5", "WxH"),
        ("udp://:3333?timeout=-1", "timeout"),
        ("-?encoding=morse", "encoding"),
        ("udp://192.0.2.1:3333", "cannot be listened to"),
    ],
)
def test_addresses_that_are_none(text, complaint):
    with pytest.raises(UsageError, match=complaint):
        open_source(text, SIZE)


def test_without_a_host_only_this_machine_is_listened_to():
    source = open_source("udp://:0?encoding=spif&size=10x20&timeout=1", SIZE)
    assert source.address[0] == "127.0.0.1"
    assert source.decoder.sensor_size == (10, 20)
    source.close()


def test_a_folder_is_a_playlist(tmp_path):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("".join(f"{k * 1000} {k % 60} 3 1\n" for k in range(100)))
    (tmp_path / "a_labels.csv").write_text("class,startTime_usec,endTime_usec\n")
    (tmp_path / "notes.md").write_bytes(b"\x00\x01 no recording")
    (tmp_path / "folder").mkdir()
    source = open_source(str(tmp_path), SIZE)
    assert [part.title for part in source.parts()] == ["a.txt", "b.txt"]
    assert len(source.skipped) == 1
    assert source.skipped[0].startswith("notes.md")


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="no recording to play"):
        open_source(str(tmp_path), SIZE)
    with pytest.raises(RecordingError, match="cannot be opened"):
        open_source(str(tmp_path / "missing.aedat"), SIZE)
