"""ROS 1 messages that carry events, read from their serialised bytes: `EventArray` and `EventPacket`. Knows no bag.

`dvs_msgs/EventArray` (rpg_dvs_ros; Prophesee's has the same layout): 13 bytes an event. `EventPacket`
(https://github.com/ros-event-camera/event_camera_msgs): a camera's own words. Both begin with a std_msgs/Header, the
height and the width.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.recordings.columns import Rows

ARRAYS = frozenset({"dvs_msgs/EventArray", "prophesee_event_msgs/EventArray"})
PACKETS = frozenset({"event_camera_msgs/EventPacket", "event_array_msgs/EventArray"})
EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("sec", "<u4"), ("nsec", "<u4"), ("p", "u1")])
HEADER_BYTES = 16  # seq, stamp, and the length of frame_id
NS_PER_S, US_PER_S, NS_PER_US = 1_000_000_000, 1_000_000, 1_000
LARGEST_SIDE = 1 << 15
DAY_US = 86_400 * US_PER_S


class Packet(NamedTuple):
    """What a message carries. `missing` bytes of it were promised and are not there (below 0: there are more); `rest`
    bytes are there and belong to no whole event.

    `encoding` is "array" for EventArray; `time_base` in ns; `stamp_us` is when the message says it was made.
    """

    sensor_size: tuple[int, int]
    encoding: str
    big_endian: bool
    time_base: int
    data: memoryview
    missing: int
    rest: int
    stamp_us: int


def unpacked(kind: str, message: bytes) -> Packet | None:
    """The message of type `kind`; None where it is too short or names an impossible sensor."""
    try:
        (frame_id,) = struct.unpack_from("<I", message, HEADER_BYTES - 4)
        at = HEADER_BYTES + frame_id
        height, width = struct.unpack_from("<II", message, at)
        if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
            return None
        if kind in ARRAYS:
            return _rest(message, at + 8, (width, height), "array", False, 0, EVENT.itemsize)
        time_base, letters = struct.unpack_from("<QI", message, at + 16)
        at += 28 + letters
        encoding = message[at - letters : at].decode("ascii", "replace") if letters < 32 else "?"
        return _rest(message, at + 1, (width, height), encoding, bool(message[at]), time_base, 1)
    except (struct.error, IndexError):
        return None


def _rest(
    message: bytes, at: int, size: tuple[int, int], encoding: str, big_endian: bool, time_base: int, item_bytes: int
) -> Packet:
    """The packet whose array begins at `at`. Where its length and the message's differ, the smaller one counts."""
    (count,) = struct.unpack_from("<I", message, at)
    held = len(message) - at - 4
    seconds, ns = struct.unpack_from("<II", message, 4)
    stamp_us = seconds * US_PER_S + ns // NS_PER_US
    data = memoryview(message)[at + 4 : at + 4 + min(count * item_bytes, held - held % item_bytes)]
    return Packet(size, encoding, big_endian, time_base, data, count * item_bytes - held, held - len(data), stamp_us)


def array_rows(data: bytes) -> tuple[Rows, NDArray[np.bool_]]:
    """t (µs), x, y, p of the events of EventArrays, and [N] where an event has impossible nanoseconds or polarity."""
    events = np.frombuffer(data, EVENT)
    nsec, p = events["nsec"], events["p"]
    t = events["sec"].astype(np.int64)
    t *= US_PER_S
    t += nsec // NS_PER_US
    return (t, events["x"], events["y"], p), (nsec >= NS_PER_S) | (p > 1)


def days_away(t: NDArray[np.int64], stamp_us: int, last_t: int | None) -> NDArray[np.bool_]:
    """[N] Times of one message that lie more than a day from where they should be.

    That is the message's stamp if any of them lies near it, for then both are ROS time. Else, as some drivers give the
    camera's time and no stamp, it is the last time before them; if none lies near that, a clock was set: their median.
    """
    for start in (stamp_us if stamp_us > DAY_US else None, last_t):
        far = np.abs(t - start) > DAY_US if start is not None else np.ones(len(t), np.bool_)
        if not far.all():
            return far
    return np.abs(t - int(np.median(t))) > DAY_US


def mono_rows(data: bytes, time_base: int, big_endian: bool) -> Rows:
    """t (µs), x, y, p of the 64-bit words of encoding "mono": polarity, 15 bits y, 16 bits x, 32 bits of ns."""
    words = np.frombuffer(data, ">u8" if big_endian else "<u8", len(data) // 8)
    dt = (words & 0xFFFF_FFFF).astype(np.int64)
    t = (np.int64(min(time_base, np.iinfo(np.int64).max - NS_PER_S * 5)) + dt) // NS_PER_US
    return t, (words >> 32) & 0xFFFF, (words >> 48) & 0x7FFF, words >> 63
