"""Recipes and dataset cards: TOML -> validated settings, all faults at once.

The only file that knows where recipes live; what they may say is `settings.py` and `cards.py`. Needs no torch, so that
`--help`, `datasets` and a wrong key answer at once.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from dvspipe.cards import Card as Card
from dvspipe.errors import RecipeError, UsageError, nearest
from dvspipe.settings import EncoderSettings as EncoderSettings
from dvspipe.settings import FramesSettings as FramesSettings
from dvspipe.settings import Recipe as Recipe
from dvspipe.settings import TrainSettings as TrainSettings

Kind = Literal["datasets", "pipelines"]
Model = TypeVar("Model", bound=BaseModel)


def folder(kind: Kind) -> Path:
    """Where recipes of a kind live: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    installed = package / "_recipes" / kind
    return installed if installed.is_dir() else package.parent / kind


def names(kind: Kind) -> list[str]:
    """Every recipe or card that ships, by name."""
    return sorted(path.stem for path in folder(kind).glob("*.toml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a name (or a path to a TOML file), with `a.b=c` overrides applied.

    Raises UsageError when there is no such recipe, RecipeError with all faults at once when it is wrong.
    """
    table, source = _read("pipelines", name)
    faults = [fault for each in overrides if (fault := _override(table, each))]
    if faults:
        raise RecipeError("--set", faults)
    return _validate(Recipe, table, f"{source} with --set {' '.join(overrides)}" if overrides else source)


def load_card(name: str) -> Card:
    """The dataset card of a name (or a path to a TOML file). Raises as `load_recipe`."""
    table, source = _read("datasets", name)
    return _validate(Card, table, source)


def recipe_from_json(text: str, source: str) -> Recipe:
    """The resolved recipe that a run carries. Raises RecipeError when it was written by another version."""
    return _validate(Recipe, json.loads(text), source)


def data_dir() -> Path:
    """Archives and caches: `$DVSPIPE_DATA`, default ~/.cache/dvspipe."""
    return Path(os.environ.get("DVSPIPE_DATA") or Path.home() / ".cache" / "dvspipe").absolute()


def _read(kind: Kind, name: str) -> tuple[dict[str, Any], str]:
    path = Path(name) if name.endswith(".toml") else folder(kind) / f"{name}.toml"
    if not path.is_file():
        known = names(kind)
        raise UsageError(
            f"no {kind.removesuffix('s')} '{name}'{nearest(name, known)}. Known: {', '.join(known)}; "
            "or give a path to a .toml file."
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), name
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), [f"not TOML: {error}"]) from error


def _override(table: dict[str, Any], text: str) -> str | None:
    """Applies one `a.b=c` in place; returns the fault, if any."""
    key, sign, raw = text.partition("=")
    if not sign or not key.strip():
        return f"'{text}': expected key=value, for example train.lr=1e-3"
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw  # a bare word is a string
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            return f"'{key}': '{parent}' is a value, not a table"
    table[last] = value
    return None


def _validate(model: type[Model], table: dict[str, Any], source: str) -> Model:
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise RecipeError(source, [_fault(model, each) for each in error.errors()]) from None


def _fault(model: type[BaseModel], error: Any) -> str:
    """One readable line for one pydantic error."""
    where = ".".join(str(part) for part in error["loc"])
    if not where:
        return str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return f"unknown key '{where}'{_nearest_key(model, where)}"
    if error["type"] == "missing":
        return f"'{where}' is missing"
    return f"'{where}' = {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _nearest_key(model: type[BaseModel], where: str) -> str:
    """Looks among the key's own table first, then among all, so that a key in the wrong table finds its home too."""
    known, (table, dot, leaf) = keys(model), where.rpartition(".")
    prefix = table + dot
    same_leaf = [key for key in known if key.rpartition(".")[2] == leaf]
    beside = sorted({key.removeprefix(prefix).split(".")[0] for key in known if key.startswith(prefix)})
    match = get_close_matches(leaf, beside, n=1, cutoff=0.5)
    best = same_leaf or [prefix + each for each in match]
    return f" (did you mean '{best[0]}'?)" if best else f". Known here: {', '.join(prefix + each for each in beside)}"


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key of a settings model."""
    found: list[str] = []
    for name, info in model.model_fields.items():
        annotation = next((each for each in get_args(info.annotation) if isinstance(each, type)), info.annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found += keys(annotation, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found
