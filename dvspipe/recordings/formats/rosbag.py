"""ROS 1 bags: `dvs_msgs/EventArray` (rpg_dvs_ros) and `event_camera_msgs/EventPacket` (metavision_driver). In one pass.

`bag_records` walks the file, `ros_messages` reads the messages; here are the choice of a topic, bounds and the damage
report. A bag with several event topics gives the first; `bag#/dvs/right/events` names another. t is ROS time in µs for
EventArray, the camera's clock for packets: their `time_base` is undefined for "evt3", and added for "mono" (both as
event_camera_msgs says).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.columns import Deliverer, Rows
from dvspipe.recordings.layouts.bag_records import MARK, Connection, Fault, Message, connections, messages
from dvspipe.recordings.layouts.ros_messages import (
    ARRAYS,
    DAY_US,
    EVENT,
    PACKETS,
    Packet,
    array_rows,
    days_away,
    mono_rows,
    unpacked,
)
from dvspipe.recordings.recording import CHUNK_EVENTS, Format, Recording

if TYPE_CHECKING:
    from dvspipe.recordings.layouts.evt_decoder import EvtDecoder, Piece

EVT = {"evt2": "evt2", "evt21": "evt2.1", "evt2.1": "evt2.1", "evt3": "evt3"}
CHUNK_BYTES = CHUNK_EVENTS * EVENT.itemsize
VOTES = 5  # messages that are asked for the sensor size: one of them may be damaged


def _topics(path: Path) -> list[Connection]:
    """The topics that carry events, in the bag's order."""
    return list(dict.fromkeys(each for each in connections(path, ARRAYS | PACKETS) if each.type in ARRAYS | PACKETS))


def _names(path: Path) -> list[str]:
    names = [topic for topic, _ in _topics(path)]
    return names if len(names) > 1 else []


def _open(path: Path, name: str | None) -> Recording:
    held = _topics(path)
    chosen = next((each for each in held if name in (None, each.topic)), None)
    if chosen is None:
        others = ", ".join(f"{topic} ({kind})" for topic, kind in held or connections(path, ())) or "none"
        wanted = "no event topic" if name is None else f"no event topic {name!r}"
        raise RecordingError(
            f"{path}: ROS bag with {wanted}; it holds: {others}. Known: {', '.join(sorted(ARRAYS | PACKETS))}."
        )
    packets = (unpacked(chosen.type, item.data) for item in messages(path, chosen.topic) if isinstance(item, Message))
    first = list(islice((packet for packet in packets if packet), VOTES))
    size = Counter(packet.sensor_size for packet in first).most_common(1)[0][0] if first else (128, 128)
    encoding = Counter(packet.encoding for packet in first).most_common(1)[0][0] if first else "array"
    if encoding not in {"array", "mono", *EVT}:
        raise RecordingError(f"{path}: {chosen.topic} is encoded as {encoding!r}. Known: mono, {', '.join(EVT)}.")
    details = {"topic": chosen.topic, "type": chosen.type, "encoding": encoding}
    return Recording(path, "rosbag", size, partial(_read, chosen=chosen, encoding=encoding), details=details)


def _read(recording: Recording, chosen: Connection, encoding: str) -> Iterator[Events]:
    reader = _Arrays(recording) if encoding == "array" else _Packets(recording, encoding)
    out = reader.out
    for item in messages(recording.path, chosen.topic):
        if isinstance(item, Fault):
            yield from reader.flush()
            if out.going:
                out.report(item.kind, item.offset, item.lost_bytes, item.note)
        else:
            yield from _message(reader, unpacked(chosen.type, item.data), item)
        if not out.going:
            return
    yield from reader.finish()


def _message(reader: _Arrays | _Packets, packet: Packet | None, item: Message) -> Iterator[Events]:
    """The events of one message, and a report of what it lacks."""
    if packet is None:
        yield from reader.flush()
        reader.out.report("corrupt", item.place, len(item.data), "a message without a sensible header")
        return
    yield from reader.take(packet, item.place)
    if not packet.missing:
        return
    yield from reader.flush()
    if not reader.out.going:
        return
    if item.cut and packet.missing > 0:
        reader.out.report("truncated", item.place + len(item.data) - packet.rest, packet.rest, "the message is cut")
    else:
        reader.out.report(
            "corrupt", item.place, packet.rest * (not item.cut), "a message of another length than it says"
        )


class _Arrays:
    """Events of EventArrays: small messages are joined to chunks, large ones cut. `place` is the first one's byte."""

    def __init__(self, recording: Recording) -> None:
        self.out, self.held, self.place = Deliverer(recording), 0, 0
        self.parts: list[tuple[memoryview, int]] = []

    def take(self, packet: Packet, place: int) -> Iterator[Events]:
        for start in range(0, len(packet.data), CHUNK_BYTES):
            data = packet.data[start : start + CHUNK_BYTES]
            if self.held + len(data) > CHUNK_BYTES and self.out.going:
                yield from self.flush()
            self.place = self.place if self.parts else place + start
            self.parts.append((data, packet.stamp_us))
            self.held += len(data)

    def flush(self) -> Iterator[Events]:
        """Delivers the events held back."""
        parts, self.parts, self.held = self.parts, [], 0
        rows, bad = array_rows(b"".join(data for data, _ in parts))
        bad |= self._far(rows[0], parts)
        if bad.any():
            yield from self._around(rows, bad, self.place)
        else:
            yield from self.out.inside(rows, self.place, EVENT.itemsize)

    finish = flush

    def _far(self, t: NDArray[np.int64], parts: list[tuple[memoryview, int]]) -> NDArray[np.bool_]:
        """[N] Times that lie days away, judged message by message; hardly ever is there one to judge."""
        far, last, start = np.zeros(len(t), np.bool_), self.out.last_t, 0
        if not len(t) or (t.max() - t.min() <= DAY_US and abs(int(t[0]) - (last or int(t[0]))) <= DAY_US):
            return far
        for data, stamp_us in parts:
            stop = start + len(data) // EVENT.itemsize
            far[start:stop] = days_away(t[start:stop], stamp_us, last)
            good = t[start:stop][~far[start:stop]]
            last, start = int(good[-1]) if len(good) else last, stop
        return far

    def _around(self, rows: Rows, bad: NDArray[np.bool_], place: int) -> Iterator[Events]:
        """Delivers the rows that are not bad, and reports the bad ones behind those that precede them."""
        first, lost = int(bad.argmax()), int(bad.sum())
        behind = np.flatnonzero(~bad)[first:]
        yield from self.out.inside(_rows(rows, np.arange(first)), place, EVENT.itemsize)
        if self.out.going:
            self.out.report(
                "corrupt", place + first * EVENT.itemsize, lost * EVENT.itemsize, f"{lost} impossible events"
            )
        if self.out.going:
            yield from self.out.inside(_rows(rows, behind), place, EVENT.itemsize)


def _rows(rows: Rows, index: NDArray[np.intp]) -> Rows:
    t, x, y, p = rows
    return t[index], x[index], y[index], p[index]


class _Packets:
    """Events of EventPackets: the words of one camera, whose decoder goes on from message to message."""

    def __init__(self, recording: Recording, encoding: str) -> None:
        self.out, self.encoding = Deliverer(recording), encoding
        self.decoder: EvtDecoder | None = None

    def take(self, packet: Packet, place: int) -> Iterator[Events]:
        if packet.encoding != self.encoding:
            self.out.report("corrupt", place, len(packet.data), f"a message encoded as {packet.encoding!r}")
        elif self.encoding == "mono":
            step = 8 * CHUNK_EVENTS
            for start in range(0, len(packet.data), step):
                data = bytes(packet.data[start : start + step])
                yield from self.out.inside(mono_rows(data, packet.time_base, packet.big_endian), place + start, 8)
        else:
            if self.decoder is None:
                from dvspipe.recordings.layouts.evt_decoder import EvtDecoder  # brings numba

                self.decoder = EvtDecoder(EVT[self.encoding], self.out.recording.sensor_size, packet.big_endian)
            for piece in self.decoder.pieces(bytes(packet.data)):
                yield from self._deliver(piece, place)

    def _deliver(self, piece: Piece, place: int) -> Iterator[Events]:
        if not piece.lost_bytes:
            yield from self.out.deliver(piece.events)
            return
        kind = "out-of-bounds" if piece.outside else "corrupt"
        note = f"{piece.lost_bytes} bytes of camera words"
        yield from self.out.around(piece.events, piece.before, kind, place, piece.lost_bytes, note)

    def flush(self) -> Iterator[Events]:
        """Nothing: what the decoder holds back belongs to the words that follow."""
        yield from ()

    def finish(self) -> Iterator[Events]:
        """Delivers what the decoder held back to the end."""
        if self.decoder is not None:
            yield from self.out.deliver(self.decoder.finish())


FORMAT = Format("rosbag", lambda head, path: head.startswith(MARK), names=_names, open_named=_open)
