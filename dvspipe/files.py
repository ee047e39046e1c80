"""Files that appear whole or not at all, and folders that exist. Knows no format; every room that writes uses it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dvspipe.errors import DvspipeError


@contextmanager
def replacing(path: str | Path, error: type[DvspipeError]) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends well and is removed when it does not.

    Raises `error` where the system refuses: full disk, no permission, no such folder. What was there before stays.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        beside.replace(path)
    except OSError as refusal:
        why = refusal.strerror or str(refusal)
        raise error(
            f"{path}: cannot be written: {why}. Free space or choose another folder; nothing was left behind."
        ) from refusal
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def make_folder(folder: Path, error: type[DvspipeError]) -> Path:
    """The folder, made and absolute. Raises `error` where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as refusal:
        raise error(
            f"{folder}: cannot be made ({refusal}). Choose a folder you own with --out or DVSPIPE_DATA."
        ) from refusal
    return folder.absolute()
