"""Writing files whole or not at all. Knows no format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dvspipe.errors import RecordingError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends well and is removed when it does not.

    Raises RecordingError where the system refuses: full disk, no permission, no such folder.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise RecordingError(f"{path}: cannot be written: {why}. Nothing was left behind.") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
