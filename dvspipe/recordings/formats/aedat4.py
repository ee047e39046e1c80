"""AEDAT 4, the format of iniVation's DV. Decoded by faery; here are the sensor size, bounds and the damage report.

Layout: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html. faery yields packets
until it meets damage and then raises; it does not say where, so the packet headers are counted here. It cannot go on
behind damage: "skip" ends there too. t is Unix time in µs. Of several event streams the first is read.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.recording import Format, Recording

MARK = b"#!AER-DAT4.0\r\n"
COPY_BYTES = 1 << 20


def _open(path: Path) -> Recording:
    with _decoder(path) as (decoder, _):
        tracks = [track for track in decoder.tracks() if track.data_type == "events"]
    if not tracks:
        raise RecordingError(f"{path}: holds no event stream. Record the camera's events, not only its frames or IMU.")
    size = tracks[0].dimensions
    return Recording(path, "aedat4", (int(size[0]), int(size[1])), _read, details={"stream": tracks[0].id})


@contextmanager
def _decoder(path: Path) -> Iterator[tuple[Any, bool]]:
    """faery's decoder and True; with a damaged table behind the packets, that of a copy of the packets and False."""
    with TemporaryDirectory() as folder:
        try:
            decoder, whole = _decode(path), True
        except RecordingError:
            copy = Path(folder) / "packets.aedat4"
            if not _copy_packets(path, copy):
                raise
            decoder, whole = _decode(copy), False
        yield decoder, whole


def _decode(path: Path) -> Any:
    from faery import aedat

    try:
        return aedat.Decoder(path)
    except BaseException as error:
        reason = _reason(error)
        raise RecordingError(f"{path}: AEDAT 4 header cannot be read ({reason}). Copy or record it again.") from error


def _copy_packets(path: Path, copy: Path) -> bool:
    """Copies the file up to its data table; False when there is none."""
    with path.open("rb") as file:
        _, table = packets_start(file)
        if not 0 < table < file.seek(0, 2):
            return False
        file.seek(0)
        with copy.open("wb") as out:
            while out.tell() < table:
                out.write(file.read(min(table - out.tell(), COPY_BYTES)))
    return True


def _read(recording: Recording) -> Iterator[Events]:
    out, packets = Deliverer(recording), 0
    with _decoder(recording.path) as (decoder, whole):
        while out.going:
            try:
                track, packet = next(decoder)
            except StopIteration:
                _report_end(out, packets, "" if whole else "the data table behind the packets is damaged")
                return
            except BaseException as error:
                _report_end(out, packets, _reason(error))
                return
            packets += 1
            if track.id == recording.details["stream"]:
                yield from out.inside((packet["t"].astype(np.int64), packet["x"], packet["y"], packet["on"]))


def _reason(error: BaseException) -> str:
    """The message of a foreign decoder's error; a panic of its Rust code is a BaseException. Others pass."""
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    return str(error)


def _report_end(out: Deliverer, packets: int, fault: str) -> None:
    """Reports what lies behind the first `packets` packets: the fault, or the end of a file that is too short."""
    with out.recording.path.open("rb") as file:
        size = file.seek(0, 2)
        offset, table = packets_start(file)
        for _ in range(packets):
            offset += 8 + _packet_bytes(file, offset)
        stop = offset + 8 + _packet_bytes(file, offset)
    if fault:
        out.report("corrupt" if stop <= size else "truncated", offset, size - offset, fault)
    elif table >= size:
        out.report("truncated", offset, size - offset, "the recording was not finished")


def _packet_bytes(file: BufferedReader, offset: int) -> int:
    """The body length of the packet at `offset`; endless where the file ends before saying."""
    file.seek(offset + 4)
    length = file.read(4)
    return int(struct.unpack("<i", length)[0]) if len(length) == 4 else sys.maxsize


def packets_start(file: BinaryIO) -> tuple[int, int]:
    """The bytes where packets begin and where the header says the data table is (-1: the header does not say)."""
    file.seek(len(MARK))
    try:
        length = struct.unpack("<I", file.read(4))[0]
        header = file.read(length)
        root = struct.unpack_from("<I", header)[0]
        fields = root - struct.unpack_from("<i", header, root)[0]
        slot = struct.unpack_from("<H", header, fields + 6)[0]
        table = struct.unpack_from("<q", header, root + slot)[0] if slot else -1
    except (struct.error, OverflowError, MemoryError):
        return 0, -1
    return len(MARK) + 4 + length, table


FORMAT = Format("aedat4", lambda head, path: head.startswith(MARK[:12]), _open)
