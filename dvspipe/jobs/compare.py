"""`dvspipe compare`: recipes, settings and seeds; the next run picks every finished cell up from its JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dvspipe.errors import RecipeError, RunError, UsageError
from dvspipe.files import make_folder, replacing
from dvspipe.jobs.cells import RECIPE, Cell, run_cells
from dvspipe.jobs.compare_report import REPORT, report_comparison
from dvspipe.jobs.data import open_data
from dvspipe.jobs.runs import write_json
from dvspipe.metrics.paired import mean_std, paired_difference
from dvspipe.show.comparison import comparison_markdown

FIGURES = (
    "accuracy",
    "val_accuracy",
    "nasar_untrained",
    "nasar",
    "spikes_per_sample",
    "energy_uj",
    "energy_ann_uj",
    "ece",
    "stable_correct_ms",
    "params",
    "seconds",
)


def compare(
    pipelines: Sequence[str],
    vary: Sequence[str] = (),
    seeds: int = 3,
    overrides: Sequence[str] = (),
    out: Path | None = None,
) -> dict[str, Any]:
    """Trains and evaluates every setting with every seed.

    A setting is a recipe with one value of every `vary`, which are `key=a,b,c`; the first one is the control. All
    recipes must be on one dataset. Returns `rows`: per setting mean and standard deviation of accuracy,
    NASAR (also untrained), spikes, energy; beside the first setting, seed by seed: `difference` of accuracy with its
    95 % interval, `spikes_saved` (share), `energy_ratio` (its energy / own). Also saved as compare.json and table.md in
    the folder, with a `report` to look at. Raises UsageError, RecipeError before anything is trained.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds}: allowed is at least 1.")
    name = " + ".join(Path(each).stem for each in pipelines)
    folder = (out or Path("runs") / f"compare-{name.replace(' + ', '-')}").absolute()
    cells = _cells(pipelines, vary, seeds, overrides, folder)
    make_folder(folder, RunError)
    open_data(cells[0].recipe)  # once, not once per process
    run_cells([cell for cell in cells if not cell.result.is_file()], len(cells), name)
    measured, report = _measured(cells), str(folder / REPORT)
    result = {"pipeline": name, "seeds": seeds, "rows": _rows(measured), "out": str(folder), "report": report}
    write_json(folder / "compare.json", result)
    with replacing(folder / "table.md", RunError) as beside:
        beside.write_text(comparison_markdown(result), encoding="utf-8")
    varied = {cell.setting: cell.varied for cell in cells}
    runs = {cell.setting: cell.run for cell in reversed(cells)}  # the first seed's stays
    report_comparison(result, measured, runs, varied, cells[0].recipe)
    return result


def _cells(
    pipelines: Sequence[str], vary: Sequence[str], seeds: int, overrides: Sequence[str], out: Path
) -> list[Cell]:
    if not vary and len(pipelines) < 2:
        raise UsageError(
            "compare needs at least one --vary key=a,b,c, for example --vary snn.attention=none,TCSA; or several recipes."
        )
    choices = [_choices(text) for text in vary]
    cells = [
        Cell(pipeline, _named(pipelines, pipeline) | dict(chosen), tuple(overrides), seed, out)
        for pipeline in pipelines
        for chosen in itertools.product(*choices)
        for seed in range(seeds)
    ]
    datasets = {
        cell.recipe.dataset: cell.pipeline for cell in cells
    }  # every recipe is right before the first is trained
    if len(datasets) > 1:
        raise UsageError(f"compare needs one dataset, these recipes have several: {datasets}")
    return cells


def _named(pipelines: Sequence[str], pipeline: str) -> dict[str, str]:
    return {RECIPE: Path(pipeline).stem} if len(pipelines) > 1 else {}


def _choices(text: str) -> list[tuple[str, str]]:
    key, sign, values = text.partition("=")
    if not sign or not values:
        raise RecipeError("--vary", [f"'{text}': expected key=a,b,c, for example snn.attention=none,relu,TCSA"])
    return [(key, value) for value in values.split(",")]


def _measured(cells: Iterable[Cell]) -> dict[str, list[dict[str, Any]]]:
    """Figures of every setting, in the order of the seeds."""
    by_setting: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        by_setting.setdefault(cell.setting, []).append(json.loads(cell.result.read_text(encoding="utf-8")))
    return by_setting


def _rows(by_setting: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    control = next(iter(by_setting.values()))
    return [{"setting": setting, **_row(results, control)} for setting, results in by_setting.items()]


def _row(results: Sequence[dict[str, Any]], control: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one setting over its seeds, and beside the control's: seed by seed, for a seed fixes the split too."""
    known = [name for name in FIGURES if all(each.get(name) is not None for each in results)]
    pairs = list(zip(results, control, strict=True))
    spikes = [1 - _ratio(own["spikes_per_sample"], other["spikes_per_sample"]) for own, other in pairs]
    return {
        "seeds": len(results),
        **{name: mean_std([each[name] for each in results]) for name in known},
        "difference": paired_difference([each["accuracy"] for each in results], [each["accuracy"] for each in control]),
        "spikes_saved": mean_std(spikes),
        "energy_ratio": mean_std([_ratio(other["energy_uj"], own["energy_uj"]) for own, other in pairs]),
    }


def _ratio(one: float, other: float) -> float:
    return one / other if other else float("nan")
