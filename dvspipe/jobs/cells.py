"""The trainings of a comparison: each in a process of its own, as many at a time as cores and memory allow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from dvspipe.errors import RunError
from dvspipe.jobs.archives import archive_path, cores, short_hash
from dvspipe.jobs.runs import write_json
from dvspipe.recipes import Recipe, load_card, load_recipe
from dvspipe.show.progress import progress, say

RECIPE = "recipe"  # what varies where several recipes are compared
PROCESS_BYTES = 2**30  # of a training process besides its network: torch, the clips, the reports
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: a recipe, a setting and a seed. `varied` are the values that make the setting, by key."""

    pipeline: str
    varied: dict[str, str]
    overrides: tuple[str, ...]
    seed: int
    out: Path

    @property
    def setting(self) -> str:
        """What varies: "attention=TCSA", and the recipe's name where there are several."""
        named = [value if key == RECIPE else f"{key.rpartition('.')[2]}={value}" for key, value in self.varied.items()]
        return ", ".join(named)

    @property
    def folder(self) -> Path:
        """Its own."""
        return self.out / f"{self.setting}, seed {self.seed}".replace("/", "_")

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe. Raises RecipeError."""
        return load_recipe(self.pipeline, self.sets)

    @property
    def sets(self) -> list[str]:
        """All overrides of the recipe."""
        chosen = [f"{key}={value}" for key, value in self.varied.items() if key != RECIPE]
        return [*self.overrides, *chosen, f"train.seed={self.seed}"]

    @property
    def run(self) -> Path:
        """Its run folder."""
        return self.folder / "run"

    @property
    def result(self) -> Path:
        """Where the finished cell's figures are; named after what made them, so that no other recipe's are picked up."""
        recipe = self.recipe
        made_of = recipe.model_dump_json() + str(archive_path(recipe.dataset, load_card(recipe.dataset)))
        return self.folder / f"{short_hash(made_of)}.json"


def run_cells(cells: Sequence[Cell], total: int, name: str) -> None:
    """Runs what is not finished of `total` cells: one per GPU at a time, or per core, each with its share of the cores.

    The share is that of the whole comparison: another number of threads sums in another order, and a cell that is run
    again alone must come out as it did among the others. Raises RunError where a process was killed.
    """
    if not cells:
        return
    from torch.cuda import device_count

    gpus, context = device_count(), get_context("spawn")
    share = max(1, min(total, gpus or cores()))
    workers = min(len(cells), share if gpus else _as_memory_allows(cells, share))
    places = context.Queue()
    for worker in range(workers):
        places.put((max(1, cores() // share), worker if gpus else None))
    with (
        progress(f"compare {name}") as report,
        ProcessPoolExecutor(workers, context, _settle, (places,)) as pool,
    ):
        waiting = {pool.submit(run_cell, cell): cell for cell in cells}
        report(total - len(cells), total, "")
        try:
            for done, future in enumerate(as_completed(waiting), start=total - len(cells) + 1):
                future.result()
                report(done, total, waiting[future].setting)
        except BrokenProcessPool as error:
            raise _killed(cells[0].out, workers) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _killed(folder: Path, workers: int) -> RunError:
    return RunError(
        f"compare: one of {workers} training processes was killed, most likely by the system for want of memory. "
        f"Finished cells are kept in {folder}: the same command goes on with the rest; taskset -c 0 before it takes one "
        "at a time, --set train.accumulate=2 half the memory each."
    )


def _as_memory_allows(cells: Sequence[Cell], together: int) -> int:
    """How many of the largest fit beside each other, at most `together` and at least one."""
    from dvspipe.jobs.memory_plan import plan_of
    from dvspipe.learn.memory import KEPT_GROWTH

    recipes = {cell.setting: cell.recipe for cell in cells}.values()
    plans = [plan_of(recipe, recipe.train.accumulate) for recipe in recipes]
    if (free := plans[0].free_bytes) is None:
        return together
    each = int(KEPT_GROWTH * max(plan.step_bytes for plan in plans)) + PROCESS_BYTES
    fitting = max(1, min(together, free // each))
    if fitting < together:
        say(
            f"{fitting} trainings at a time, not {together}: each may take {each / GIB:.1f} GiB, {free / GIB:.1f} are free"
        )
    return fitting


def _settle(places: Any) -> None:
    """A process takes its threads and its GPU, before torch looks for either."""
    threads, gpu = places.get()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
    import torch

    torch.set_num_threads(threads)


def run_cell(cell: Cell) -> None:
    """Trains and evaluates one cell in its own process. An interrupted cell begins again; a finished one is a JSON."""
    from dvspipe.jobs.evaluate import evaluate_run
    from dvspipe.jobs.runs import load_run, read_record
    from dvspipe.jobs.train import train

    target, run = cell.result, cell.run
    shutil.rmtree(run, ignore_errors=True)
    trained = train(cell.pipeline, cell.sets, run, quiet=True, live=False)
    figures = evaluate_run(load_run(run), quiet=True)
    settled = figures.get("decision_time", {}).get("stable_correct_ms")  # images have none
    flat = {"ece": figures["calibration"]["ece"], "stable_correct_ms": settled}
    own = {"val_accuracy": trained["val_accuracy"], "seconds": trained["seconds"], "seed": cell.seed}
    own["nasar_untrained"] = read_record(run)["nasar_untrained"]
    write_json(target, figures | flat | own)
