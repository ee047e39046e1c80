"""`dvspipe runs`: every run below some folders, with its numbers. Reads records and headers alone; needs no torch.

A damaged run is one row among the others, with the reason; it stops nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dvspipe.errors import UsageError, nearest
from dvspipe.jobs.json_lines import whole_lines

RUN, BEST, METRICS, EVALUATION = "run.json", "best.safetensors", "metrics.jsonl", "evaluation.json"  # as in `runs`
FINISHED, INTERRUPTED, DAMAGED = "finished", "interrupted", "damaged"
LARGE_FIRST = ("val_accuracy", "accuracy", "started", "epochs")
COLUMNS = (
    *("name", "state", "dataset", "network", "attention", "seed", "epochs", "of", "val_accuracy"),
    *("accuracy", "nasar", "energy_uj", "started", "path", "reason"),
)


def list_runs(folders: Sequence[Path] = (), sort: str = "started") -> dict[str, Any]:
    """`runs`: [{name, state, dataset, network, attention, seed, epochs, of, val_accuracy, accuracy, nasar, energy_uj,
    started, path, reason}], sorted, the best or newest first, those without the figure last; `damaged`: how many are.

    `state` is "finished", "interrupted" (fewer epochs than its recipe has; also while it runs) or "damaged" with a
    `reason`; what is not known is None. Raises UsageError for a folder that is not there or an unknown column.
    """
    if sort not in COLUMNS:
        raise UsageError(f"--sort {sort}{nearest(sort, list(COLUMNS))}: known are {', '.join(COLUMNS)}")
    missing = [str(each) for each in folders if not each.is_dir()]
    if missing:
        raise UsageError(f"{', '.join(missing)}: no such folder. Give folders that hold runs; the default is ./runs.")
    places = {place for folder in folders or [Path("runs")] for place in _run_folders(folder.absolute())}
    rows = [read_run(place) for place in sorted(places)]
    return {"runs": _sorted(rows, sort), "damaged": sum(row["state"] == DAMAGED for row in rows)}


def read_run(folder: Path) -> dict[str, Any]:
    """The row of one run folder; never raises."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"name": folder.name, "path": str(folder)}
    try:
        _fill(row, folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        detail = f"no '{error.args[0]}' in {RUN}" if isinstance(error, KeyError) else str(error)
        row |= {"state": DAMAGED, "reason": detail}
    return row


def _fill(row: dict[str, Any], folder: Path) -> None:
    record = _json(folder / RUN)
    recipe = record["recipe"]
    row |= {"name": record["name"], "started": record.get("started"), "dataset": Path(recipe["dataset"]).stem}
    row |= {"network": recipe["snn"]["network"], "attention": _attention(recipe["snn"])}
    row |= {"seed": recipe["train"]["seed"], "of": recipe["train"]["epochs"]}
    history = whole_lines(folder / METRICS)
    row |= {"epochs": len(history), "val_accuracy": max((each["val_accuracy"] for each in history), default=None)}
    _check_weights(folder / BEST)
    if (folder / EVALUATION).is_file():
        figures = _json(folder / EVALUATION)
        row |= {name: figures.get(name) for name in ("accuracy", "nasar", "energy_uj")}
    row["state"] = FINISHED if len(history) >= row["of"] else INTERRUPTED


def _attention(snn: dict[str, Any]) -> str:
    """Placement is said where it is not the released code's."""
    kind, placement = str(snn["attention"]), snn.get("placement", "released")
    return kind if placement == "released" or kind == "none" else f"{kind} {placement}"


def _run_folders(folder: Path) -> Iterator[Path]:
    """Folders with a record or weights, at any depth; nothing below one is another run's."""
    for where, below, files in os.walk(folder):
        if RUN in files or BEST in files:
            below.clear()
            yield Path(where)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error


def _check_weights(path: Path) -> None:
    """Whole, by header and length: values are not read."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise ValueError(f"{path.name} is not whole: {error}") from error


def _sorted(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    known = [row for row in rows if row[key] is not None]
    known.sort(key=lambda row: row[key], reverse=key in LARGE_FIRST)
    return known + [row for row in rows if row[key] is None]
