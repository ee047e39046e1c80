"""`dvspipe compare`: one recipe, several settings and seeds; the next run picks every finished cell up from its JSON."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from dvspipe.errors import RecipeError, RunError, UsageError
from dvspipe.files import make_folder, replacing
from dvspipe.jobs.archives import cores, find_or_make, short_hash
from dvspipe.jobs.runs import write_json
from dvspipe.metrics.paired import mean_std, paired_difference
from dvspipe.recipes import load_recipe
from dvspipe.show.comparison import comparison_markdown
from dvspipe.show.progress import progress

FIGURES = ("accuracy", "val_accuracy", "nasar", "spikes_per_sample", "energy_uj", "params", "seconds")
THREADS = 2  # per cell: a cell of this size gains little from more


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: a setting (overrides `a.b=c`) and a seed."""

    pipeline: str
    setting: str
    overrides: tuple[str, ...]
    seed: int
    folder: Path

    @property
    def sets(self) -> list[str]:
        """All overrides of the recipe."""
        return [*self.overrides, f"train.seed={self.seed}"]

    @property
    def result(self) -> Path:
        """Where the finished cell's figures are; named after what made them, so that no other recipe's are picked up."""
        recipe = load_recipe(self.pipeline, self.sets).model_dump_json()
        return self.folder / f"{short_hash(recipe)}.json"


def compare(
    pipeline: str, vary: Sequence[str], seeds: int = 3, overrides: Sequence[str] = (), out: Path | None = None
) -> dict[str, Any]:
    """Trains and evaluates every setting with every seed.

    `vary` are `key=a,b,c`; several are combined. Returns `rows`: per setting mean and standard deviation of accuracy, NASAR,
    spikes, energy, and the paired difference of accuracy to the first setting with its 95 % interval; also saved as
    compare.json and table.md in the folder. Raises UsageError, RecipeError before anything is trained.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds}: allowed is at least 1.")
    folder = (out or Path("runs") / f"compare-{Path(pipeline).stem}").absolute()
    cells = _cells(pipeline, vary, seeds, overrides, folder)
    make_folder(folder, RunError)
    find_or_make(load_recipe(pipeline, cells[0].sets).dataset)  # once, not once per process
    _run([cell for cell in cells if not cell.result.is_file()], len(cells), Path(pipeline).stem)
    result = {"pipeline": pipeline, "seeds": seeds, "rows": _rows(cells), "out": str(folder)}
    write_json(folder / "compare.json", result)
    with replacing(folder / "table.md", RunError) as beside:
        beside.write_text(comparison_markdown(result), encoding="utf-8")
    return result


def _cells(pipeline: str, vary: Sequence[str], seeds: int, overrides: Sequence[str], folder: Path) -> list[Cell]:
    choices = [_choices(text) for text in vary]
    if not choices:
        raise UsageError("compare needs at least one --vary key=a,b,c, for example --vary snn.attention=none,TCSA.")
    cells = []
    for chosen in itertools.product(*choices):
        sets = (*overrides, *chosen)
        setting = ", ".join(each.rpartition(".")[2] for each in chosen)
        cells += [
            Cell(pipeline, setting, sets, seed, folder / f"{setting}, seed {seed}".replace("/", "_"))
            for seed in range(seeds)
        ]
    for cell in cells:  # every recipe is right before the first is trained
        load_recipe(pipeline, cell.sets)
    return cells


def _choices(text: str) -> list[str]:
    key, sign, values = text.partition("=")
    if not sign or not values:
        raise RecipeError("--vary", [f"'{text}': expected key=a,b,c, for example snn.attention=none,relu,TCSA"])
    return [f"{key}={value}" for value in values.split(",")]


def _run(cells: Sequence[Cell], total: int, name: str) -> None:
    """Runs what is not finished, as many cells at a time as there are pairs of cores."""
    workers = max(1, min(len(cells), cores() // THREADS))
    with progress(f"compare {name}") as report, ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = {pool.submit(run_cell, cell): cell for cell in cells}
        report(total - len(cells), total, "")
        try:
            for done, future in enumerate(as_completed(waiting), start=total - len(cells) + 1):
                future.result()
                report(done, total, waiting[future].setting)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_cell(cell: Cell) -> None:
    """Trains and evaluates one cell in its own process. An interrupted cell begins again; a finished one is a JSON."""
    import torch

    from dvspipe.jobs.evaluate import evaluate_run
    from dvspipe.jobs.runs import load_run
    from dvspipe.jobs.train import train

    torch.set_num_threads(THREADS)
    target, run = cell.result, cell.folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    trained = train(cell.pipeline, cell.sets, run, quiet=True)
    figures = evaluate_run(load_run(run), quiet=True)
    kept = {key: figures[key] for key in (*FIGURES, "interval", "samples", "per_class", "machine") if key in figures}
    write_json(
        target, kept | {"val_accuracy": trained["val_accuracy"], "seconds": trained["seconds"], "seed": cell.seed}
    )


def _rows(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    by_setting: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        by_setting.setdefault(cell.setting, []).append(json.loads(cell.result.read_text(encoding="utf-8")))
    control = [each["accuracy"] for each in next(iter(by_setting.values()))]
    rows = []
    for setting, results in by_setting.items():
        figures = {name: mean_std([each[name] for each in results]) for name in FIGURES}
        difference = paired_difference([each["accuracy"] for each in results], control)
        rows.append({"setting": setting, "seeds": len(results), **figures, "difference": difference})
    return rows
