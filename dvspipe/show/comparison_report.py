"""A comparison of settings -> one HTML file: what the best one wins, what it costs, and who earns it.

Decides which sections there are: what no cell measured is left out. What it looks like is `comparison.html`; the
figures are `comparison_plots`, `plots` and `inside`; the words are `comparison_words`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dvspipe.show import comparison_plots, comparison_words, images, inside, plots
from dvspipe.show.comparison_plots import Point
from dvspipe.show.page import provenance, recipe_table, render_page, safe, write_page
from dvspipe.show.report import energy_terms, hero
from dvspipe.show.summary import ComparisonSummary, RunSummary


def write_comparison(path: Path | str, title: str, summary: ComparisonSummary, notes: Sequence[str] = ()) -> Path:
    """Writes the report, whole or not at all, and returns its absolute path."""
    return write_page(path, render_comparison(title, summary, notes))


def render_comparison(title: str, summary: ComparisonSummary, notes: Sequence[str] = ()) -> str:
    """The report as text."""
    names = comparison_words.short_names(summary)
    best = comparison_words.headline(summary)
    looked = [(names.get(run.name, run.name), run) for run in summary.looked]
    weights = [inside.weights(name, run.inside, run.bin_ms) for name, run in looked]
    return render_page(
        "comparison.html",
        title=title,
        verdict=comparison_words.verdict(summary),
        key_figures=comparison_words.key_figures(summary),
        hero=hero([replace(run, name=name) for name, run in looked]),
        rows=_table(summary, names, best),
        seeds=summary.result["seeds"],
        samples=summary.test_samples,
        words=_words(summary),
        figures=_figures(summary, names),
        case=inside.case_study(looked),
        attention=[each for each in weights if each],
        layers_over_time=inside.activity(_layer_rates(summary, names, best)),
        bin_ms=_bin_ms(summary),
        energy=energy_terms([cell for cells in summary.cells.values() for cell in cells]),
        countings=images.countings({names[setting]: each for setting, each in summary.cells.items()}),
        image_cases=images.image_cases(looked, with_layers=False),
        confusions=_confusions(summary, names, best),
        recipes=recipe_table({"recipe": summary.recipe}),
        varied=_varied(summary),
        notes=list(notes),
        provenance=provenance(_effort(summary)),
    )


def _table(summary: ComparisonSummary, names: dict[str, str], best: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Rows as they are, and where each paired interval lies on the scale that all share."""
    ends = [row["difference"][end] or 0.0 for row in summary.rows for end in ("low", "mean", "high")]
    low, high = min(0.0, *ends), max(0.0, *ends)
    width = (high - low) or 1.0
    return [
        {
            **row,
            "name": names[row["setting"]],
            "best": row is best,
            "control": comparison_words.is_control(summary, row["setting"]),
            "certain": comparison_words.clear(row),
            "place": {end: 100 * ((row["difference"][end] or 0.0) - low) / width for end in ("low", "mean", "high")},
            "zero": -100 * low / width,
            "settled": _settled(summary.cells[row["setting"]]),
            "code": _code(summary.cells[row["setting"]]),
        }
        for row in summary.rows
    ]


def _settled(every: list[dict[str, Any]]) -> float | None:
    """Share of the clips whose answer is right at some time and stays so, mean over the seeds."""
    known = [each["decision_time"]["stable_correct_share"] for each in every if "decision_time" in each]
    return float(np.mean(known)) if known else None


def _code(every: list[dict[str, Any]]) -> dict[str, float] | None:
    """What enters the network of an image: spikes per pixel and error of the code, mean over the seeds."""
    known = [each["encoder"] for each in every if each.get("encoder")]
    keys = ("spikes_per_pixel", "reconstruction_error")
    return {key: float(np.mean(_each(known, key))) for key in keys} if known else None


def _figures(summary: ComparisonSummary, names: dict[str, str]) -> dict[str, Any]:
    """Every figure that has numbers, None where it has none."""
    cells = {names[setting]: each for setting, each in summary.cells.items()}
    drawn = {
        "front": _front(cells),
        "untrained": _untrained(summary, names),
        "nsar": _nsar(cells, _bin_ms(summary)),
        "over_time": _over_time(cells),
        "energy": plots.energy_bars({names[row["setting"]]: _energy(summary, row) for row in summary.rows}),
        "seconds": _seconds(cells),
    }
    return {name: safe(figure) if figure else None for name, figure in drawn.items()}


def _front(cells: dict[str, list[dict[str, Any]]]) -> str | None:
    points = [
        Point(name, *(_each(every, key) for key in ("spikes_per_sample", "accuracy"))) for name, every in cells.items()
    ]
    return comparison_plots.accuracy_spikes(points) if all(min(point.spikes) > 0 for point in points) else None


def _untrained(summary: ComparisonSummary, names: dict[str, str]) -> str | None:
    pairs = {
        names[row["setting"]]: (row["nasar_untrained"]["mean"], row["nasar"]["mean"])
        for row in summary.rows
        if "nasar_untrained" in row
    }
    return comparison_plots.untrained_and_trained(pairs) if pairs else None


def _nsar(cells: dict[str, list[dict[str, Any]]], bin_ms: float | None) -> str | None:
    means = {name: _mean(every, "nasar_per_step") for name, every in cells.items()}
    if not all(len(rates) and max(rates) > 0 for rates in means.values()):
        return None
    curves = {name: (list(range(1, len(rates) + 1)), rates) for name, rates in means.items()}
    step = "time step" + (f" (one bin = {bin_ms:g} ms)" if bin_ms else "")
    words = {name: f"mean {np.mean(rates):.4f}" for name, rates in means.items()}
    return comparison_plots.panels(curves, words, step, "spikes per neuron (NSAR, log)", log=True)


def _over_time(cells: dict[str, list[dict[str, Any]]]) -> str | None:
    curves, words, unit = {}, {}, "t_ms"
    for name, every in cells.items():
        rows = [each["accuracy_over_time"] for each in every if each.get("accuracy_over_time")]
        if rows:
            shares = 100 * np.mean([[point["accuracy"] for point in row] for row in rows], axis=0)
            unit = "t_ms" if "t_ms" in rows[0][0] else "step"
            curves[name] = ([point[unit] for point in rows[0]], shares.tolist())
            words[name] = f"{shares[-1]:.1f} %"
    return comparison_plots.panels(curves, words, plots.OVER[unit], "accuracy (%)") if curves else None


def _energy(summary: ComparisonSummary, row: dict[str, Any]) -> dict[str, Any]:
    """Means over the seeds."""
    every = summary.cells[row["setting"]]
    parts = list(dict.fromkeys(part for each in every for part in (each.get("energy") or {}).get("parts") or {}))
    twins = [each["energy_ann_uj"] for each in every if each.get("energy_ann_uj") is not None]
    return {
        "snn": float(np.mean(_each(every, "energy_uj"))),
        "ann": float(np.mean(twins)) if twins else None,
        "note": f"· r_EE {row['energy_ratio']['mean']:.2f}",
        "parts": {part: float(np.mean([each["energy"]["parts"].get(part, 0.0) for each in every])) for part in parts},
    }


def _seconds(cells: dict[str, list[dict[str, Any]]]) -> str | None:
    known = {name: _each(every, "seconds") for name, every in cells.items() if "seconds" in every[0]}
    return comparison_plots.seed_bars(known, "training time, s of wall clock") if known else None


def _layer_rates(
    summary: ComparisonSummary, names: dict[str, str], best: dict[str, Any] | None
) -> dict[str, dict[str, list[float]]]:
    """Layer by layer over time, mean over the seeds, of the control and the best setting."""
    found = {}
    for setting in _first_and_best(summary, best):
        known = [each.get("spikes_per_layer_and_step") or {} for each in summary.cells[setting]]
        found[names[setting]] = {layer: np.mean([each[layer] for each in known], axis=0).tolist() for layer in known[0]}
    return found


def _confusions(
    summary: ComparisonSummary, names: dict[str, str], best: dict[str, Any] | None
) -> list[tuple[str, Any]]:
    """Counts of all seeds together."""
    found = []
    for setting in _first_and_best(summary, best):
        counts = np.sum([each["confusion"] for each in summary.cells[setting]], axis=0)
        if len(counts) == len(summary.classes) <= plots.MOST_CLASSES:
            found.append((names[setting], safe(plots.confusion_matrix(counts.tolist(), summary.classes))))
    return found


def _first_and_best(summary: ComparisonSummary, best: dict[str, Any] | None) -> list[str]:
    first = summary.rows[0]["setting"]
    return [first] if best is None else list(dict.fromkeys([first, best["setting"]]))


def _varied(summary: ComparisonSummary) -> list[tuple[str, list[str]]]:
    """Every varied key with its values in order."""
    keys: dict[str, dict[str, None]] = {}
    for values in summary.varied.values():
        for key, value in values.items():
            keys.setdefault(key, {})[value] = None
    return [(key, list(values)) for key, values in keys.items()]


def _effort(summary: ComparisonSummary) -> list[tuple[str, str]]:
    seconds = [cell["seconds"] for cells in summary.cells.values() for cell in cells if "seconds" in cell]
    machines = dict.fromkeys(
        ", ".join(f"{key} {value}" for key, value in cell["machine"].items() if key in ("device", "threads", "torch"))
        for cells in summary.cells.values()
        for cell in cells
        if "machine" in cell
    )
    told = [("trainings", f"{len(seconds)}, {sum(seconds) / 60:.0f} minutes in all")] if seconds else []
    return told + ([("trained on", "; ".join(machines))] if machines else [])


def _bin_ms(summary: ComparisonSummary) -> float | None:
    return RunSummary("", "", summary.recipe).bin_ms


def _words(summary: ComparisonSummary) -> images.Words:
    return images.words([RunSummary("", "", summary.recipe)])


def _each(every: list[dict[str, Any]], key: str) -> list[float]:
    return [float(each[key]) for each in every]


def _mean(every: list[dict[str, Any]], key: str) -> list[float]:
    known = [each[key] for each in every if each.get(key)]
    return [float(value) for value in np.mean(known, axis=0)] if known else []
