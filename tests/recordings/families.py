"""One small whole file per format family, with what the promises need to know of it. Adding a family is a line below.

Every file holds the same 3,000 events or so, times strictly rising with pauses of seconds, so that an event delivered
from a damaged file is found again by its time.
"""

import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import builders
import families_foreign as foreign
import families_words as words
import numpy as np
from making import COUNT, SIZE, Made, of_steps, rising, rows_from


@dataclass(frozen=True)
class Family:
    """What a format can promise.

    checked: its checksums let no changed event through
    framed: behind lost or doubled bytes the reader finds the next event; otherwise what follows are other numbers
    whole: stores column after column, so that damage may cost everything
    cuts: a cut file is read up to the cut
    record: bytes that may vanish unnoticed, in multiples (0: none may)
    ahead_us: how far behind the last time of the whole file a changed time may lie. 2^62: deflate gives other numbers
        behind damage, and its checksum tells that, but not where. 2^24: all that a clock of 23 bits can say
    lone: how many events at the end of a file may share one damaged clock (a packet's), which nothing behind them
        contradicts; up to a day
    quiet: events that one damaged byte can turn into something else that the format has
    """

    name: str
    build: Callable[[], Made]
    suffix: str
    checked: bool = False
    framed: bool = True
    whole: bool = False
    cuts: bool = True
    record: int = 0
    ahead_us: int = 2_000_000
    lone: int = 3
    quiet: int = 0
    format: str = field(default="", compare=False)


def aedat31():
    events = rising()
    header = builders.header()
    packets = builders.packets(builders.tuples(events), 137)
    data, ends, counts, edges, done = bytearray(header), [], [], {len(header)}, 0
    for packet in packets:
        for slot in range((len(packet) - 28) // 8):
            ends.append(len(data) + 28 + 8 * (slot + 1))
            counts.append(done := done + 1)
        data += packet
        edges.add(len(data))
    return Made(bytes(data), events, of_steps(ends, counts), ((0, len(header)),), edges.__contains__)


def _aedat4_header(size=SIZE):
    """The header of DV's files with one event stream, its table of packets nowhere yet."""
    attributes = "".join(f'<attr key="size{axis}" type="int">{value}</attr>' for axis, value in zip("XY", size))
    text = (
        '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="0" path="/0/">'
        '<attr key="typeIdentifier" type="string">EVTS</attr>'
        f'<node name="info" path="/0/info/">{attributes}</node></node></node></dv>'
    ).encode()
    return (
        bytes.fromhex("18000000 494f4845 000000000000 0a00 1400 0400 0c00 0800 0a000000 01000000 0c000000")
        + struct.pack("<qI", 0, len(text))
        + text
        + bytes(4 - len(text) % 4)
    )


def aedat4(pack=None):
    """`pack` compresses a packet; DV itself does so by LZ4 without checksums."""
    events = rising(first=1_605_537_493_718_345)
    rows = np.zeros(COUNT, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?"), ("spare", "V3")])
    for name in "txyp":
        rows[name] = getattr(events, name)
    header = bytearray(_aedat4_header())
    data, ends = bytearray(b"#!AER-DAT4.0\r\n" + len(header).to_bytes(4, "little") + header), []
    start = len(data)
    for first in range(0, COUNT, 250):
        body = bytes.fromhex("10000000 45565453 0000 0600 0800 0400 0600 0000 04000000") + struct.pack("<I", 250)
        body += rows[first : first + 250].tobytes()
        body = struct.pack("<I", len(body)) + body
        body = pack(body) if pack else body
        data += struct.pack("<II", 0, len(body)) + body
        ends.append(len(data))
    struct.pack_into("<q", data, 18 + 36, len(data))
    table = struct.pack("<I", 24) + bytes.fromhex("14000000 46544142") + bytes(16)
    data += pack(table) if pack else table
    return Made(bytes(data), events, of_steps(ends, range(250, COUNT + 1, 250)), ((0, start),))


def lz4(**how):
    def pack(body):
        import lz4.frame

        return lz4.frame.compress(body, **how)

    return lambda: aedat4(pack)


def zstd():
    from backports import zstd

    return aedat4(zstd.compress)


def text(form="{} {} {} {}\n", first=""):
    events = rising()
    lines = [form.format(*row) for row in builders.tuples(events)]
    ends = (len(first) + np.cumsum([len(line) for line in lines])).tolist()
    edges = {len(first), *ends, *(end - 1 for end in ends)}  # the last line needs no end
    data = (first + "".join(lines)).encode()
    return Made(data, events, of_steps(ends, range(1, COUNT + 1)), ((0, len(first)),), lambda byte: byte in edges)


def nmnist():
    events = rising(first=500, step=180, size=(34, 34), pauses=False)
    records, ends, over = bytearray(), [], 0
    for t, x, y, p in builders.tuples(events):
        while t - over >= 1 << 15:  # overflows early and often; the format would allow 2^23
            records += bytes([0, 240, 0, 0, 0])
            over += 8192
        records += bytes([x, y]) + (p << 23 | t - over).to_bytes(3, "big")
        ends.append(len(records))
    return Made(bytes(records), events, of_steps(ends, range(1, COUNT + 1)), ((0, 4096),), lambda byte: byte % 5 == 0)


def _saved(save):
    """The bytes that `save(path-like)` writes."""
    file = BytesIO()
    save(file)
    return file.getvalue()


def _table(events, kind):
    return np.stack([events.x, events.y, events.p, events.t], axis=1).astype(kind)


def npy_rows():
    events = rising()
    rows = np.zeros(COUNT, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
    for name in "txyp":
        rows[name] = getattr(events, name)
    data = _saved(lambda file: np.save(file, rows))
    start = len(data) - rows.nbytes
    return Made(data, events, rows_from(start, rows.itemsize, COUNT), ((0, start),))


def npy_floats():
    """tonic's layout: x, y, p, t in ms as float64."""
    events = rising()
    table = _table(events, np.float64)
    table[:, 3] /= 1000
    data = _saved(lambda file: np.save(file, table))
    start = len(data) - table.nbytes
    telling = 16 * 32  # the first rows tell which column is which
    return Made(data, events, rows_from(start, 32, COUNT), ((0, start + telling),))


def npz(save=np.savez):
    events = rising()
    data = _saved(lambda file: save(file, t=events.t, x=events.x, y=events.y, p=events.p))
    with zipfile.ZipFile(BytesIO(data)) as held:
        last = held.infolist()[-1]
    names = int.from_bytes(data[last.header_offset + 26 :][:2], "little")
    extra = int.from_bytes(data[last.header_offset + 28 :][:2], "little")
    start = last.header_offset + 30 + names + extra
    header = 128  # of the .npy member; polarities are bytes

    def stored(byte):
        held = data[start : min(start + last.compress_size, max(byte, start))]
        whole = zlib.decompressobj(-15).decompress(held) if last.compress_type else held
        return max(0, len(whole) - header)

    return Made(data, events, stored, ((0, 0),))


def matlab(compressed=True):
    from scipy.io import savemat

    events = rising()
    data = _saved(lambda file: savemat(file, {"events": _table(events, np.int32)}, do_compression=compressed))
    start = len(data) - 4 * COUNT  # times are the last column; compressed, nothing is whole before the end
    stored = (lambda byte: COUNT * (byte >= len(data))) if compressed else rows_from(start, 4, COUNT)
    return Made(data, events, stored, ((0, len(data)),))


def archive():
    """Six blocks: 48,000 events, so that damage costs some of them only."""
    from dvspipe.recordings.archive import Archive, ArchiveWriter

    events = rising(16_000, step=300)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.h5"
        with ArchiveWriter(path, SIZE, ["a"], {"source": "made"}) as writer:
            writer.add("one", [events], [])
        data = path.read_bytes()
        with Archive(path) as held:
            file = held._opened_here()
            places = []
            for block in range(2):
                chunks = [file[name].id.get_chunk_info_by_coord((block, 0)) for name in "txyp"]
                places.append([(chunk.byte_offset, chunk.byte_offset + chunk.size) for chunk in chunks])
    ends = [max(stop for _, stop in place) for place in places]
    vital, at = [], 0
    for start, stop in sorted(place for block in places for place in block):
        vital.append((at, start))
        at = stop
    return Made(data, events, of_steps(ends, [8_192, 16_000]), (*vital, (at, len(data))))


FAMILIES = {
    family.name: family
    for family in (
        Family("aedat31", aedat31, ".aedat", record=8, lone=3 * 137, quiet=137),
        Family("aedat4", lz4(), ".aedat4", lone=250),
        Family("aedat4-sums", lz4(content_checksum=True, block_checksum=True), ".aedat4", checked=True),
        Family("aedat4-zstd", zstd, ".aedat4", lone=250),
        Family("aedat4-bare", aedat4, ".aedat4"),
        Family("text", text, ".txt"),
        Family("csv", lambda: text("{},{},{},{}\n", "t,x,y,p\n"), ".csv"),
        Family("nmnist", nmnist, ".bin", framed=False, record=5, ahead_us=1 << 24),
        Family("npy-rows", npy_rows, ".npy", framed=False),
        Family("npy-floats", npy_floats, ".npy", framed=False),
        Family("npz", npz, ".npz", framed=False),
        Family("npz-deflated", lambda: npz(np.savez_compressed), ".npz", framed=False, ahead_us=1 << 62),
        Family("mat", matlab, ".mat", checked=True, whole=True, cuts=False),
        Family("mat-plain", lambda: matlab(False), ".mat", whole=True, cuts=False),
        Family("aedat2", words.aedat2, ".aedat", framed=False, record=8),
        Family("aedat2-davis", words.aedat2_davis, ".aedat", framed=False, record=8),
        Family("dat", words.dat, ".dat", framed=False, record=8),
        Family("es", words.es, ".es", framed=False, record=1),
        Family("evt2", lambda: words.evt("evt2"), ".raw", framed=False, record=4),
        Family("evt2.1", lambda: words.evt("evt2.1"), ".raw", framed=False, record=8),
        Family("evt3", lambda: words.evt("evt3"), ".raw", framed=False, record=2),
        Family("evt3-beats", lambda: words.evt("evt3", 16), ".raw", framed=False, record=2),
        Family("hdf5-dsec", foreign.dsec, ".h5", cuts=False),
        Family("hdf5-rpg", foreign.rpg, ".h5", cuts=False),
        Family("rosbag", foreign.rosbag, ".bag"),
        Family("rosbag-lz4", lambda: foreign.rosbag("LZ4"), ".bag"),
        Family("video", foreign.video, ".mkv", whole=True, cuts=False, ahead_us=1 << 62),
        Family("archive", archive, ".h5", checked=True, cuts=False),
    )
}
