"""An event archive of one recording, named as the file, with its labels. `archive_writer` does the work."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dvspipe.events import Events
from dvspipe.recordings.archive_writer import ArchiveWriter
from dvspipe.recordings.writer import Holds, Labels, Writer, checked

HOLDS = Holds("an event archive")


def _write(path: Path, chunks: Iterable[Events], sensor_size: tuple[int, int], labels: Labels | None) -> int:
    """Raises DatasetError for labels that reach out of the recording and for half an hour within 8,192 events."""
    name = path.stem.replace("#", "_")
    classes, segments = labels or Labels([], [])
    with ArchiveWriter(path, sensor_size, classes, {"source": "dvspipe convert"}) as archive:
        named = [segment._replace(recording=name) for segment in segments]
        return archive.add(name, checked(path, chunks, sensor_size, HOLDS), named)


WRITER = Writer("archive", ".h5", _write, most_classes=1 << 31)
