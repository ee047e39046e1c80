"""Event columns in other people's HDF5 files: where they are, their time unit and sensor, and which rows can be read.

Runs in a worker of `guarded` alone, for libhdf5 may crash on a damaged file or never return from it. Layouts: a group
with datasets named t, x, y, p (DSEC, TUM-VIE, M3ED) or ts, xs, ys, ps (RPG, E2VID), a dataset with such fields
(Prophesee), an N x 4 dataset (MVSEC: x, y, t, p). Integer times are µs, times with fractions seconds; `t_offset` is
added. Compressed chunks that are missing would read as zeros, so every chunk is looked up in the file's own index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import h5py
import hdf5plugin  # noqa: F401  (makes the filters known to h5py: Blosc, zstd, lz4)
import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import RecordingError
from dvspipe.recordings.columns import LARGEST_T, Rows
from dvspipe.recordings.guarded import Chunk
from dvspipe.recordings.layouts.hdf5_places import Places, opened
from dvspipe.recordings.recording import CHUNK_EVENTS
from dvspipe.recordings.tables import column_order, named

ECF_FILTER = 36559
MOST_OBJECTS, DEEPEST = 2_000, 6
US_PER_S = 1e6
SIZE_NAMES = ("sensor_resolution", "resolution", "sensor_size", "geometry")
ROW_FIRST = "sensor_resolution"  # H, W: as event_utils writes it
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError)


class Stream(NamedTuple):
    """The datasets of one recording, and how their rows become t, x, y, p."""

    path: str
    datasets: list[Any]
    split: Callable[[list[NDArray[Any]]], Rows]


def columns(path: str, name: str | None, most: int | None) -> Iterator[Chunk]:
    """First facts `names`, `name`, `rows`, `size` (or None); then t (µs), x, y, p of at most `most` rows.

    Rows that cannot be read come as facts `kind`, `offset`, `lost_bytes`, `note`. Raises RecordingError where the file
    holds no events or a filter is missing.
    """
    with opened(path) as (file, file_bytes, cut):
        streams = list(_streams(file))
        names = _names([stream.path for stream in streams])
        stream = _chosen(path, streams, names, name)
        _check_filters(path, stream)
        rows = min(len(dataset) for dataset in stream.datasets)
        places = Places(stream.datasets, file_bytes)
        size = _declared_size(file, stream.path)
        yield Chunk({"names": names, "name": stream.path, "rows": rows, "size": size}, [])
        to_us = _TimeUnit(_offset_us(file, stream.path))
        stop = min(rows, places.present_rows, rows if most is None else most)
        for start in range(0, stop, CHUNK_EVENTS):
            yield from _piece(stream, places, to_us, start, min(start + CHUNK_EVENTS, stop))
        if most is None and (cut or stop < rows):
            yield _lost("truncated", (file_bytes, 0), f"{rows - stop} events are missing behind the end of the file")


def _piece(stream: Stream, places: Places, to_us: _TimeUnit, start: int, stop: int) -> Iterator[Chunk]:
    """The rows start..stop-1, or where these cannot be read, chunk by chunk those that can."""
    note = "a chunk is missing"
    missing = places.missing(start, stop)
    if not missing:
        try:
            t, x, y, p = stream.split([dataset[start:stop] for dataset in stream.datasets])
            yield Chunk({}, [to_us(t), x, y, p])
            return
        except UNREADABLE as error:
            note = str(error)
    unit = places.chunk_rows
    if stop - start <= unit:
        yield _lost(missing or "corrupt", places.of(start, stop), f"rows {start} to {stop - 1}: {note}")
        return
    for low in range(start - start % unit, stop, unit):
        yield from _piece(stream, places, to_us, max(low, start), min(low + unit, stop))


def _lost(kind: str, place: tuple[int, int], note: str) -> Chunk:
    return Chunk({"kind": kind, "offset": place[0], "lost_bytes": place[1], "note": note}, [])


class _TimeUnit:
    """Times of any type to µs; whether they are seconds is told by the first ones: those have fractions."""

    def __init__(self, offset_us: int) -> None:
        self.offset_us, self.scale = offset_us, 0.0

    def __call__(self, t: NDArray[Any]) -> NDArray[Any]:
        if t.dtype.kind != "f":
            return t.astype(np.int64) + self.offset_us
        if not self.scale:
            self.scale = 1.0 if np.all(np.rint(t) == t) and len(t) > 1 else US_PER_S
        us = t.astype(np.float64) * self.scale
        return us + self.offset_us if self.offset_us else us


def _offset_us(file: Any, path: str) -> int:
    """`t_offset` beside the columns or in a group above, 0 where there is none."""
    for group in _upwards(file, path):
        if "t_offset" in group:
            value = int(np.ravel(group["t_offset"][()])[0])
            return value if abs(value) < LARGEST_T else 0
    return 0


def _upwards(file: Any, path: str) -> Iterator[Any]:
    """The groups from `path` up to the root."""
    parts = path.split("/")
    for count in range(len(parts), -1, -1):
        group = file["/".join(parts[:count]) or "/"]
        if isinstance(group, h5py.Group):
            yield group


def _streams(file: Any) -> Iterator[Stream]:
    """Every recording of the file, in the order of their paths. Links out of the file are not followed."""
    groups, seen = [("", file, 0)], 0
    while groups and seen < MOST_OBJECTS:
        path, group, depth = groups.pop(0)
        members = [key for key in group if isinstance(group.get(key, getlink=True), h5py.HardLink)]
        seen += len(members)
        held = {key: group[key] for key in members[:MOST_OBJECTS]}
        yield from _streams_in(path, {key: item for key, item in held.items() if isinstance(item, h5py.Dataset)})
        if depth < DEEPEST:
            inner = [(key, item) for key, item in held.items() if isinstance(item, h5py.Group)]
            groups += [(f"{path}/{key}".strip("/"), item, depth + 1) for key, item in inner]


def _streams_in(path: str, datasets: dict[str, Any]) -> Iterator[Stream]:
    """The recordings among the datasets of one group."""
    flat = {key: item for key, item in datasets.items() if item.ndim == 1 and item.dtype.kind in "iufb"}
    names = named(flat, path or "/")
    if names:
        yield Stream(path, [flat[names[column]] for column in "txyp"], lambda held: tuple(held))  # type: ignore[arg-type,return-value]
    for key, item in datasets.items():
        inner = f"{path}/{key}".strip("/")
        fields = named(item.dtype.fields, inner) if item.ndim == 1 and item.dtype.names else None
        if fields:
            yield Stream(inner, [item], lambda held, fields=fields: tuple(held[0][fields[column]] for column in "txyp"))  # type: ignore[misc]
        if item.ndim == 2 and item.shape[1] == 4 and item.dtype.kind in "iuf" and "event" in key.lower():
            order = _table_order(item, inner)
            yield Stream(inner, [item], lambda held, order=order: tuple(held[0][:, place] for place in order))  # type: ignore[misc]


def _table_order(table: Any, source: str) -> tuple[int, ...]:
    """The places of t, x, y, p: those of MVSEC in a table of floats, told by the polarities in one of integers."""
    return (2, 0, 1, 3) if table.dtype.kind == "f" else column_order(table[:CHUNK_EVENTS], source)


def _names(paths: list[str]) -> list[str]:
    """What to call each: the first part of its path that no other has, else the whole path."""
    parts = [path.split("/") for path in paths]
    others = [{part for other in parts if other is not mine for part in other} for mine in parts]
    return [next((part for part in mine if part not in rest), "/".join(mine)) for mine, rest in zip(parts, others)]


def _chosen(path: str, streams: list[Stream], names: list[str], name: str | None) -> Stream:
    if not streams:
        raise RecordingError(
            f"{path}: HDF5 without event columns. Known: t, x, y, p (DSEC, M3ED) or ts, xs, ys, ps (RPG) in one group, "
            "/CD/events (Prophesee), an N x 4 `events` (MVSEC), and archives made by `dvspipe prepare`."
        )
    for stream, short in zip(streams, names):
        if name in (None, short, stream.path):
            return stream
    raise RecordingError(f"{path}: holds no recording {name!r}. It holds: {', '.join(names)}.")


def _check_filters(path: str, stream: Stream) -> None:
    """Raises RecordingError where a column is compressed by a filter that h5py lacks."""
    for dataset in stream.datasets:
        made = dataset.id.get_create_plist()
        for number in (made.get_filter(index)[0] for index in range(made.get_nfilters())):
            if h5py.h5z.filter_avail(number):
                continue
            if number == ECF_FILTER:
                raise RecordingError(
                    f"{path}: compressed with Prophesee's ECF filter (36559), which no Python package brings. Read the "
                    "RAW file it was made from, convert it with OpenEB (`metavision_file_to_dat -i FILE`), or install "
                    "github.com/prophesee-ai/hdf5_ecf and set HDF5_PLUGIN_PATH to the folder of its plugin."
                )
            raise RecordingError(
                f"{path}: {dataset.name} is compressed with HDF5 filter {number}, which is not installed. Install its "
                "plugin and set HDF5_PLUGIN_PATH to its folder, or write the file again with gzip or Blosc."
            )


def _declared_size(file: Any, path: str) -> list[int] | None:
    """[W, H] where an attribute or dataset beside the columns or above tells."""
    for group in _upwards(file, path):
        inner = [group, *(group[key] for key in ("calib",) if isinstance(group.get(key), h5py.Group))]
        for place in inner:
            for name in SIZE_NAMES:
                size = _two_numbers(place.attrs.get(name)) or _two_numbers(_small(place.get(name)))
                if size:
                    return size[::-1] if name == ROW_FIRST else size
    return None


def _small(item: Any) -> Any:
    return item[()] if isinstance(item, h5py.Dataset) and item.size is not None and item.size <= 4 else None


def _two_numbers(value: Any) -> list[int] | None:
    """Two pixel counts from an array or from text as "1280x720"."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    try:
        numbers = [int(each) for each in (text.split("x") if isinstance(text, str) else np.ravel(text)[:3])]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == 2 and all(0 < each < 1 << 16 for each in numbers) else None
