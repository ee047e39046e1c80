"""Summaries -> one HTML file that needs nothing else: no network, no script, pictures and figures inside.

Decides which sections there are (a missing number leaves its section out) and writes the file whole or not at all.
What it looks like is `report.html`; the figures are `plots` and `live_plots`; the words are `verdict`.
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
from dvspipe.metrics.energy import AC_PJ, MAC_PJ
from dvspipe.show import live_plots, palette, plots, verdict
from dvspipe.show.animation import animation
from dvspipe.show.summary import LiveSummary, RunSummary

_TOOLS = ("torch", "norse", "tonic", "numpy", "numba", "h5py")
ENERGY_FORMULA = f"E = E_MAC · MAC + E_AC · AC, with E_MAC = {MAC_PJ} pJ and E_AC = {AC_PJ} pJ (45 nm, 32-bit float)"
_COMPARED = ("accuracy_over_time", "recall", "nsar", "layers", "energy")
NOT_REAL_TIME = 0.01  # share of dropped bins beyond which a run is not called real time


def write_report(
    path: Path | str,
    title: str,
    runs: Sequence[RunSummary],
    live: Sequence[LiveSummary] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Writes the report and returns its absolute path. Written beside the target, then renamed: never half a file."""
    target = Path(path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    text = render(title, runs, live, notes)
    with replacing(target, RunError) as beside:
        beside.write_text(text, encoding="utf-8")
    return target


def render(title: str, runs: Sequence[RunSummary], live: Sequence[LiveSummary] = (), notes: Sequence[str] = ()) -> str:
    """The report as text. Everything that comes from outside (names, recipes, notes) is escaped by the template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dvspipe.show", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html")
    return page.render(
        title=title,
        verdict=verdict.verdict(runs, live),
        rows=_run_rows(runs),
        key_figures=_key_figures(runs, live),
        hero=_hero(runs),
        figures=_comparisons(runs),
        confusions=_confusions(runs),
        training=[(run.name, _safe(plots.training_curves(run.history))) for run in runs if run.history],
        energy=_energy_terms(runs),
        live=[_live_section(each, next((run.classes for run in runs if run.classes), [])) for each in live],
        recipes=_recipes(runs),
        notes=list(notes),
        provenance=_provenance(runs),
        palette=palette,
    )


def _safe(text: str) -> Any:
    """Marks our own SVG as markup; matplotlib has escaped the names inside."""
    from markupsafe import Markup

    return Markup(text)


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


def _key_figures(runs: Sequence[RunSummary], live: Sequence[LiveSummary]) -> list[tuple[str, str]]:
    """At most four numbers large enough to be read across a room: (number, what it is)."""
    tested = [run for run in runs if run.evaluation.get("accuracy") is not None]
    figures = []
    if tested:
        base = verdict.baseline(runs)
        best = max((run for run in tested if run is not base), key=lambda run: run.evaluation["accuracy"])
        figures.append((f"{100 * best.evaluation['accuracy']:.1f} %", f"accuracy of {best.name}"))
        for key, word in (("spikes_per_sample", "spikes"), ("energy_uj", "energy, estimated,")):
            ours, theirs = best.evaluation.get(key), base.evaluation.get(key) if base else None
            if base and ours and theirs:
                figures.append((f"{100 * (ours / theirs - 1):+.0f} %".replace("-", "−"), f"{word} against {base.name}"))
    slowest = [each.result["p99_ms"] for each in live if each.result.get("p99_ms") is not None]
    if slowest:
        figures.append((f"{max(slowest):.1f} ms", "from a bin's last event to the decision, 99 % of the time"))
    return figures


def _hero(runs: Sequence[RunSummary]) -> dict[str, Any] | None:
    """The first clip at hand, with what every run that saw it said."""
    shown = next((run for run in runs if run.clip is not None and len(run.clip)), None)
    if shown is None or shown.clip is None:
        return None
    answers = [(name, run.evaluation["clip"]) for name, run in _named(runs) if run.evaluation.get("clip")]
    truth = next((answer["truth"] for _, answer in answers if answer.get("truth")), None)
    return {
        "image": animation(shown.clip, frame_ms=shown.bin_ms or 50.0),
        "answers": answers,
        "truth": truth,
        "bins": len(shown.clip),
    }


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
    if rates := _measured(runs, "nasar_per_step"):
        figures["nsar"] = plots.nsar_per_step(rates, next((run.bin_ms for run in runs if run.bin_ms), None))
    if layers := _measured(runs, "spikes_per_layer"):
        figures["layers"] = plots.layer_rates(layers)
    if totals := _measured(runs, "energy_uj"):
        figures["energy"] = plots.energy_bars(
            {name: _energy(run, totals[name]) for name, run in _named(runs) if totals[name]}
        )
    return {name: _safe(figures[name]) if name in figures else None for name in _COMPARED}


def _energy(run: RunSummary, total: float) -> dict[str, Any]:
    parts = (run.evaluation.get("energy") or {}).get("parts") or {}
    return {"snn": total, "ann": run.evaluation.get("energy_ann_uj"), "parts": parts}


def _energy_terms(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """The formula (an evaluation may bring its own) and every rule of counting once, in order."""
    terms = [run.evaluation.get("energy") or {} for run in runs]
    rules = dict.fromkeys(rule for each in terms for rule in each.get("rules") or ())
    return {
        "formula": next((each["formula"] for each in terms if each.get("formula")), ENERGY_FORMULA),
        "rules": list(rules),
    }


def _confusions(runs: Sequence[RunSummary]) -> list[tuple[str, Any]]:
    return [
        (name, _safe(plots.confusion_matrix(run.evaluation["confusion"], _classes(run))))
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
        "timeline": _safe(live_plots.decision_timeline(live.decisions, live.truth, classes))
        if live.decisions
        else None,
        "histogram": _safe(live_plots.latency_histogram(latencies, marks)) if len(latencies) > 1 else None,
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


def _recipes(runs: Sequence[RunSummary]) -> dict[str, Any] | None:
    """Resolved recipes side by side, one dotted key per line; `differs` marks what the runs do not share."""
    flat = {name: _flat(run.recipe) for name, run in _named(runs) if run.recipe}
    if not flat:
        return None
    lines = []
    for key in dict.fromkeys(key for each in flat.values() for key in each):
        values = [each.get(key, "–") for each in flat.values()]
        lines.append({"key": key, "values": values, "differs": len(set(values)) > 1})
    return {"names": list(flat), "lines": lines}


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": str(value)}
    return flat


def _provenance(runs: Sequence[RunSummary]) -> list[tuple[str, str]]:
    """Where and with what this was made: enough to make it again."""
    versions = [f"{name} {metadata.version(name)}" for name in ("dvspipe", *_TOOLS) if _installed(name)]
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    seconds = sum(run.evaluation.get("seconds") or 0 for run in runs)
    return [
        ("made", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("command", command),
        (
            "machine",
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        ),
        ("versions", ", ".join(versions)),
        *([("evaluation took", f"{seconds:.0f} s")] if seconds else []),
    ]


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
