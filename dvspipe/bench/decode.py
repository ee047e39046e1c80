"""Table `decode`: a recording's bytes to event columns, in Mev/s, per format that we write or that a real file is here of."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvspipe.bench.event_inputs import SENSOR, cloud
from dvspipe.bench.measuring import KEPT
from dvspipe.bench.peers.choice import library
from dvspipe.bench.rates import Call, check_arrays, rate_row
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Row, Table
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.recordings import open_recording
from dvspipe.recordings.columns import empty_columns
from dvspipe.recordings.layouts import aedat31_words
from dvspipe.recordings.writing import write_recording

COUNT = 1_000_000
WRITTEN = (".aedat", ".aedat4", ".csv")
REAL = ("gen3_scene_evt2.raw", "gen41_scene_evt3.raw", "atis_ncars.dat")
READERS = {"faery": ".aedat4 .csv .raw .dat .es", "expelliarmus": ".raw .dat"}
Columns = tuple[NDArray, NDArray, NDArray, NDArray]
NOTES = (
    KEPT,
    "Equal work: all four columns equal, checked before timing. Ours looks for damage and impossible times on the way.",
    "Files lie in the system's cache; floor: reading the bytes. In memory the floor is copying the words.",
    "numpy: the decoder one writes oneself, a packet at a time; a line at a time, np.loadtxt, for text.",
)


def run(settings: BenchSettings) -> Table:
    """AEDAT 3.1 in memory, then whole files."""
    keep_freed_memory()
    count = int(settings.extra.get("events", COUNT))
    events = cloud(count, 1e6, settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"cloud{suffix}" for suffix in WRITTEN]
        for path in paths:
            write_recording(path, [events[: _fewer(path, count)]], SENSOR)
        rows = [_words_row(paths[0], settings)]
        real = [settings.recordings / name for name in REAL] if settings.recordings else []
        rows += [_file_row(path, settings) for path in [*paths, *(path for path in real if path.is_file())]]
    missing = [f"{name} is not installed, so its column is missing." for name in READERS if library(name) is None]
    return Table("decode", "A recording's bytes to event columns.", rows, [*NOTES, *missing])


def _fewer(path: Path, count: int) -> int:
    """Text is slow: a tenth of the events."""
    return count // 10 if path.suffix == ".csv" else count


def _words_row(path: Path, settings: BenchSettings) -> Row:
    words = np.frombuffer(aedat31_body(path.read_bytes()), "<u4")
    room = len(words) // 2

    def ours() -> list[NDArray]:
        columns, refused = empty_columns(room), np.zeros(4, np.int64)
        count = aedat31_words.decode(words, aedat31_words.new_walk(), refused, *columns, *SENSOR)
        return [column[:count] for column in columns]

    found = ours()
    verdicts = {"numpy": check_arrays(numpy_aedat31(words), found, "columns")}
    cases: dict[str, Call] = {"ours": ours, "numpy": lambda: numpy_aedat31(words), "floor": words.copy}
    return rate_row("AEDAT 3.1, words in memory", "Mev/s", len(found[0]) / 1e6, cases, verdicts, settings)


def _file_row(path: Path, settings: BenchSettings) -> Row:
    recording = open_recording(path)

    def ours() -> Columns:
        events = open_recording(path).load()
        return events.t, events.x, events.y, events.p

    expected = ours()
    peers, verdicts, failed = _peers(path, recording.format), {}, []
    for name, call in list(peers.items()):
        try:
            verdicts[name] = check_arrays(call(), expected, "columns")
        except Exception as error:  # a peer may fail on a file in any way
            failed.append(f"{name} cannot read it: {error}")
            del peers[name]
    cases = {"ours": ours, **peers, "floor": path.read_bytes}
    case = f"{path.name}, whole file"
    return rate_row(case, "Mev/s", len(expected[0]) / 1e6, cases, verdicts, settings, "; ".join(failed))


def _peers(path: Path, form: str) -> dict[str, Callable[[], Columns]]:
    found: dict[str, Callable[[], Columns]] = {}
    if form == "aedat3.1":
        found["numpy"] = lambda: numpy_aedat31(np.frombuffer(aedat31_body(path.read_bytes()), "<u4"))
    if path.suffix == ".csv":
        found["numpy"] = lambda: numpy_csv(path)
    for name, suffixes in READERS.items():
        module = library(name)
        if module is not None and path.suffix in suffixes.split():
            found[name] = module.reading(path)
    return found


def aedat31_body(data: bytes) -> bytes:
    """What follows the header of an AEDAT 3.1 file, whole words of it."""
    end = data.index(b"#!END-HEADER")
    body = data[data.index(b"\n", end) + 1 :]
    return body[: len(body) // 4 * 4]


def numpy_aedat31(words: NDArray[np.uint32]) -> Columns:
    """Polarity packets of AEDAT 3.1 by whole packets: what one writes in numpy."""
    parts, at = [], 0
    while at + 7 <= len(words):
        overflow, capacity, number = int(words[at + 3]), int(words[at + 4]), int(words[at + 5])
        data, time = words[at + 7 : at + 7 + 2 * number].reshape(-1, 2).T
        valid = (data & 1).astype(np.bool_)
        if not valid.all():
            data, time = data[valid], time[valid]
        x, y = (data >> 17).astype(np.uint16), ((data >> 2) & 0x7FFF).astype(np.uint16)
        parts.append((time.astype(np.int64) + (overflow << 31), x, y, (data & 2) != 0))
        at += 7 + 2 * capacity
    t, x, y, p = (np.concatenate(column) for column in zip(*parts))
    return t, x, y, p


def numpy_csv(path: Path) -> Columns:
    """Lines `t,x,y,p` behind our two header lines."""
    table = np.loadtxt(path, np.int64, delimiter=",", skiprows=2)
    return table[:, 0], table[:, 1].astype(np.uint16), table[:, 2].astype(np.uint16), table[:, 3] > 0
