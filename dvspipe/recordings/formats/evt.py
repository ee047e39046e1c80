"""Prophesee RAW: `%` lines, then the camera's words in the encoding these name: EVT2, EVT2.1 or EVT3.

Lines: `% evt 3.0` or `% format EVT3;height=720;width=1280;endianness=big`, `% geometry 1280x720`, `% end` (older files
have none); faery's `% t0 1234` is added to all times. https://docs.prophesee.ai/stable/data/file_formats/raw.html
The words are decoded by `evt_decoder.py`. `details` holds the encoding, what told the sensor size, and after reading
`early_words`: those with events before the file's first time, which is no damage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.cameras import STRAY_FRACTION
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.layouts.text_header import Lines, is_text, read_lines, window_at
from dvspipe.recordings.recording import CHUNK_EVENTS, Format, Recording

if TYPE_CHECKING:
    from dvspipe.recordings.layouts.evt_decoder import EvtDecoder, Piece

NewDecoder = Callable[[tuple[int, int]], "EvtDecoder"]
RAW_LINE = re.compile(rb"^% *(evt|format) +\S", re.MULTILINE | re.IGNORECASE)
FIELD = re.compile(rb"% *(\S+) +(.*)")
ENCODINGS = {"2": "evt2", "20": "evt2", "21": "evt2.1", "3": "evt3", "30": "evt3"}
CAMERAS = {  # by the header's plugin or sensor name; sizes as in OpenEB's plugins
    "gen3": (640, 480),
    "gen4": (1280, 720),
    "imx636": (1280, 720),
    "genx320": (320, 320),
}
SENSORS = ((304, 240), (320, 320), (640, 480), (1280, 720))  # ATIS, GenX320, Gen 3, Gen 4
LARGEST = 2048  # coordinates have 11 bits
BLOCK_BYTES = 8 * CHUNK_EVENTS
SAMPLE_BYTES = 1 << 22
SHORTEST_LINE = 8  # bytes: a few words may look like text by chance


def _matches(head: bytes, path: Path) -> bool:
    return head.startswith(b"%") and (RAW_LINE.search(head) is not None or path.suffix.lower() == ".raw")


def read_header(file: BufferedReader) -> Lines:
    """The `%` lines up to `% end`, or to the first that is no text; a damaged one among them is passed over."""
    return read_lines(file, b"%", FIELD, lambda at, line: _belongs(line) or is_text(window_at(file, at)), b"% end")


def _belongs(line: bytes) -> bool:
    """Whether it is a header line, its first byte perhaps damaged; where no `% end` says so, words begin elsewhere."""
    return (line.startswith(b"% ") or len(line) >= SHORTEST_LINE) and is_text(line)


def _open(path: Path) -> Recording:
    with path.open("rb") as file:
        header = read_header(file)
        said = _said(header)
        encoding = _encoding(said, path)
        file.seek(header.stop)
        sample = file.read(SAMPLE_BYTES)
    big_endian = said.get("endianness") == "big"
    swapped = encoding == "evt2.1" and _has_swapped_halves(sample, big_endian)
    t0 = said.get("t0", "")
    t0_us = int(t0) if re.fullmatch(r"\d{1,18}", t0) else 0
    new_decoder = partial(_new_decoder, encoding, big_endian=big_endian, swapped_halves=swapped, t0_us=t0_us)
    size, source = _size(said, sample, new_decoder)
    details = {"encoding": encoding, "size_from": source}
    read = partial(_read, header=header, new_decoder=new_decoder)
    return Recording(path, "prophesee-raw", size, read, details=details)


def _said(header: Lines) -> dict[str, str]:
    """What the lines say, names in lower case; the options of a `format` line are taken apart."""
    lines = ((name.decode("ascii", "replace"), text.decode("ascii", "replace")) for name, text in header.fields.items())
    said = {name.lower(): text for name, text in lines}
    for option in said.get("format", "").split(";")[1:]:
        name, _, text = option.partition("=")
        said[name.strip().lower()] = text.strip().lower()
    return said


def _encoding(said: dict[str, str], path: Path) -> str:
    """The encoding by the decoder's name for it. Raises RecordingError for any other."""
    named = said.get("format", "").partition(";")[0] or said.get("evt", "").partition(" ")[0]
    encoding = ENCODINGS.get("".join(re.findall(r"\d", named)))
    if encoding is None:
        what = f"encoding {named!r}" if named else "no line '% evt' or '% format' that names its encoding"
        raise RecordingError(f"{path}: {what}; readable are EVT2, EVT2.1 and EVT3. Convert it with Prophesee's tools.")
    return encoding


def _has_swapped_halves(sample: bytes, big_endian: bool) -> bool:
    from dvspipe.recordings.layouts.evt_decoder import has_swapped_halves

    return has_swapped_halves(sample[:BLOCK_BYTES], big_endian)


def _new_decoder(encoding: str, size: tuple[int, int], **how: Any) -> EvtDecoder:
    from dvspipe.recordings.layouts.evt_decoder import EvtDecoder

    return EvtDecoder(encoding, size, **how)


def _size(said: dict[str, str], sample: bytes, new_decoder: NewDecoder) -> tuple[tuple[int, int], str]:
    """(W, H), and what told it: the header, the camera's name, or the smallest sensor that holds the sample's events.

    One event in a thousand may lie outside: damage must not turn a small sensor into a large one.
    """
    written = re.fullmatch(r"(\d{1,4})x(\d{1,4})", said.get("geometry", f"{said.get('width')}x{said.get('height')}"))
    if written and 0 < int(written[1]) <= LARGEST and 0 < int(written[2]) <= LARGEST:
        return (int(written[1]), int(written[2])), "header"
    name = f"{said.get('plugin_name', '')} {said.get('sensor_name', '')}".lower()
    for camera, size in CAMERAS.items():
        if camera in name:
            return size, "camera"
    decoder = new_decoder((LARGEST, LARGEST))
    events = Events.concatenate([decoder.decode(sample), decoder.finish()], (LARGEST, LARGEST))
    for width, height in SENSORS:
        if np.count_nonzero((events.x >= width) | (events.y >= height)) <= STRAY_FRACTION * len(events):
            return (width, height), "events"
    return (int(events.x.max()) + 1, int(events.y.max()) + 1), "events"


def _read(recording: Recording, header: Lines, new_decoder: NewDecoder) -> Iterator[Events]:
    out, decoder = Deliverer(recording), new_decoder(recording.sensor_size)
    if header.damaged_at is not None:
        out.report("corrupt", header.damaged_at, header.damaged_bytes, "header line")
    with recording.path.open("rb") as file:
        if window_at(file, header.stop - 1, 1) != b"\n":
            out.report("truncated", header.stop, 0, "the file ends inside its header")
        file.seek(header.stop)
        data = b"-"
        while out.going and data:
            data = file.read(BLOCK_BYTES)
            yield from _deliver(out, decoder.pieces(data, final=not data), header.stop)
            recording.details["early_words"] = decoder.early_words
        size = file.tell()
    if out.going and decoder.held_bytes:
        out.report("truncated", size - decoder.held_bytes, decoder.held_bytes, "the last word is cut")


def _deliver(out: Deliverer, pieces: Iterator[Piece], start: int) -> Iterator[Events]:
    for piece in pieces:
        if not piece.lost_bytes:
            yield from out.deliver(piece.events)
            continue
        kind, note = ("out-of-bounds", "outside the sensor") if piece.outside else ("corrupt", "impossible words")
        yield from out.around(piece.events, piece.before, kind, start + piece.offset, piece.lost_bytes, note)
        if not out.going:
            return


FORMAT = Format("prophesee-raw", _matches, _open)
