"""Files as a source: one recording, all recordings of an archive, or a folder as a playlist in the order of names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from dvspipe.errors import DvspipeError, RecordingError
from dvspipe.events import Events
from dvspipe.live.sources.part import Part
from dvspipe.recordings import Recording
from dvspipe.recordings.archive import Archive
from dvspipe.recordings.opening import recording_paths

Open = Callable[[str], Recording]
SCAN_S, SCAN_BYTES = 1.0, 64 * 2**20  # how much a timeline may cost before the first bin
LABELS = "_labels.csv"  # of a recording beside it, not a recording


class FileSource:
    """Plays `path`: a recording (`archive.h5#name` picks one of an archive), or a folder. `open_file` opens one.

    Raises RecordingError at once for a path that is missing, and for a folder without any recording; a single file is
    opened at once too.
    """

    is_camera = False

    def __init__(self, path: Path, open_file: Open) -> None:
        self.title, self._open = path.name, open_file
        self.skipped: list[str] = []
        self._ready: dict[str, Recording] = {}
        if not path.is_dir():
            self._paths = recording_paths(path) if "#" not in str(path) else [str(path)]
            if len(self._paths) > 1:  # an archive without a name: it says itself which it holds
                self._open(str(path))
            self._ready[self._paths[0]] = self._open(self._paths[0])
            return
        self._paths = list(self._of_folder(path))
        if not self._paths:
            found = "\n  ".join(["", *self.skipped]) or " It is empty."
            raise RecordingError(f"{path}: no recording to play in this folder.{found}")

    @property
    def several(self) -> bool:
        """Whether it is a playlist."""
        return len(self._paths) > 1

    def _of_folder(self, folder: Path) -> Iterator[str]:
        """Recordings by name; of an archive each one. What is none is noted."""
        for path in sorted(folder.iterdir()):
            if path.is_dir() or path.name.startswith(".") or path.name.endswith(LABELS):
                continue
            try:
                yield from recording_paths(path)
            except DvspipeError as error:
                self.skipped.append(f"{path.name}: {str(error).removeprefix(f'{path}: ')}")

    def parts(self) -> Iterator[Part]:
        """One part per recording. Of a playlist, what cannot be opened is noted and passed over."""
        for path in self._paths:
            try:
                recording = self._ready.get(path) or self._open(path)
            except DvspipeError as error:
                if len(self._paths) == 1:
                    raise
                self.skipped.append(str(error))
                continue
            name = Path(path).name
            yield Part(name.partition("#")[2] or name, recording.sensor_size, partial(after, recording), recording)

    def close(self) -> None:
        """Nothing is held open."""


def find_end(recording: Recording) -> int | None:
    """The last time of a recording where it is known or quickly found, for a timeline; None else."""
    if recording.format == "archive":
        with Archive(recording.path) as archive:
            return archive.span_us(recording.details["recording"])[1]
    if recording.path.stat().st_size > SCAN_BYTES:
        return None
    until, last = time.perf_counter() + SCAN_S, None
    for chunk in replace(recording):  # a copy: it has a damage report of its own
        last = max(int(chunk.t.max()), int(chunk.t[0]) if last is None else last)
        if time.perf_counter() > until:
            return None
    return last


def after(recording: Recording, from_us: int | None) -> Iterator[Events]:
    """A recording's chunks from sensor time `from_us` on. What lies before is read and left out: no format needs an index."""
    for chunk in recording:
        if from_us is None or chunk.t[0] >= from_us:
            yield chunk
        elif (kept := chunk[chunk.t >= from_us]) and len(kept):
            yield kept
