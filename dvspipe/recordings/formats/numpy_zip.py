""".npz files with arrays t, x, y, p of one length; t in whole µs. The four members are streamed side by side.

`sensor_size` [2] (W, H) is honoured where it is stored too. Pickles are refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.cameras import SAMPLE_EVENTS, size_holding
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.npy_header import read_layout
from dvspipe.recordings.recording import CHUNK_EVENTS, Format, Recording
from dvspipe.recordings.tables import named, whole_us

MARK = b"PK\x03\x04"
SIZE_MEMBER = "sensor_size"


class Member(NamedTuple):
    """One array inside the file, opened at its first value."""

    name: str
    file: IO[bytes]
    length: int
    dtype: np.dtype[Any]

    def take(self, count: int) -> NDArray[Any]:
        """The next `count` values, fewer at the end. Raises RecordingError where they cannot be read."""
        try:
            data = self.file.read(count * self.dtype.itemsize)
        except Exception as error:
            raise RecordingError(f"{self.name}: damaged ({error}). Copy the file again.") from error
        return np.frombuffer(data, self.dtype, len(data) // self.dtype.itemsize)


def _open(path: Path) -> Recording:
    with ExitStack() as stack:
        archive = stack.enter_context(_zip(path))
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        names = named(members, str(path))
        if names is None:
            raise RecordingError(f"{path}: holds {', '.join(members) or 'nothing'}, expected arrays t, x, y, p.")
        x, y = (_member(archive, members[names[column]], path, stack).take(SAMPLE_EVENTS) for column in "xy")
        size = size_holding(x, y)
        if SIZE_MEMBER in members:
            width, height = _member(archive, members[SIZE_MEMBER], path, stack).take(2)
            size = (int(width), int(height))
    return Recording(path, "npz", size, _read, details={column: members[names[column]] for column in "txyp"})


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except Exception as error:
        raise RecordingError(f"{path}: the .npz file's table of contents is lost ({error}). Copy it again.") from error


def _member(archive: zipfile.ZipFile, name: str, path: Path, stack: ExitStack) -> Member:
    source = f"{path}: {name}"
    try:
        file = stack.enter_context(archive.open(name))
    except Exception as error:
        raise RecordingError(f"{source}: cannot be read ({error}). Copy the file again.") from error
    layout = read_layout(file, source)
    if len(layout.shape) != 1 or layout.dtype.kind not in "iufb":
        raise RecordingError(f"{source}: shape {layout.shape}, type {layout.dtype}; expected one number per event.")
    return Member(source, file, layout.shape[0], layout.dtype)


def _read(recording: Recording) -> Iterator[Events]:
    out, done = Deliverer(recording), 0
    with ExitStack() as stack:
        archive = stack.enter_context(_zip(recording.path))
        members = [_member(archive, recording.details[column], recording.path, stack) for column in "txyp"]
        lengths = [member.length for member in members]
        if len(set(lengths)) > 1:
            raise RecordingError(f"{recording.path}: arrays t, x, y, p have lengths {lengths}, expected one length.")
        while out.going and done < lengths[0]:
            count = min(CHUNK_EVENTS, lengths[0] - done)
            try:
                t, x, y, p = (member.take(count) for member in members)
            except RecordingError as error:
                out.report("corrupt", 0, 0, f"event {done} and later: {error}")
                return
            whole = min(len(t), len(x), len(y), len(p))
            yield from out.inside((whole_us(t[:whole], str(recording.path)), x[:whole], y[:whole], p[:whole]))
            if whole < count:
                out.report("truncated", 0, 0, f"event {done + whole} and later are missing")
                return
            done += count


FORMAT = Format("npz", lambda head, path: head.startswith(MARK), _open)
