"""AEDAT 4, the format of iniVation's DV, encoded by faery: one event stream, packets compressed with LZ4.

faery checks order too, but with a RuntimeError that names no file. Reading is `formats/aedat4.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from dvspipe.errors import RecordingError
from dvspipe.events import Events
from dvspipe.files import replacing
from dvspipe.recordings.recording import CHUNK_EVENTS
from dvspipe.recordings.writer import Holds, Labels, Writer, checked

HOLDS = Holds("AEDAT 4", first_us=0, ordered=True)
STREAM = 0


def write_aedat4(path: str | Path, chunks: Iterable[Events], sensor_size: tuple[int, int]) -> int:
    """Writes events, ordered in time, as AEDAT 4; returns how many. The file appears whole or not at all.

    Raises RecordingError for times that are negative or go back, events outside the sensor, and when the disk is full.
    """
    from faery import aedat

    count, good = 0, checked(path, chunks, sensor_size, HOLDS)
    with replacing(path, RecordingError) as beside:
        with _as_system_error():
            encoder = aedat.Encoder(beside, _description(sensor_size), aedat.LZ4_DEFAULT)
        try:
            for events in good:
                for start in range(0, len(events), CHUNK_EVENTS):
                    with _as_system_error():
                        encoder.write(STREAM, _packet(events[start : start + CHUNK_EVENTS]))
                count += len(events)
        except BaseException:
            with suppress(RuntimeError):  # closing what has failed may fail again
                encoder.__exit__(None, None, None)
            raise
        with _as_system_error():
            encoder.__exit__(None, None, None)
    return count


@contextmanager
def _as_system_error() -> Iterator[None]:
    """faery knows RuntimeError only; after our own checks that is a disk that refuses."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _packet(events: Events) -> np.ndarray:
    from faery import EVENTS_DTYPE

    packet = np.empty(len(events), EVENTS_DTYPE)
    packet["t"], packet["x"], packet["y"], packet["p"] = events.t, events.x, events.y, events.p
    return packet


def _description(sensor_size: tuple[int, int]) -> list[Any]:
    """The XML tree of the header, as DV writes it: one stream of events and its sensor."""
    from faery import aedat

    def node(path: str, attributes: dict[str, str | int], inner: list[Any]) -> Any:
        kinds = {name: "int" if isinstance(value, int) else "string" for name, value in attributes.items()}
        held = {name: aedat.DescriptionAttribute(kinds[name], value) for name, value in attributes.items()}
        return aedat.DescriptionNode(path.split("/")[-2], path, held, inner)

    root = "/mainloop/Recorder/outInfo/"
    info = node(f"{root}0/info/", {"sizeX": sensor_size[0], "sizeY": sensor_size[1], "source": "dvspipe"}, [])
    texts: dict[str, str | int] = {"compression": "LZ4", "originalOutputName": "events", "typeIdentifier": "EVTS"}
    return [node(root, {}, [node(f"{root}0/", texts, [info])])]


def _write(path: Path, chunks: Iterable[Events], sensor_size: tuple[int, int], labels: Labels | None) -> int:
    return write_aedat4(path, chunks, sensor_size)


WRITER = Writer("aedat4", ".aedat4", _write)
