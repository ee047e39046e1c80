"""How well a run decides live -> figures and one HTML page: how soon it is right, how soon for good, one recording decided.

Takes plain numbers; knows no network and no archive. What the page looks like is `live_quality.html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dvspipe.metrics.accuracy import wilson
from dvspipe.show import palette
from dvspipe.show.figures import MUTED, clipped, note, sheet, style, svg
from dvspipe.show.live_plots import decision_timeline
from dvspipe.show.page import provenance, recipe_table, render_page, safe, write_page

AIM_MS = 300  # median time to the lasting right decision, TrueNorth's gestures took 105 ms to a first one
NAMES = {"continuous": "never reset", "reset_per_segment": "reset at every onset"}
Curve = Sequence[Mapping[str, Any]]  # {"t_ms", "accuracy", "windows"}


@dataclass(frozen=True)
class LiveQuality:
    """What the page is told. `result` is what `evaluate --live` found; `decisions` {"t_us", "label" or None, "confidence"}
    and `truth` {"label", "start_us", "stop_us"} are of one `recording`, played with state never reset.
    """

    name: str
    classes: list[str]
    result: dict[str, Any]
    recording: str = ""
    decisions: list[dict[str, Any]] = field(default_factory=list)
    truth: list[dict[str, Any]] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)


def write_quality_report(path: Path | str, title: str, shown: LiveQuality, notes: Sequence[str] = ()) -> Path:
    """Writes the page, whole or not at all, and returns its absolute path."""
    return write_page(path, render_quality_report(title, shown, notes))


def render_quality_report(title: str, shown: LiveQuality, notes: Sequence[str] = ()) -> str:
    """The page as text."""
    result, curves = shown.result, _curves(shown.result)
    times = {NAMES[mode]: [row["stable_ms"] for row in result[mode]["per_window"]] for mode in NAMES}
    timeline = decision_timeline(shown.decisions, shown.truth, shown.classes) if shown.decisions else ""
    return render_page(
        "live_quality.html",
        title=title,
        verdict=_verdict(result),
        key_figures=_key_figures(result["continuous"]),
        hero=None,
        rows=_rows(result),
        since_onset=safe(accuracy_since_onset(curves)) if any(curves.values()) else None,
        stable=safe(times_to_stable(times)) if any(times.values()) else None,
        timeline=safe(timeline),
        recording=shown.recording,
        settings=result["settings"],
        source=result["settings_source"],
        f1=_f1(result),
        recipes=recipe_table({shown.name: shown.recipe}),
        notes=list(notes),
        provenance=provenance(_effort(result)),
    )


@style()
def accuracy_since_onset(curves: Mapping[str, Curve]) -> str:
    """Share (%) of windows with the right class in force, against time since their onset (ms), with 95 % Wilson bands."""
    figure, (axes,) = sheet(height=3.3)
    for index, (name, points) in enumerate(curves.items()):
        time, share = [point["t_ms"] for point in points], np.array([point["accuracy"] for point in points])
        bands = [wilson(round(point["accuracy"] * point["windows"]), point["windows"]) for point in points]
        low, high = np.array(bands).reshape(-1, 2).T
        colour = palette.series(index)
        axes.fill_between(time, 100 * low, 100 * high, color=colour, alpha=0.14, linewidth=0)
        axes.plot(time, 100 * share, color=colour, marker="o", markersize=4, label=clipped(name, 30))
    axes.set(ylim=(0, 100), xlabel="time since onset (ms)", ylabel="right class in force (%)")
    axes.set_xlim(left=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handlelength=1)
    return svg(figure, "Accuracy since the labelled onset with 95 % intervals")


@style()
def times_to_stable(times_ms: Mapping[str, Sequence[float | None]]) -> str:
    """Share (%) of windows that were right for good by a time since onset (ms); None never were, so that a curve ends below
    100 % where there are such. Dotted: the aim, half of the windows by 300 ms.
    """
    figure, (axes,) = sheet(height=3.3)
    latest = max((each for times in times_ms.values() for each in times if each is not None), default=AIM_MS)
    for index, (name, times) in enumerate(times_ms.items()):
        reached = sorted(each for each in times if each is not None)
        share = 100 * np.arange(len(reached) + 1) / max(1, len(times))
        steps = np.append([0.0, *reached], latest)
        axes.step(steps, [*share, share[-1]], where="post", color=palette.series(index), label=clipped(name, 30))
    axes.plot([AIM_MS, AIM_MS, 0], [0, 50, 50], color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    note(axes, f"{AIM_MS} ms", (AIM_MS, 4), MUTED, 8.5)
    axes.set(ylim=(0, 100), xlabel="time since onset (ms)", ylabel="right from then on (%)")
    axes.set_xlim(0, latest)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handlelength=1)
    return svg(figure, "Share of windows that were right for good by a time since onset")


def _curves(result: Mapping[str, Any]) -> dict[str, Curve]:
    """Decided in both modes, and the network's bare argmax."""
    found = {NAMES[mode]: result[mode]["accuracy_since_onset"] for mode in NAMES}
    return {**found, "argmax, never reset": result["continuous"]["raw"]["accuracy_since_onset"]}


def _verdict(result: Mapping[str, Any]) -> str:
    found = result["continuous"]
    stable = found["stable_correct_ms"]
    if stable["median"] is None:
        return f"No labelled gesture of {found['windows']} was ever decided right for good."
    words = (
        f"Of {found['windows']} labelled windows {_percent(stable['share'])} end up right for good, "
        f"half of those within {stable['median']:.0f} ms of the onset."
    )
    if found["false_per_min"] is not None:
        words += f" Where nothing is labelled, {found['false_per_min']:.1f} decisions a minute begin."
    return words.replace(" %", "\u00a0%")


def _key_figures(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    figures = [(found["stable_correct_ms"]["median"], "{:.0f} ms", "from onset to right for good, median")]
    figures += [(found["first_correct_ms"]["median"], "{:.0f} ms", "to the first right decision, median")]
    figures += [(found["detection_rate"], "{:.0%}", "of windows decided right at some time")]
    figures += [(found["flips_per_s"], "{:.2f}", "flips per second inside windows")]
    figures += [(found["false_per_min"], "{:.1f}", "false decisions per minute outside")]
    return [(text.format(value), meaning) for value, text, meaning in figures if value is not None]


_COLUMNS = (
    ("area", "{:.3f}"),
    ("first_correct_ms", "{:.0f} ms"),
    ("stable_correct_ms", "{:.0f} ms"),
    ("detection_rate", "{:.1%}"),
    ("flips_per_s", "{:.2f}"),
    ("false_per_min", "{:.1f}"),
    ("outside_share", "{:.1%}"),
    ("f1", "{:.3f}"),
)


def _rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The table: two ways to play, each as decided and as the bare argmax."""
    found = {NAMES[mode]: result[mode] for mode in NAMES}
    found |= {f"{NAMES[mode]}, argmax": result[mode]["raw"] for mode in NAMES}
    return [{"name": name, "cells": [_cell(each[key], text) for key, text in _COLUMNS]} for name, each in found.items()]


def _cell(value: Any, text: str) -> tuple[str, str]:
    """A figure and what is written small below it."""
    if isinstance(value, Mapping) and "median" in value:
        small = f"p90 {text.format(value['p90'])}, {_percent(value['share'])}" if value["median"] is not None else ""
        return _text(value["median"], text), small
    return _text(value["macro"] if isinstance(value, Mapping) else value, text), ""


def _text(value: float | None, text: str) -> str:
    return "–" if value is None else text.format(value)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _f1(result: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Overlap F1 by class, never reset and reset."""
    every = [result[mode]["f1"]["per_class"] for mode in NAMES]
    return [(name, [_text(each[name], "{:.2f}") for each in every]) for name in every[0]]


def _effort(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("played", f"{result['recordings']} uncut recordings, {result['minutes']:.1f} minutes, twice"),
        ("took", f"{result['seconds']:.0f} s, {result['x_real_time']:.0f} times real time, {result['mode']}"),
    ]
