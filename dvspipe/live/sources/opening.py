"""`open_source`: a file, a folder, `udp://...` or stdin, from what somebody typed."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from dvspipe.errors import UsageError, nearest
from dvspipe.live.sources.arrivals import Decoder
from dvspipe.live.sources.files import FileSource
from dvspipe.live.sources.lines import LineDecoder
from dvspipe.live.sources.part import Source
from dvspipe.live.sources.stdin import PipeSource
from dvspipe.live.sources.udp import UdpSource
from dvspipe.live.sources.words import ENCODINGS, WordDecoder
from dvspipe.recordings import Recording, open_recording
from dvspipe.recordings.recording import OnDamage

LOOPBACK = "127.0.0.1"
KEYS = ["encoding", "size", "timeout"]
TEXT = "text"  # what a pipe brings unless it is told otherwise
EXAMPLE = "udp://127.0.0.1:3333?encoding=spif&size=640x480"


def open_source(
    text: str, sensor_size: tuple[int, int], on_damage: OnDamage = "skip", convention: str | None = None
) -> Source:
    """What `text` names: a path, `udp://HOST:PORT?encoding=E&size=WxH&timeout=S`, or `-` for stdin (`-?encoding=E...`,
    lines of text without).

    `sensor_size` (W, H) is a camera's where `size` does not say; without a host, UDP listens on the loopback. Raises
    UsageError for an address that is none, RecordingError for a path without a recording.
    """
    if text.startswith("udp:"):
        return _udp(urlsplit(text), text, sensor_size)
    if text == "-" or text.startswith("-?"):
        options = _options(urlsplit(text[1:]), text)
        return PipeSource(0, _decoder(options, sensor_size, usual=TEXT), _timeout(options))

    def opened(path: str) -> Recording:
        return open_recording(path, on_damage, convention)

    return FileSource(Path(text), opened)


def _udp(url: SplitResult, text: str, sensor_size: tuple[int, int]) -> UdpSource:
    options = _options(url, text)
    try:
        host, port = url.hostname or LOOPBACK, url.port
    except ValueError:
        port = None
    if port is None:
        raise UsageError(f"{text}: needs a port from 1 to 65535, as in {EXAMPLE}.")
    return UdpSource((host, port), _decoder(options, sensor_size), _timeout(options))


def _options(url: SplitResult, text: str) -> dict[str, str]:
    found = dict(parse_qsl(url.query, keep_blank_values=True))
    for key in found:
        if key not in KEYS:
            raise UsageError(f"{text}: unknown option {key!r}{nearest(key, KEYS)}; known are {', '.join(KEYS)}.")
    return found


def _decoder(options: dict[str, str], sensor_size: tuple[int, int], usual: str = ENCODINGS[0]) -> Decoder:
    size = options.get("size")
    if size is not None:
        width, _, height = size.partition("x")
        if not (width.isdigit() and height.isdigit() and 0 < int(width) <= 65_536 and 0 < int(height) <= 65_536):
            raise UsageError(f"size={size}: expected WxH in pixels, such as 640x480.")
        sensor_size = int(width), int(height)
    encoding = options.get("encoding", usual)
    return LineDecoder(sensor_size) if encoding == TEXT and usual == TEXT else WordDecoder(encoding, sensor_size)


def _timeout(options: dict[str, str]) -> float | None:
    """Seconds of silence after which the source ends."""
    text = options.get("timeout")
    try:
        seconds = None if text is None else float(text)
    except ValueError:
        seconds = -1.0
    if seconds is not None and not 0 < seconds < 1e9:
        raise UsageError(f"timeout={text}: expected seconds above 0.")
    return seconds
