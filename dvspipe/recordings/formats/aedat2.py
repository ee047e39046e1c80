"""AEDAT 2.0, written by jAER: `#` lines, then big-endian records of a 32-bit address and a 32-bit time in µs.

What an address means depends on the camera. Default are jAER's conventions (jAER commit a1db449): DVS128 is ON where
bit 0 is 0, and x is mirrored (`chip/retina/DVS128.java`, Extractor); a DAVIS is ON where bit 11 is 1 (DAVIS208: 0,
`Davis208PixelParade.java`), and x is mirrored (`DavisBaseCamera.java`, DavisEventExtractor). jAER counts y from the
bottom (`event/BasicEvent.java`), our images from the top. v2e writes its files so too. The convention "raw" takes
every bit as iniVation's page names it (https://docs.inivation.com/software/software-advanced-usage/file-formats/
aedat-2.0.html): 1 is ON, nothing is mirrored. Special, frame (APS) and IMU records are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError, UsageError
from dvspipe.events import Events
from dvspipe.recordings.cameras import SIZES, STRAY_FRACTION
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.layouts.records import BLOCK_RECORDS, RECORD_BYTES, read_records
from dvspipe.recordings.layouts.text_header import Lines, is_text, read_lines, window_at
from dvspipe.recordings.recording import Format, Recording

if TYPE_CHECKING:
    from dvspipe.recordings.layouts.record_words import Layout

CONVENTIONS = ("jaer", "raw")
MARK = b"#!AER-DAT2."
END_LINE = b"#end of ascii header"
CHIP_LINE = re.compile(rb"#\s*(AEChip|HardwareInterface):\s*(.*)")
ORDER = ">u4"
DAVIS_SIZES = {name: size for name, size in SIZES.items() if name.startswith("DAVIS")}
DVS128_SPECIAL = 0x8000_8000  # DVS128.java: SYNC_EVENT_BITMASK and SPECIAL_EVENT_BIT_MASK
DVS128_UNUSED = 0x7FFF_0000
DAVIS_OTHER = 0x8000_0400  # DavisChip.java: APS and IMU, external input
PROBE_RECORDS, ALIGN_RECORDS, LONGEST_STEP_US = 9, 64, 10_000_000
SEARCH_BYTES = 1 << 20


class Camera(NamedTuple):
    """The camera a file is from: its name, sensor size (W, H), and whether its addresses are a DVS128's or a DAVIS'."""

    name: str
    size: tuple[int, int]
    is_davis: bool


DVS128 = Camera("DVS128", (128, 128), False)


def open_aedat2(path: Path, convention: str = "jaer") -> Recording:
    """Opens an AEDAT 2.0 file; `convention` says how polarity and directions are read (module docstring).

    Raises RecordingError for a chip that is no DVS128 and no DAVIS, UsageError for an unknown convention.
    """
    if convention not in CONVENTIONS:
        raise UsageError(f"convention '{convention}' is unknown; one of {', '.join(CONVENTIONS)}.")
    with path.open("rb") as file:
        header = read_header(file)
        camera = _named_camera(header, path) or _camera_by_addresses(file, header.stop)
    read = partial(_read, header=header, camera=camera, convention=convention)
    return Recording(path, "aedat2.0", camera.size, read, details={"camera": camera.name, "convention": convention})


def read_header(file: BufferedReader) -> Lines:
    """The `#` lines, up to jAER's end mark; in files that have none, up to where records begin.

    Where the end of the header is damaged, records begin behind the end mark if it is left; else where they give times
    in order, or a whole number of them before the end of the file.
    """
    header = read_lines(file, b"#", CHIP_LINE, partial(_is_header_line, file), END_LINE)
    data = window_at(file, header.stop, SEARCH_BYTES)
    begun = data.startswith(b"#") and not _are_records(data[: RECORD_BYTES * PROBE_RECORDS])
    if header.ended or not (header.odd or header.damaged_at is not None or begun):
        return header
    mark = re.search(END_LINE + rb"\r?\n", data, re.IGNORECASE)
    lost = mark.end() if mark else _misaligned(data, file.seek(0, 2) - header.stop)
    return header.with_damage(header.stop, lost) if lost else header


def _misaligned(data: bytes, length: int) -> int:
    """How many bytes behind the start of `data`, which has `length` bytes to the end of the file, records begin: 0..7.

    None where whole records are left. Otherwise the file is cut, or the header's end is not where it was taken for:
    records begin where times go on by least, for a byte off they go on by 256 times as much, or fall.
    """
    off = length % RECORD_BYTES
    room = min(len(data), RECORD_BYTES * ALIGN_RECORDS) // RECORD_BYTES * RECORD_BYTES - RECORD_BYTES
    if not off or room < RECORD_BYTES * PROBE_RECORDS:
        return 0
    steps = [float(np.median(_steps(data[shift : shift + room]))) for shift in range(RECORD_BYTES)]
    best = int(np.argmin(steps))
    return best if any(data[:room]) and steps[best] <= LONGEST_STEP_US else off


def _is_header_line(file: BufferedReader, start: int, line: bytes) -> bool:
    """Whether the line at `start` is one: text, or (a DAVIS record may begin with `#`) a `#` that begins no records."""
    if is_text(window_at(file, start)):
        return True
    probe = window_at(file, start, RECORD_BYTES * PROBE_RECORDS)
    return line.startswith(b"#") and line.endswith(b"\n") and not _are_records(probe)


def _are_records(data: bytes) -> bool:
    """Whether the data can be records: times that go on by little."""
    steps = _steps(data)
    return len(steps) > 1 and bool((steps <= LONGEST_STEP_US).all())


def _steps(data: bytes) -> NDArray[np.int64]:
    """What the clock of 32 bits goes on by from record to record, in µs; a fall is a long step."""
    times = np.frombuffer(data, ORDER, len(data) // RECORD_BYTES * 2)[1::2].astype(np.int64)
    return np.diff(times) % (1 << 32)


def _named_camera(header: Lines, path: Path) -> Camera | None:
    """The camera that the header names; None when it names none."""
    named = {key: value.decode("ascii", "replace") for key, value in header.fields.items()}
    for text in (named.get(b"AEChip", ""), named.get(b"HardwareInterface", "")):
        lower = text.lower()
        for name, size in DAVIS_SIZES.items():
            if name.lower() in lower:
                return Camera(name, size, True)
        if "dvs128" in lower or "tmpdiff128" in lower:
            return DVS128
    if b"AEChip" in named:
        raise RecordingError(
            f"{path}: recorded by '{named[b'AEChip']}'; addresses are known of {', '.join(('DVS128', *DAVIS_SIZES))}."
        )
    return None


def _camera_by_addresses(file: BufferedReader, start: int) -> Camera:
    """The camera of a file that does not say: a DVS128 unless most addresses are longer than its 15 bits.

    And times hardly fall: where the header is lost, what comes may be no records at all.
    """
    data = window_at(file, start, RECORD_BYTES * BLOCK_RECORDS)
    words, times = np.frombuffer(data, ORDER, len(data) // RECORD_BYTES * 2).reshape(-1, 2).T.astype(np.int64)
    words = words[words & DAVIS_OTHER == 0]
    falls = np.count_nonzero(np.diff(times) < 0)
    if np.count_nonzero(words & DVS128_UNUSED) * 2 <= len(words) or falls * 10 > len(times):
        return DVS128
    x, y = words >> 12 & 0x3FF, words >> 22 & 0x1FF
    for name, (width, height) in sorted(DAVIS_SIZES.items(), key=lambda each: each[1]):
        if np.count_nonzero((x >= width) | (y >= height)) <= STRAY_FRACTION * len(words):
            return Camera(name, (width, height), True)
    return Camera("DAVIS640", DAVIS_SIZES["DAVIS640"], True)


def _layout(camera: Camera, convention: str) -> Layout:
    from dvspipe.recordings.layouts.record_words import Layout

    as_jaer = convention == "jaer"
    if camera.is_davis:
        on = 0 if as_jaer and camera.name == "DAVIS208" else 1
        return Layout(1, DAVIS_OTHER, 0, 12, 0x3FF, 22, 0x1FF, 11, on, as_jaer, as_jaer)
    return Layout(1, DVS128_SPECIAL, DVS128_UNUSED, 1, 0x7F, 8, 0x7F, 0, 0 if as_jaer else 1, as_jaer, as_jaer)


def _read(recording: Recording, header: Lines, camera: Camera, convention: str) -> Iterator[Events]:
    out = Deliverer(recording)
    if header.damaged_at is not None:
        out.report("corrupt", header.damaged_at, header.damaged_bytes, "header line")
    if out.going:
        yield from read_records(out, header.stop, _layout(camera, convention), ORDER)


FORMAT = Format("aedat2.0", lambda head, path: head.startswith(MARK), open_aedat2, open_as=open_aedat2)
