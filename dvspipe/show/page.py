"""One self-contained page: the templates, the safe marking of our own figures, provenance, writing whole or not at all.

What every report shares; knows no section of any.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from dvspipe.errors import RunError
from dvspipe.files import replacing
from dvspipe.show import palette

_TOOLS = ("torch", "norse", "tonic", "numpy", "numba", "h5py")


def render_page(template: str, **content: Any) -> str:
    """The page as text. Everything that comes from outside (names, recipes, notes) is escaped by the template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dvspipe.show", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(palette=palette, **content)


def write_page(path: Path | str, text: str) -> Path:
    """Writes the page and returns its absolute path. Written beside the target, then renamed: never half a file."""
    target = Path(path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target, RunError) as beside:
        beside.write_text(text, encoding="utf-8")
    return target


def safe(text: str) -> Any:
    """Marks our own SVG as markup; matplotlib has escaped the names inside."""
    from markupsafe import Markup

    return Markup(text)


def recipe_table(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Resolved recipes side by side, one dotted key per line; `differs` marks what they do not share."""
    flat = {name: _flat(_given(recipe)) for name, recipe in recipes.items() if recipe}
    if not flat:
        return None
    lines = []
    for key in dict.fromkeys(key for each in flat.values() for key in each):
        values = [each.get(key, "–") for each in flat.values()]
        lines.append({"key": key, "values": values, "differs": len(set(values)) > 1})
    return {"names": list(flat), "lines": lines}


def provenance(more: Sequence[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """Where and with what this was made: enough to make it again."""
    versions = [f"{name} {metadata.version(name)}" for name in ("dvspipe", *_TOOLS) if _installed(name)]
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return [
        ("made", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("command", " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        ("machine", system),
        ("versions", ", ".join(versions)),
        *more,
    ]


def _given(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Without tables that it does not have: [frames] of images, [encoder] of events."""
    return {name: table for name, table in recipe.items() if table is not None}


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": str(value)}
    return flat


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
