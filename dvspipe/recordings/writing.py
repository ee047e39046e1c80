"""`write_recording`: writes events in the format that a file's suffix names. The counterpart of `opening.py`.

The formats are the modules of `recordings/writers/`, found by listing that folder: adding a format is adding a file.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path

from dvspipe.errors import UsageError
from dvspipe.events import Events
from dvspipe.recordings import writers
from dvspipe.recordings.writer import Labels, Writer


@cache
def known_writers() -> dict[str, Writer]:
    """Every writer by the suffix of its files."""
    names = [module.name for module in pkgutil.iter_modules(writers.__path__)]
    found = [import_module(f"{writers.__name__}.{name}").WRITER for name in names]
    return {writer.suffix: writer for writer in sorted(found, key=lambda each: each.suffix)}


def writer_for(path: str | Path) -> Writer:
    """The writer that a file's suffix names. Raises UsageError for an unknown one, naming the known."""
    suffix = Path(path).suffix.lower()
    if suffix not in known_writers():
        known = ", ".join(f"{each.suffix} ({each.name})" for each in known_writers().values())
        raise UsageError(f"{path}: events cannot be written as {suffix or 'a file without suffix'!r}. Known: {known}.")
    return known_writers()[suffix]


def write_recording(
    path: str | Path, chunks: Iterable[Events], sensor_size: tuple[int, int], labels: Labels | None = None
) -> int:
    """Writes events of a sensor (W, H) in the format of `path`'s suffix; returns how many. Constant memory.

    The file appears whole or not at all. `labels` are kept where the format can (`Writer.most_classes`), else left out.
    Raises UsageError for an unknown suffix, RecordingError for what the format cannot hold and when the disk is full.
    """
    writer = writer_for(path)
    kept = labels if labels and len(labels.classes) <= writer.most_classes else None
    return writer.write(Path(path), chunks, sensor_size, kept)
