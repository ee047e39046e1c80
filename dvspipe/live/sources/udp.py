"""A camera behind somebody else's driver, by UDP: `udp://127.0.0.1:3333?encoding=spif&size=640x480`.

Nothing in a packet is trusted: sizes, coordinates and times are checked and what does not fit is counted. Packets that the
system dropped because nobody took them in time are counted where it tells (Linux).
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

from dvspipe.errors import UsageError
from dvspipe.live.sources.arrivals import Arrivals, Decoder
from dvspipe.live.sources.part import Part

LARGEST_PACKET = 65_536
BUFFER_BYTES = 16 * 2**20
GATHER_S = 0.002  # packets that come within this time are decoded together
OVERFLOW = 40  # SO_RXQ_OVFL: Linux says with every packet how many it has dropped so far


class UdpSource:
    """Listens until it is stopped, or until nothing has come for `timeout_s`. Binds at once.

    Raises UsageError where the address cannot be bound.
    """

    is_camera = several = True

    def __init__(self, address: tuple[str, int], decoder: Decoder, timeout_s: float | None = None) -> None:
        self.title, self.decoder = f"udp://{address[0]}:{address[1]}", decoder
        self.skipped: list[str] = []
        self.arrivals = Arrivals(decoder, timeout_s)
        self._socket = _bound(address)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]

    def parts(self) -> Iterator[Part]:
        """One part for as long as the camera's clock runs on; another one when it starts anew."""
        yield from self.arrivals.parts(self.title, self._packets)

    def _packets(self) -> Iterator[bytes]:
        """Packets that have come, joined; b"" when none came for a moment."""
        while True:
            packet = self._receive(0.005)
            end = time.perf_counter() + GATHER_S
            held = [packet] if packet else []
            while packet and time.perf_counter() < end and (packet := self._receive(0.0)):
                held.append(packet)
            if not held:
                yield b""
            yield from held

    def _receive(self, wait_s: float) -> bytes:
        self._socket.settimeout(wait_s)
        try:
            packet, notes, _, _ = self._socket.recvmsg(LARGEST_PACKET, 64)
        except (TimeoutError, BlockingIOError, InterruptedError):
            return b""
        for level, kind, data in notes:
            if level == socket.SOL_SOCKET and kind == OVERFLOW and len(data) >= 4:
                self.arrivals.losses["lost_packets"] = struct.unpack("=I", data[:4])[0]
        return packet

    def close(self) -> None:
        """Gives the port back."""
        self._socket.close()


def _bound(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    with suppress(OSError):  # not Linux: what the system drops is not told there
        listening.setsockopt(socket.SOL_SOCKET, OVERFLOW, 1)
    try:
        listening.bind(address)
    except (OSError, OverflowError) as error:
        listening.close()
        raise UsageError(
            f"udp://{address[0]}:{address[1]} cannot be listened to ({error}). Is the port taken, or the address not this "
            "machine's?"
        ) from error
    return listening
