"""Events as cameras' drivers send them over a wire, without a header: bytes -> columns. Knows no socket.

`t64_x16_y16_on8`: 13 bytes, little-endian u64 µs, u16 x, u16 y, u8 on (faery, python/faery/udp_encoder.py).
`t32_x16_y15_on1`: 8 bytes, u32 µs, u16 x, u16 y·2 + on (faery); the clock wraps every 71.6 minutes.
`spif`: u32 words x·2^16 + on·2^15 + y; bit 31 says that no time follows, else a u32 of µs does (AEStream,
output/dvs_to_udp.cpp; SpiNNaker peripheral interface). Events without a time get that of their arrival.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import UsageError, nearest
from dvspipe.events import Events

ENCODINGS = ("t64_x16_y16_on8", "t32_x16_y15_on1", "spif")
WRAP = 1 << 32
_T64 = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "u1")])
_T32 = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2")])
NO_TIME = np.uint32(1 << 31)


class WordDecoder:
    """Decodes packets of one encoding for a sensor (W, H), and counts what it has to leave out.

    `malformed_bytes`: at the end of a packet that is no whole number of events. `outside_events`: not on the sensor.
    Raises UsageError for an unknown encoding.
    """

    def __init__(self, encoding: str, sensor_size: tuple[int, int]) -> None:
        if encoding not in ENCODINGS:
            raise UsageError(
                f"encoding {encoding!r}{nearest(encoding, list(ENCODINGS))}: known are {', '.join(ENCODINGS)}."
            )
        self.encoding, self.sensor_size = encoding, sensor_size
        self.malformed_bytes = self.outside_events = 0
        self._high, self._last = 0, -1

    def whole(self, data: bytes) -> int:
        """How many bytes from the start of `data` are whole records."""
        size = 13 if self.encoding == "t64_x16_y16_on8" else 8
        if self.encoding == "spif" and len(data) >= 4 and data[3] & 0x80:
            size = 4
        return len(data) - len(data) % size

    def decode(self, packet: bytes, now_us: int) -> Events:
        """The events of one packet, `now_us` being when it arrived. Never raises, whatever the bytes are."""
        t, x, y, on = getattr(self, f"_{self.encoding}")(packet, now_us)
        width, height = self.sensor_size
        inside = (x < width) & (y < height) & (t >= 0)
        self.outside_events += int(len(t) - np.count_nonzero(inside))
        return Events.of(t[inside], x[inside], y[inside], on[inside], self.sensor_size)

    def _whole(self, packet: bytes, size: int) -> bytes:
        rest = len(packet) % size
        self.malformed_bytes += rest
        return packet[: len(packet) - rest]

    def _t64_x16_y16_on8(self, packet: bytes, now_us: int) -> tuple[NDArray, ...]:
        rows = np.frombuffer(self._whole(packet, 13), _T64)
        return rows["t"].astype(np.int64), rows["x"], rows["y"], rows["on"] != 0

    def _t32_x16_y15_on1(self, packet: bytes, now_us: int) -> tuple[NDArray, ...]:
        rows = np.frombuffer(self._whole(packet, 8), _T32)
        return self._unwrapped(rows["t"]), rows["x"], rows["y"] >> 1, (rows["y"] & 1) != 0

    def _spif(self, packet: bytes, now_us: int) -> tuple[NDArray, ...]:
        words = np.frombuffer(self._whole(packet, 4), "<u4")
        if len(words) and words[0] & NO_TIME:  # a driver sends times or it does not
            words = words[(words & NO_TIME) != 0]
            t = np.full(len(words), now_us, np.int64)
        else:
            pairs = words[: len(words) // 2 * 2].reshape(-1, 2)
            self.malformed_bytes += 4 * (len(words) % 2)
            words, t = pairs[:, 0], self._unwrapped(pairs[:, 1])
        return t, (words >> 16) & 0x7FFF, words & 0x7FFF, (words & 0x8000) != 0

    def _unwrapped(self, low: NDArray[np.uint32]) -> NDArray[np.int64]:
        """32 bits of time -> 64: a fall by more than half the range is the clock's wrap, any other is a late event."""
        t = low.astype(np.int64)
        if not len(t):
            return t
        steps = np.diff(t, prepend=t[0] if self._last < 0 else self._last)
        t += self._high + WRAP * np.cumsum((steps < -WRAP // 2).astype(np.int64) - (steps > WRAP // 2))
        self._last, self._high = int(low[-1]), int(t[-1]) - int(low[-1])
        return t
