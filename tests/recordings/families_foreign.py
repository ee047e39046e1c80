"""Whole files of the formats that other libraries read for us, in a worker: HDF5, ROS bags, videos."""

import struct
import tempfile
from pathlib import Path

import numpy as np
from making import COUNT, Made, of_steps, rising, rows_from


def _vital(data, places):
    """What lies between the places [start, stop)."""
    vital, at = [], 0
    for start, stop in sorted(places):
        vital.append((at, start))
        at = stop
    return (*vital, (at, len(data)))


def _saved(name, fill):
    """The bytes of a file that `fill(path)` writes, and what it returns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        told = fill(path)
        return path.read_bytes(), told


def dsec(chunk=500):
    """Chunked and compressed columns, as DSEC has them."""
    import h5py
    import hdf5plugin

    events = rising(first=0, size=(640, 480))

    def fill(path):
        with h5py.File(path, "w") as file:
            file["t_offset"] = 0
            for name in "txyp":
                column = getattr(events, name).astype("<u4" if name == "t" else "<u2" if name in "xy" else "u1")
                filters = hdf5plugin.Blosc(cname="zstd", clevel=1)
                file.create_dataset(f"events/{name}", data=column, chunks=(chunk,), **filters)
            file["ms_to_idx"] = np.searchsorted(events.t, np.arange(0, events.t[-1], 1000)).astype("<u8")
        with h5py.File(path) as file:
            infos = [
                [file[f"events/{n}"].id.get_chunk_info_by_coord((row,)) for n in "txyp"]
                for row in range(0, COUNT, chunk)
            ]
            return [[(info.byte_offset, info.byte_offset + info.size) for info in row] for row in infos]

    data, rows = _saved("made.h5", fill)
    ends = np.maximum.accumulate([max(stop for _, stop in row) for row in rows]).tolist()
    stored = of_steps(ends, range(chunk, COUNT + 1, chunk))
    return Made(data, events, stored, _vital(data, [place for row in rows for place in row]))


def rpg():
    """Bare columns, times in seconds as float64, as rpg_e2vid has them."""
    import h5py

    events = rising(size=(240, 180))

    def fill(path):
        with h5py.File(path, "w") as file:
            for name, column in {"ts": events.t / 1e6, "xs": events.x, "ys": events.y, "ps": events.p}.items():
                file[f"events/{name}"] = column
            file.attrs["sensor_resolution"] = (180, 240)
        with h5py.File(path) as file:
            sets = [file[f"events/{name}"] for name in ("ts", "xs", "ys", "ps")]
            return [(each.id.get_offset(), each.id.get_storage_size() // COUNT) for each in sets]

    data, places = _saved("made.h5", fill)
    columns = [rows_from(start, width, COUNT) for start, width in places]
    return Made(
        data,
        events,
        lambda byte: min(column(byte) for column in columns),
        _vital(data, [(start, start + width * COUNT) for start, width in places]),
    )


EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("sec", "<u4"), ("nsec", "<u4"), ("p", "u1")])
EVENT_ARRAY = (
    "Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n" + "=" * 80 + "\n"
    "MSG: dvs_msgs/Event\nuint16 x\nuint16 y\ntime ts\nbool polarity\n"
)
SECOND, PER_MESSAGE = 1_500_000_000, 100
WHOLE_CHUNK = 1 << 13


def _message(events):
    rows = np.empty(len(events), EVENT)
    rows["x"], rows["y"], rows["p"] = events.x, events.y, events.p
    rows["sec"], rows["nsec"] = events.t // 1_000_000, events.t % 1_000_000 * 1000 + 7
    start = struct.pack("<IIII", 1, SECOND, 0, 3) + b"dvs" + struct.pack("<II", 180, 240)
    return start + struct.pack("<I", len(events)) + rows.tobytes()


def rosbag(compression=None):
    """EventArray messages in several chunks."""
    from rosbags import rosbag1

    events = rising(size=(240, 180), first=SECOND * 1_000_000)

    def fill(path):
        writer = rosbag1.Writer(path)
        writer.chunk_threshold = WHOLE_CHUNK
        if compression:
            writer.set_compression(getattr(rosbag1.Writer.CompressionFormat, compression))
        with writer:
            held = writer.add_connection("/dvs/events", "dvs_msgs/msg/EventArray", msgdef=EVENT_ARRAY, md5sum="0" * 32)
            for start in range(0, COUNT, PER_MESSAGE):
                writer.write(held, int(events.t[start]) * 1000, _message(events[start : start + PER_MESSAGE]))

    data, _ = _saved("made.bag", fill)
    ends, counts, first = _chunks(data, compression)
    return Made(data, events, of_steps(ends, counts), ((0, first),))


def _chunks(data, compression):
    """Where each chunk ends, the events up to there, and where the first one's messages begin."""
    ends, counts, count, first = [], [], 0, None
    for fields, start, stop in _records(data, 13):
        if b"op=\x05" not in fields:
            continue
        held = data[start:stop]
        if compression == "LZ4":
            import lz4.frame

            held = lz4.frame.decompress(held)
        inside = list(_records(held, 0))
        messages = [each for each in inside if b"op=\x02" in each[0]]
        first = first or (stop if compression else start + messages[0][1])
        count += PER_MESSAGE * len(messages)
        ends.append(stop)
        counts.append(count)
    return ends, counts, first


def _records(data, at):
    while at < len(data):
        start = at + 4 + int.from_bytes(data[at : at + 4], "little")
        stop = start + 4 + int.from_bytes(data[start : start + 4], "little")
        yield data[at + 4 : start], start + 4, stop
        at = stop


def video():
    """A spot that runs across 30 frames of 64 x 48 pixels."""
    import av

    from dvspipe.recordings import open_recording

    def fill(path):
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mpeg4", rate=100)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(30):
                picture = np.full((48, 64, 3), 40, np.uint8)
                picture[10:30, 2 * number : 2 * number + 8] = 220
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                    file.mux(packet)
            for packet in stream.encode():
                file.mux(packet)
        return open_recording(path).load()

    data, events = _saved("made.mkv", fill)
    return Made(data, events, lambda byte: len(events) * (byte >= len(data)), ((0, len(data)),))
