"""The report of a comparison: what its cells measured, and a look inside the networks of seed 0 on one clip."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dvspipe.errors import RunError
from dvspipe.jobs.evaluate import selection, summarise
from dvspipe.jobs.runs import load_run
from dvspipe.recipes import Recipe, load_card
from dvspipe.show.comparison_report import write_comparison
from dvspipe.show.comparison_words import headline
from dvspipe.show.progress import say
from dvspipe.show.summary import ComparisonSummary, RunSummary

REPORT = "report.html"
MOST_LOOKED = 3


def report_comparison(
    result: dict[str, Any],
    cells: Mapping[str, list[dict[str, Any]]],
    runs: Mapping[str, Path],
    varied: Mapping[str, dict[str, str]],
    recipe: Recipe,
) -> Path:
    """Writes report.html into the comparison's folder and returns its path.

    `cells` are the finished cells' figures by setting, in the order of the seeds; `runs` the run folder of seed 0 of
    every setting (a folder that is gone is not looked into); `varied` each setting's key=value; `recipe` the first's.
    """
    measured = next(iter(cells.values()))[0]
    summary = ComparisonSummary(
        result,
        dict(cells),
        recipe=json.loads(recipe.model_dump_json()),
        varied=dict(varied),
        classes=list(measured["per_class"]),
        test_samples=measured["samples"],
    )
    summary = replace(summary, looked=_looked(summary, runs))
    keys = dict.fromkeys(key for values in varied.values() for key in values)
    several = len(result["pipeline"].split(" + ")) > 1  # their names are in the table
    title = f"{Path(recipe.dataset).stem if several else result['pipeline']}: {', '.join(keys)}"
    return write_comparison(Path(result["out"]) / REPORT, title, summary, notes(recipe, result["seeds"]))


def notes(recipe: Recipe, seeds: int) -> list[str]:
    """What a reader must know to judge the figures."""
    lines = ["The setting spoken of first is the best on validation data, not on the test split."]
    if load_card(recipe.dataset).simulated:
        lines.insert(0, "Simulated data: these figures say nothing about the recorded sets they imitate.")
    if recipe.train.protocol == "published":
        lines[-1] = "Published protocol: settings, too, were chosen on the test split."
    lines.append(selection(recipe.train))
    if seeds == 1:
        return [*lines, "One seed: no statement about spread."]
    samples = "images" if recipe.encoder is not None else "recordings"
    lines.append(f"{seeds} seeds; a seed also fixes which {samples} validate, so differences are taken seed by seed.")
    return [*lines, "Intervals are of one comparison each, not corrected for the number of settings."]


def _looked(summary: ComparisonSummary, runs: Mapping[str, Path]) -> list[RunSummary]:
    """The first setting, the headline's and, where it is another, the most accurate one."""
    accurate = max(summary.rows, key=lambda row: row["accuracy"]["mean"])
    chosen = [summary.rows[0], headline(summary) or accurate, accurate]
    found = []
    for setting in list(dict.fromkeys(row["setting"] for row in chosen))[:MOST_LOOKED]:
        try:
            run = load_run(runs[setting])
        except RunError as error:
            say(f"note: no look inside {setting}: {error}")
            continue
        found.append(replace(summarise(run, summary.cells[setting][0]), name=setting, history=[]))
    return found
