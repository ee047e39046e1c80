""".npz files with arrays t, x, y, p of one length; t in whole µs. The four members are streamed side by side.

`sensor_size` [2] (W, H) is honoured where it is stored too. Pickles are refused. Of a cut or damaged file comes what
all four columns hold up to the damage; a wrong checksum is reported, but does not say which events are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.recordings.cameras import LARGEST_SENSOR, SAMPLE_EVENTS, size_holding
from dvspipe.recordings.columns import Deliverer
from dvspipe.recordings.layouts.npy_header import read_layout
from dvspipe.recordings.layouts.zip_members import MARK, Member, Place, find_members
from dvspipe.recordings.recording import CHUNK_EVENTS, Format, Recording
from dvspipe.recordings.tables import named, whole_us

SIZE_MEMBER = "sensor_size"


class Column(NamedTuple):
    """One array inside the file, at its first value."""

    name: str
    member: Member
    length: int
    dtype: np.dtype[Any]

    def take(self, count: int) -> NDArray[Any]:
        """The next `count` values, fewer at the end or at damage."""
        data = self.member.read(count * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype, len(data) // self.dtype.itemsize)


def _open(path: Path) -> Recording:
    for by_marks in (False, True):  # a damaged table may leave some out
        places = {name.removesuffix(".npy"): place for name, place in find_members(path, by_marks).items()}
        names = named(places, str(path))
        if names is not None:
            break
    else:
        raise RecordingError(f"{path}: holds {', '.join(places) or 'nothing'}, expected arrays t, x, y, p.")
    used = [(names[column], places[names[column]]) for column in "txyp"]
    with ExitStack() as stack:
        t, x, y, p = (_column(path, name, place, stack) for name, place in used)
        lengths = [column.length for column in (t, x, y, p)]
        if len(set(lengths)) > 1:
            raise RecordingError(f"{path}: arrays t, x, y, p have lengths {lengths}, expected one length.")
        whole_us(t.take(CHUNK_EVENTS), str(path))
        size = _stored_size(path, places, stack) or size_holding(*_sample(x, y))
    return Recording(path, "npz", size, _read, details={"places": used})


def _sample(x: Column, y: Column) -> tuple[NDArray[Any], NDArray[Any]]:
    one, other = x.take(SAMPLE_EVENTS), y.take(SAMPLE_EVENTS)
    rows = min(len(one), len(other))
    return one[:rows], other[:rows]


def _stored_size(path: Path, places: dict[str, Place], stack: ExitStack) -> tuple[int, int] | None:
    """The sensor size that the file states; None where it states none that a sensor could have."""
    if SIZE_MEMBER not in places:
        return None
    size = _column(path, SIZE_MEMBER, places[SIZE_MEMBER], stack).take(2)
    sane = len(size) == 2 and bool(((size > 0) & (size <= LARGEST_SENSOR)).all())
    return (int(size[0]), int(size[1])) if sane else None


def _column(path: Path, name: str, place: Place, stack: ExitStack) -> Column:
    source = f"{path}: {name}"
    member = Member(stack.enter_context(path.open("rb")), place)
    layout = read_layout(member, source)
    if len(layout.shape) != 1 or layout.dtype.kind not in "iufb":
        raise RecordingError(f"{source}: shape {layout.shape}, type {layout.dtype}; expected one number per event.")
    return Column(name, member, layout.shape[0], layout.dtype)


def _read(recording: Recording) -> Iterator[Events]:
    out, done = Deliverer(recording), 0
    with ExitStack() as stack:
        places = recording.details["places"]
        columns = [_column(recording.path, name, place, stack) for name, place in places]
        length = columns[0].length
        while out.going and done < length:
            count = min(CHUNK_EVENTS, length - done)
            taken = [column.take(count) for column in columns]
            whole = min(len(values) for values in taken)
            t, x, y, p = (values[:whole] for values in taken)
            yield from out.inside((t, x, y, p))
            done += whole
            if whole < count:
                break
        if out.going:
            _report(out, columns, length - done)


def _report(out: Deliverer, columns: list[Column], missing: int) -> None:
    """Reports the first column that ended early, or the first whose checksum is wrong."""
    for column in columns:
        if not missing:
            column.member.check()
        if column.member.fault:
            out.report("corrupt", column.member.place.start, 0, f"{column.name}: {column.member.fault}")
            return
    if missing:
        out.report("truncated", out.recording.path.stat().st_size, 0, f"the last {missing} events are missing")


FORMAT = Format("npz", lambda head, path: head.startswith(MARK), _open)
