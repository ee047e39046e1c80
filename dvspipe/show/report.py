"""Runs and live sources -> one HTML file that needs nothing else: no network, no script, pictures and figures inside.

Decides which sections there are: a missing number leaves its section out. What it looks like is `report.html`; the
figures are `plots`, `inside` and `live_plots`; the words are `verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvspipe.metrics.energy import AC_PJ, MAC_PJ
from dvspipe.show import images, inside, inside_plots, live_plots, palette, plots, verdict
from dvspipe.show.animation import animation
from dvspipe.show.maps import photo
from dvspipe.show.page import provenance, recipe_table, render_page, safe, write_page
from dvspipe.show.summary import LiveSummary, RunSummary

ENERGY_FORMULA = f"E = E_MAC · MAC + E_AC · AC, with E_MAC = {MAC_PJ} pJ and E_AC = {AC_PJ} pJ (45 nm, 32-bit float)"
_COMPARED = ("accuracy_over_time", "recall", "reliability", "nsar", "layers", "energy")
NOT_REAL_TIME = 0.01  # share of dropped bins beyond which a run is not called real time


def write_report(
    path: Path | str,
    title: str,
    runs: Sequence[RunSummary],
    live: Sequence[LiveSummary] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Writes the report, whole or not at all, and returns its absolute path."""
    return write_page(path, render(title, runs, live, notes))


def render(title: str, runs: Sequence[RunSummary], live: Sequence[LiveSummary] = (), notes: Sequence[str] = ()) -> str:
    """The report as text."""
    return render_page(
        "report.html",
        title=title,
        verdict=verdict.verdict(runs, live),
        rows=_run_rows(runs),
        key_figures=verdict.key_figures(runs, live),
        hero=hero(runs),
        figures=_comparisons(runs),
        words=images.words(runs),
        times=_times(runs),
        calibration_rule=_calibration_rule(runs),
        confusions=_confusions(runs),
        training=[(run.name, safe(plots.training_curves(run.history))) for run in runs if run.history],
        energy=energy_terms([run.evaluation for run in runs]),
        countings=images.countings({name: [run.evaluation] for name, run in _named(runs)}),
        image_cases=images.image_cases(_named(runs)),
        twins=_twins(runs),
        bin_ms=next((run.bin_ms for run in runs if run.bin_ms), None),
        live=[_live_section(each, next((run.classes for run in runs if run.classes), [])) for each in live],
        recipes=recipe_table({name: run.recipe for name, run in _named(runs)}),
        notes=list(notes),
        provenance=_provenance(runs),
        **inside_sections(_named(runs)),
    )


def inside_sections(runs: Sequence[tuple[str, RunSummary]]) -> dict[str, Any]:
    """Heat maps, attention weights and activity by layer of the runs that have them."""
    found = [inside.weights(name, run.inside, run.bin_ms) for name, run in runs]
    rates = {name: run.evaluation.get("spikes_per_layer_and_step") or {} for name, run in runs}
    alone = len(runs) == 1 and runs[0][1].image is not None  # then every step of every layer is shown anyway
    return {
        "case": None if alone else inside.case_study(runs),
        "attention": [each for each in found if each],
        "layers_over_time": inside.activity(rates),
    }


def _measured(runs: Sequence[RunSummary], key: str) -> dict[str, Any]:
    """{unique name: value}, () where a run has none, so that runs keep their colour; empty when no run has it."""
    values = {name: run.evaluation.get(key) or () for name, run in _named(runs)}
    return values if any(values.values()) else {}


def _named(runs: Sequence[RunSummary]) -> list[tuple[str, RunSummary]]:
    names = [run.name for run in runs]
    return [
        (name if names.count(name) == 1 else f"{name} ({names[: index + 1].count(name)})", run)
        for index, (name, run) in enumerate(zip(names, runs))
    ]


def _run_rows(runs: Sequence[RunSummary]) -> list[dict[str, Any]]:
    """The table of runs: values, or None where a cell stays empty."""
    rows = []
    for index, (name, run) in enumerate(_named(runs)):
        values = run.evaluation
        energy, twin = values.get("energy_uj"), values.get("energy_ann_uj")
        rows.append(
            {
                "name": name,
                "path": str(run.path),
                "colour": palette.series(index),
                "accuracy": values.get("accuracy"),
                "interval": verdict.interval(run),
                "nasar": values.get("nasar"),
                "spikes": values.get("spikes_per_sample"),
                "energy": energy,
                "saving": twin / energy if energy and twin else None,
                "params": values.get("params"),
                "samples": run.test_samples or values.get("samples"),
            }
        )
    return rows


def hero(runs: Sequence[RunSummary]) -> dict[str, Any] | None:
    """The first clip or image at hand, with what every run that saw it said."""
    image = next((run.image for run in runs if run.image is not None), None)
    shown = next((run for run in runs if run.clip is not None and len(run.clip)), None)
    if image is None and (shown is None or shown.clip is None):
        return None
    answers = [(name, run.evaluation["clip"]) for name, run in _named(runs) if run.evaluation.get("clip")]
    truth = next((answer["truth"] for _, answer in answers if answer.get("truth")), None)
    said = {"answers": answers, "truth": truth}
    if shown is None or shown.clip is None:
        assert image is not None
        return {"image": photo(image.picture), "bins": 0, **said}
    return {"image": animation(shown.clip, frame_ms=shown.bin_ms or 50.0), "bins": len(shown.clip), **said}


def _comparisons(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """The figures that hold all runs; only those with numbers."""
    figures: dict[str, Any] = {}
    if curves := _measured(runs, "accuracy_over_time"):
        samples = {name: run.test_samples for name, run in _named(runs)}
        classes = max((len(run.classes) for run in runs), default=0)
        figures["accuracy_over_time"] = plots.accuracy_over_time(curves, samples, 1 / classes if classes else None)
    recalls = _measured(runs, "per_class")
    if recalls and max(map(len, recalls.values())) <= plots.MOST_CLASSES:
        figures["recall"] = plots.class_recall(recalls)
    if sure := _measured(runs, "calibration"):
        figures["reliability"] = inside_plots.reliability(sure)
    if rates := _measured(runs, "nasar_per_step"):
        figures["nsar"] = plots.nsar_per_step(rates, next((run.bin_ms for run in runs if run.bin_ms), None))
    if layers := _measured(runs, "spikes_per_layer"):
        figures["layers"] = plots.layer_rates(layers)
    if totals := _measured(runs, "energy_uj"):
        figures["energy"] = plots.energy_bars(
            {name: _energy(run, totals[name]) for name, run in _named(runs) if totals[name]}
        )
    return {name: safe(figures[name]) if name in figures else None for name in _COMPARED}


def _energy(run: RunSummary, total: float) -> dict[str, Any]:
    parts = (run.evaluation.get("energy") or {}).get("parts") or {}
    return {"snn": total, "ann": run.evaluation.get("energy_ann_uj"), "parts": parts}


def energy_terms(evaluations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The formula (an evaluation may bring its own) and every rule of counting once, in order."""
    terms = [each.get("energy") or {} for each in evaluations]
    rules = dict.fromkeys(rule for each in terms for rule in each.get("rules") or ())
    return {
        "formula": next((each["formula"] for each in terms if each.get("formula")), ENERGY_FORMULA),
        "rules": list(rules),
    }


def _twins(runs: Sequence[RunSummary]) -> list[dict[str, Any]]:
    """Every run's energy beside that of its twin without attention (r_EE) and of its ANN twin; needs such a twin."""
    known = [(name, run) for name, run in _named(runs) if run.evaluation.get("energy_uj")]
    base = verdict.baseline([run for _, run in known])
    if base is None or base.recipe.get("snn", {}).get("attention") != "none":
        return []
    rows = []
    for name, run in known:
        own, ann = run.evaluation["energy_uj"], run.evaluation.get("energy_ann_uj")
        spikes, theirs = run.evaluation.get("spikes_per_sample"), base.evaluation.get("spikes_per_sample")
        rows.append(
            {
                "name": name,
                "energy": own,
                "ratio": base.evaluation["energy_uj"] / own,
                "ann": ann / own if ann else None,
                "saved": 1 - spikes / theirs if theirs and spikes is not None else None,
            }
        )
    return rows


def _times(runs: Sequence[RunSummary]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Per run: (value, meaning) of the times to the first and to the lasting right answer."""
    found = []
    for name, run in _named(runs):
        times = run.evaluation.get("decision_time") or {}
        figures = [
            (f"{times[f'{key}_ms']:.0f} ms", f"{word} ({100 * times[f'{key}_share']:.0f} %)")
            for key, word in (("first_correct", "first right answer"), ("stable_correct", "right from then on"))
            if times.get(f"{key}_ms") is not None
        ]
        if (step := run.evaluation.get("mean_decision_step")) is not None:
            figures.append((f"step {step:.2f}", "mean step of the first output spike, which decides"))
        if figures:
            found.append((name, figures))
    return found


def _calibration_rule(runs: Sequence[RunSummary]) -> str:
    """What the confidence is, as the evaluation says, as a sentence's beginning."""
    rule = next((r for run in runs if (r := (run.evaluation.get("calibration") or {}).get("rule"))), "confidence")
    return str(rule[:1].upper() + rule[1:])


def _confusions(runs: Sequence[RunSummary]) -> list[tuple[str, Any]]:
    return [
        (name, safe(plots.confusion_matrix(run.evaluation["confusion"], _classes(run))))
        for name, run in _named(runs)
        if 0 < len(run.evaluation.get("confusion") or ()) <= plots.MOST_CLASSES
    ]


def _classes(run: RunSummary) -> list[str]:
    known = run.classes or list(run.evaluation.get("per_class") or ())
    size = len(run.evaluation["confusion"])
    return list(known) if len(known) == size else [str(index) for index in range(size)]


def _live_section(live: LiveSummary, classes: Sequence[str]) -> dict[str, Any]:
    result = live.result
    marks = {
        name.removesuffix("_ms"): result[name]
        for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms")
        if result.get(name) is not None
    }
    latencies = [row["latency_ms"] for row in live.decisions if row.get("latency_ms") is not None]
    dropped, bins = result.get("dropped_bins") or 0, result.get("bins") or 0
    return {
        "source": live.source,
        "result": result,
        "marks": marks,
        "timeline": safe(live_plots.decision_timeline(live.decisions, live.truth, classes)) if live.decisions else None,
        "histogram": safe(live_plots.latency_histogram(latencies, marks)) if len(latencies) > 1 else None,
        "image": _live_clip(live),
        "agreement": verdict.agreement(live),
        "not_real_time": bool(bins) and dropped / (bins + dropped) > NOT_REAL_TIME,
    }


def _live_clip(live: LiveSummary) -> str | None:
    """The events with the decision of their bin below them."""
    if live.clip is None or not len(live.clip):
        return None
    said = {
        row["bin"]: f"{row['label']}  {row['confidence']:.2f}" for row in live.decisions if row["label"] is not None
    }
    captions = [said.get(live.clip_bin + index, "…") for index in range(len(live.clip))] if said else []
    times = [row["t_us"] / 1000 for row in live.decisions[:2]]
    return animation(live.clip, captions, frame_ms=times[1] - times[0] if len(times) == 2 else 50.0)


def _provenance(runs: Sequence[RunSummary]) -> list[tuple[str, str]]:
    seconds = sum(run.evaluation.get("seconds") or 0 for run in runs)
    return provenance([("evaluation took", f"{seconds:.0f} s")] if seconds else [])
