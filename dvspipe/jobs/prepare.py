"""`dvspipe prepare`: a downloaded dataset -> one archive that clips are read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvspipe.data.prepare import prepare as prepare_archive
from dvspipe.errors import DatasetError, UsageError
from dvspipe.files import make_folder
from dvspipe.jobs.archives import archive_path
from dvspipe.recipes import load_card
from dvspipe.show.progress import progress


def prepare(name: str, source: Path, out: Path | None = None, partial: bool = False) -> dict[str, Any]:
    """Writes the archive of a card and returns `archive`, `counts` per split and class, `checks` and notes.

    Raises UsageError for a simulated card, DatasetError with everything that is missing or wrong in the folder.
    """
    card = load_card(name)
    if card.simulated and out is None:
        raise UsageError(
            f"dataset '{name}' is simulated: use dvspipe simulate {name}, or give --out to prepare files of it."
        )
    path = out.absolute() if out else archive_path(name, card)
    make_folder(path.parent, DatasetError)
    with progress(f"prepare {name}") as report:
        return prepare_archive(card, source, path, report, partial)
