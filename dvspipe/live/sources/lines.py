"""Events as lines of text through a pipe, in any layout that text files have. Knows no pipe."""

from __future__ import annotations

from dvspipe.events import Events
from dvspipe.recordings.formats.text import Parser
from dvspipe.recordings.layouts.text_layout import read_layout

ENOUGH_LINES = 64  # to tell which column is which; fewer where the pipe falls silent before


class LineDecoder:
    """Decodes whole lines for a sensor (W, H); the first ones tell the layout (`t x y p`, a CSV header, ...).

    `malformed_bytes`: of lines that are no event, or none on the sensor.
    """

    def __init__(self, sensor_size: tuple[int, int]) -> None:
        self.sensor_size = sensor_size
        self.malformed_bytes = self.outside_events = 0
        self._first = b""
        self._parser: Parser | None = None

    def whole(self, data: bytes) -> int:
        """How many bytes from the start of `data` are whole lines."""
        return data.rfind(b"\n") + 1

    def decode(self, packet: bytes, now_us: int) -> Events:
        """The events of some lines; none until the layout is known. Raises RecordingError for a header that is none."""
        if self._parser is None:
            self._first += packet
            if not self._first or (packet and self._first.count(b"\n") < ENOUGH_LINES):
                return Events.empty(self.sensor_size)
            layout = read_layout(self._first, "stdin")
            self._parser, packet, self._first = Parser(layout, self.sensor_size), self._first[layout.start :], b""
        events = self._parser.parse(packet)
        self.malformed_bytes += int(self._parser.seen[self._parser.lines.BAD_BYTES])
        return events
