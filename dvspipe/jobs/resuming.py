"""What a training is continued from: which run, whether it is the one that was asked for, the newest state in it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from dvspipe import __version__
from dvspipe.errors import RunError
from dvspipe.jobs.runs import LAST, RUN, read_record
from dvspipe.learn.checkpoint import load_state
from dvspipe.learn.precision import fabric_precision
from dvspipe.recipes import Recipe, recipe_from_json

# What a run may go on with differently, for it changes no result.
FREE = (
    *("train.workers", "train.memory", "train.checkpointing", "train.tensorboard"),
    *("train.checkpoint_s", "train.checkpoint_steps", "train.keep_checkpoints"),
)


def folder_to_resume(name: str, out: Path | None, recipe: Recipe) -> Path:
    """The run to continue; refuses one whose recipe differs, because its numbers would be of two experiments."""
    folder = out.absolute() if out else _newest(name)
    path = folder / RUN
    if not path.is_file():
        raise RunError(f"{folder}: no run to resume there. Start without --resume.")
    _check_recipe(json.dumps(read_record(folder)["recipe"]), recipe, path, folder)
    return folder


def about(recipe: Recipe, facts: dict[str, Any]) -> dict[str, Any]:
    """What a resume state says of itself, beside numbers."""
    return {
        "dvspipe": __version__,
        "recipe": recipe.model_dump_json(),
        "classes": list(facts["classes"]),
        "fingerprint": facts["data"]["fingerprint"],
        "threads": torch.get_num_threads(),
        "precision": fabric_precision(recipe.train.precision),
    }


def state_to_resume(folder: Path, recipe: Recipe, facts: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(the newest state of a run, what to know about going on with it).

    Raises RunError where it is missing, damaged, or of another training: another recipe (network, T, ...), other
    classes or data.
    """
    path = folder / LAST
    state = load_state(path)
    then, now = state.get("about"), about(recipe, facts)
    if then is None:  # written before states said what they are
        return state, []
    _check_recipe(then["recipe"], recipe, path, path)
    for key, what in (("classes", "classes"), ("fingerprint", "data of fingerprint")):
        if then[key] != now[key]:
            raise RunError(
                f"{path}: trained on {what} {then[key]}, here {now[key]}: what went on would be another experiment. Prepare "
                "the data it was trained on, or start a new run."
            )
    return state, [
        f"note: the run had {key} {then[key]}, here {now[key]}: it goes on, but not bit for bit as it would have there"
        for key in ("threads", "precision", "dvspipe")
        if then[key] != now[key]
    ]


def remove_unfinished(folder: Path) -> None:
    """What a process that was killed while it wrote has left beside its files."""
    for part in folder.glob(".*.part"):
        with suppress(OSError):
            part.unlink()


def _check_recipe(before: str, recipe: Recipe, source: Path, told: Path) -> None:
    old, new = _flat(recipe_from_json(before, str(source)).model_dump()), _flat(recipe.model_dump())
    differ = [
        f"{key}: run has {old.get(key)!r}, asked for {new[key]!r}"
        for key in new
        if old.get(key) != new[key] and key not in FREE
    ]
    if differ:
        raise RunError(f"{told}: cannot resume with another recipe; {'; '.join(differ)}. Start a new run instead.")


def _newest(name: str) -> Path:
    found = sorted(Path("runs").glob(f"{name}-*/{RUN}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RunError(
            f"no run of '{name}' in {Path('runs').absolute()}. Start without --resume, or name it with --out."
        )
    return found[-1].parent.absolute()


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
