"""`dvspipe prepare`: a downloaded dataset -> one archive that clips are read from, or an index of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvspipe.data.prepare import prepare as prepare_archive
from dvspipe.errors import DatasetError, UsageError
from dvspipe.files import make_folder, replacing
from dvspipe.jobs.archives import archive_path, index_path
from dvspipe.recipes import Card, load_card
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
    if card.is_images:
        return _index(name, card, source, out, partial)
    path = out.absolute() if out else archive_path(name, card)
    make_folder(path.parent, DatasetError)
    with progress(f"prepare {name}") as report:
        return prepare_archive(card, source, path, report, partial)


def _index(name: str, card: Card, source: Path, out: Path | None, partial: bool) -> dict[str, Any]:
    """Looks at every image and writes where it lies; the images themselves are not copied."""
    from dvspipe.data.images.index import index_images

    path = out.absolute() if out else index_path(name)
    make_folder(path.parent, DatasetError)
    with progress(f"prepare {name}") as report:
        index = index_images(card, source, partial, report)
    with replacing(path, DatasetError) as beside:
        beside.write_text(index.to_json(), encoding="utf-8")
    expected = card.counts.get(index.layout, {})
    totals = index.totals()
    return {
        "archive": str(path),
        "layout": index.layout,
        "counts": index.counts,
        "checks": {"totals": totals, "expected": expected, "complete": not expected or totals == expected},
        "damaged": {},
        "notes": index.notes,
    }
