"""Events from another program, through a pipe: `faery ... | dvspipe live - --run RUN`. Knows no encoding's layout."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

from dvspipe.live.sources.arrivals import Arrivals, Decoder
from dvspipe.live.sources.part import Part

READ_BYTES = 1 << 16
WAIT_S = 0.005


class PipeSource:
    """Reads a file descriptor (0 is stdin) to its end; `decoder` says where a record ends."""

    is_camera = several = True

    def __init__(self, descriptor: int, decoder: Decoder, timeout_s: float | None = None) -> None:
        self.title, self.descriptor = "stdin", descriptor
        self.skipped: list[str] = []
        self.decoder, self.arrivals = decoder, Arrivals(decoder, timeout_s)

    def parts(self) -> Iterator[Part]:
        """One part for as long as the clock runs on."""
        yield from self.arrivals.parts(self.title, self._records)

    def _records(self) -> Iterator[bytes]:
        """Whole records as they come; b"" when none came for a moment. What is left at the end is given as it is."""
        held = b""
        while True:
            ready, _, _ = select.select([self.descriptor], [], [], WAIT_S)
            if not ready:
                yield b""
                continue
            read = os.read(self.descriptor, READ_BYTES)
            held += read
            whole = self.decoder.whole(held) if read else len(held)
            yield held[:whole]
            held = held[whole:]
            if not read:
                return

    def close(self) -> None:
        """The descriptor is the caller's."""
