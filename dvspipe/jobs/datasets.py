"""`dvspipe datasets`: the cards, and whether each is prepared on this machine."""

from __future__ import annotations

from typing import Any

from dvspipe.jobs.archives import archive_path, index_path
from dvspipe.recipes import load_card, names


def datasets(name: str | None = None) -> dict[str, Any]:
    """`cards`: one entry per card (or the one asked for), with `prepared`, the archive's path or None.

    Raises UsageError for an unknown name.
    """
    return {"cards": [_entry(each) for each in ([name] if name else names("datasets"))]}


def _entry(name: str) -> dict[str, Any]:
    card = load_card(name)
    path = index_path(name) if card.is_images else archive_path(name, card)
    return {"name": name, **card.model_dump(), "prepared": str(path) if path.is_file() else None}
