"""`open_recording`: finds a recording's format by its content and opens it.

The formats are the modules of `recordings/formats/`, found by listing that folder: adding a format is adding a file.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from dvspipe.errors import RecordingError, UsageError
from dvspipe.recordings import formats
from dvspipe.recordings.recording import Format, OnDamage, Recording

HEAD_BYTES = 4096


@cache
def known_formats() -> tuple[Format, ...]:
    """Every format, those with a mark of their own first."""
    names = [module.name for module in pkgutil.iter_modules(formats.__path__)]
    found = [import_module(f"{formats.__name__}.{name}").FORMAT for name in names]
    return tuple(sorted(found, key=lambda each: (each.guess, each.name)))


def open_recording(path: str | Path, on_damage: OnDamage = "skip", convention: str | None = None) -> Recording:
    """Opens a recording of any known format, recognised by its content; `archive.h5#name` opens one of an archive.

    `convention` says how addresses are read where a format leaves that open (AEDAT 2.0: "jaer" or "raw"). Raises
    RecordingError when the file is missing, empty or of no known format, DatasetError for an unknown `name`, UsageError
    for a convention that the format does not know.
    """
    file, name = _split(Path(path))
    form = _format(file)
    if convention is None:
        recording = form.open_part(file, name)
    elif form.open_as is not None:
        recording = form.open_as(file, convention)
    else:
        raise UsageError(f"{path}: convention {convention!r}: {form.name} leaves nothing open; leave the option out.")
    recording.on_damage = on_damage
    return recording


def recording_paths(path: str | Path) -> list[str]:
    """What `open_recording` opens in a file: the path itself, or `path#name` for each recording of an archive.

    Raises RecordingError as `open_recording` does.
    """
    file, name = _split(Path(path))
    names = _format(file).names
    held = names(file) if names is not None and name is None else []
    return [f"{file}#{each}" for each in held] or [str(path)]


def _split(path: Path) -> tuple[Path, str | None]:
    """The file, and the recording named behind `#` where no file of the whole name exists."""
    file, mark, name = str(path).partition("#")
    return (Path(file), name) if mark and not path.exists() else (path, None)


def _format(path: Path) -> Format:
    head = _head(path)
    for each in known_formats():
        if each.matches(head, path):
            return each
    known = ", ".join(each.name for each in known_formats())
    raise RecordingError(f"{path}: unknown format, first bytes {head[:16]!r}. Known formats: {known}.")


def _head(path: Path) -> bytes:
    """The first bytes of a file that must be there and not empty."""
    if path.is_dir():
        raise RecordingError(f"{path}: is a folder, expected one recording file.")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be opened ({error.strerror}). Check the path.") from error
    if not head:
        raise RecordingError(f"{path}: the file is empty (0 bytes). Copy or record it again.")
    return head
