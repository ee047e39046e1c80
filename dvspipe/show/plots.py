"""Figures of trained networks: confusion, accuracy over time, spikes, energy, training.

Every function takes plain numbers and returns one `<svg>` element. Runs keep their colour (by place; an
empty value only keeps the place) through all figures. Knows nothing about pages or about where the numbers come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dvspipe.metrics.accuracy import wilson
from dvspipe.show import palette
from dvspipe.show.figures import (
    ACCENT,
    INK,
    LINE,
    MUTED,
    NARROW,
    ON_ACCENT,
    PAPER,
    clipped,
    note,
    sheet,
    style,
    svg,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CLASSES = 40  # a larger confusion matrix cannot be read on a page
OVER = {"t_ms": "observed time (ms)", "step": "steps seen"}  # what accuracy is drawn over, by its key
_MOST_COUNTS = 24  # beyond this, cells are too small for their counts


@style()
def confusion_matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Rows: true class, columns: answered class; shade: share of the row, text: count of samples."""
    table = np.asarray(counts)
    size = len(table)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = sheet(NARROW, 0.74 * NARROW)
    for row, column in np.argwhere(table):
        _cell(axes, row, column, shares[row, column], str(table[row, column]) if size <= _MOST_COUNTS else "", size)
    short = all(len(name) <= 2 for name in classes)  # digits, letters: they need no number
    across = list(classes) if short else [str(index + 1) for index in range(size)]
    down = across if short else [f"{clipped(name, 27)}  {number}" for name, number in zip(classes, across)]
    axes.set(xlim=(0, size), ylim=(size, 0), aspect="equal")
    axes.set_xlabel("answered" if short else "answered (number of the class)")
    axes.set_xticks(np.arange(size) + 0.5, across)
    axes.set_yticks(np.arange(size) + 0.5, down)
    axes.tick_params(labelsize=9 if size <= 12 else 7 if size <= _MOST_COUNTS else 5)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    _lattice(axes, size)
    return svg(figure, "Confusion matrix: true class by row, answered class by column, counts of samples")


@style()
def accuracy_over_time(
    curves: Mapping[str, Sequence[Mapping[str, float]]], samples: Mapping[str, int], chance: float | None = None
) -> str:
    """Accuracy (%) against observed time (ms) or, of images, steps; one line per run with its 95 % Wilson band; dotted:
    chance (0..1).
    """
    unit = next(key for key in ("t_ms", "step") if any(key in point for points in curves.values() for point in points))
    figure, (axes,) = sheet(height=3.3)
    for name, colour, points in _coloured(curves):
        time, share = [point[unit] for point in points], [point["accuracy"] for point in points]
        total = samples[name]
        low, high = zip(*(wilson(round(each * total), total) for each in share)) if total else (share, share)
        axes.fill_between(time, 100 * np.array(low), 100 * np.array(high), color=colour, alpha=0.16, linewidth=0)
        label = f"{clipped(name, 20)}   {100 * share[-1]:.1f} %"
        axes.plot(time, 100 * np.array(share), color=colour, marker="o", markersize=4, label=label)
    if chance is not None:
        axes.axhline(100 * chance, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
        axes.annotate(f"chance {100 * chance:.0f} %", (1, 100 * chance), (0, 3), color=MUTED, size=8.5, **place)
    axes.set(ylim=(0, 100), xlabel=OVER[unit], ylabel="accuracy (%)")
    axes.set_xlim(left=0)
    if unit == "step":
        axes.set_xlim(right=axes.get_xlim()[1] + 0.2)
        whole_numbers(axes)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.16))
    return svg(figure, f"Accuracy over {OVER[unit].removesuffix(' (ms)')} with 95 % intervals")


@style()
def class_recall(recalls: Mapping[str, Mapping[str, float | None]]) -> str:
    """Share (%) of every true class that was answered right, one dot per run, joined so that gains can be read off."""
    runs = _coloured(recalls)
    classes = list(dict.fromkeys(label for *_, each in runs for label in each))
    figure, (axes,) = sheet(height=0.9 + 0.22 * len(classes))
    for row, label in enumerate(classes):
        shares = [100 * share for *_, each in runs if (share := each.get(label)) is not None]
        if shares:
            axes.plot([min(shares), max(shares)], [row, row], color=LINE, linewidth=4, zorder=1)
    for name, colour, each in runs:
        dots = [(100 * each[label], row) for row, label in enumerate(classes) if each.get(label) is not None]
        x, y = [share for share, _ in dots], [row for _, row in dots]
        axes.scatter(x, y, color=colour, s=34, label=clipped(name, 24), zorder=2)
    axes.set_yticks(range(len(classes)), [clipped(label, 27) for label in classes])
    axes.set(xlim=(-2, 102), ylim=(len(classes) - 0.4, -0.6), xlabel="answered right (%)")
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    _legend_above(axes, recalls)
    return svg(figure, "Share of every class that was answered right")


@style()
def nsar_per_step(curves: Mapping[str, Sequence[float]], bin_ms: float | None = None) -> str:
    """Spikes per neuron at every time step, one line per run, the mean (NASAR) dashed and written."""
    figure, (axes,) = sheet()
    for name, colour, rates in _coloured(curves):
        mean = float(np.mean(rates))
        steps = np.arange(1, len(rates) + 1)
        axes.plot(steps, rates, color=colour, label=f"{clipped(name, 20)}   mean {mean:.3f}")
        axes.fill_between(steps, 0, rates, color=colour, alpha=0.12, linewidth=0)
        axes.axhline(mean, color=colour, linewidth=1, linestyle=(0, (4, 3)), alpha=0.8)
    top = max(max(rates) for rates in curves.values() if rates)
    axes.set(ylim=(0, 1.35 * top or 1), xlabel="time step" + (f" (one bin = {bin_ms:g} ms)" if bin_ms else ""))
    axes.set_ylabel("spikes per neuron (NSAR)")
    axes.set_xlim(1, max(2, *(len(rates) for rates in curves.values())))
    whole_numbers(axes)
    axes.legend(loc="upper right")
    return svg(figure, "Network spiking activity rate per time step")


@style()
def layer_rates(rates: Mapping[str, Mapping[str, float]]) -> str:
    """Spikes per neuron and step of every spiking layer, one bar per run, values written."""
    layers = list(dict.fromkeys(layer for each in rates.values() for layer in each))
    figure, (axes,) = sheet(height=1.1 + 0.3 * len(layers) * max(1, len(rates) * 0.7))
    thick = 0.8 / len(rates)
    for place, (name, colour, values) in enumerate(_coloured(rates)):
        at = [index + (place - (len(rates) - 1) / 2) * thick for index, layer in enumerate(layers) if layer in values]
        shown = [values[layer] for layer in layers if layer in values]
        bars = axes.barh(at, shown, thick * 0.86, color=colour, label=clipped(name, 24))
        axes.bar_label(bars, [f"{value:.3f}" for value in shown], padding=4, size=8.5)
    axes.set_yticks(range(len(layers)), [clipped(layer) for layer in layers])
    axes.set(ylim=(len(layers) - 0.5, -0.5), xlabel="spikes per neuron and step")
    axes.margins(x=0.14)
    axes.grid(axis="y", visible=False)
    _legend_above(axes, rates)
    return svg(figure, "Spike rate of every layer")


@style()
def energy_bars(energies: Mapping[str, Mapping[str, Any]]) -> str:
    """Energy per sample (µJ): the SNN stacked by part, its ANN twin below it, values and ratio written.

    Every run: {"snn": µJ, "ann": µJ or None, "parts": {name: µJ}} and, instead of the ratio to the twin, "note".
    Twins that are all the same are drawn once, and one that is far larger ends at the edge with its value, so that the
    parts stay visible.
    """
    parts = list(dict.fromkeys(part for each in energies.values() for part in each["parts"]))
    twins = {name: each["ann"] for name, each in energies.items() if each["ann"] is not None}
    single = len(twins) == len(energies) > 1 and np.ptp(list(twins.values())) <= 1e-6 * max(twins.values())
    if single:
        twins = {list(twins)[-1]: next(iter(twins.values()))}
    largest = max(each["snn"] for each in energies.values())
    widest = max(largest, *twins.values(), 0.0)
    edge = (1.3 * widest if widest <= 6 * largest else 3 * largest) or 1.0
    figure, (axes,) = sheet(height=1.2 + 0.36 * (len(energies) + len(twins)))
    colours = {part: palette.PARTS[index % len(palette.PARTS)] for index, part in enumerate(parts)}
    names: list[str] = []
    for name, each in energies.items():
        _stack(axes, len(names), each, colours)
        names.append(clipped(name, 24))
        if name in twins:
            _twin(axes, len(names), twins[name], edge)
            names.append("the ANN twin" if single else "its ANN twin")
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, edge), xlabel="energy per sample (µJ), estimated")
    axes.grid(axis="y", visible=False)
    if parts:
        figure.legend(loc="outside upper left", ncols=min(len(parts), 2), handlelength=1, columnspacing=1.2)
    return svg(figure, "Estimated energy per sample, spiking network and its ANN twin")


@style()
def training_curves(history: Sequence[Mapping[str, Any]]) -> str:
    """Loss and accuracy (%) against epochs, training and validation; what was not measured in an epoch is left out."""
    figure, panels = sheet(columns=2)
    for axes, measure, factor, unit in zip(panels, ("loss", "accuracy"), (1, 100), ("loss", "accuracy (%)")):
        for part, colour, label in (("train", palette.SERIES[0], "training"), ("val", palette.SERIES[1], "validation")):
            key = f"{part}_{measure}"
            rows = [(row["epoch"], factor * row[key]) for row in history if row.get(key) is not None]
            if rows:
                axes.plot(*zip(*rows), color=colour, label=label, marker="o" if len(rows) < 15 else "", markersize=3.5)
        axes.set(xlabel="epoch", ylabel=unit)
        whole_numbers(axes, 5)
    panels[1].set_ylim(0, 100)
    named = max((axes.get_legend_handles_labels() for axes in panels), key=lambda each: len(each[1]))
    figure.legend(*named, loc="outside upper left", ncols=2)
    return svg(figure, "Training and validation loss and accuracy per epoch")


def _cell(axes: Axes, row: int, column: int, share: float, count: str, size: int) -> None:
    from matplotlib.patches import Rectangle

    colour = ACCENT if row == column else palette.ON
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, alpha=0.08 + 0.92 * share, linewidth=0))
    if count:
        ink = (ON_ACCENT if row == column else "#000000") if share > 0.5 else INK
        axes.text(column + 0.5, row + 0.54, count, ha="center", va="center", color=ink, size=9 if size <= 12 else 7)


def _lattice(axes: Axes, size: int) -> None:
    axes.hlines(range(size + 1), 0, size, color=LINE, linewidth=0.6)
    axes.vlines(range(size + 1), 0, size, color=LINE, linewidth=0.6)


def _stack(axes: Axes, row: int, energy: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    left = 0.0
    for part, value in (energy["parts"] or {"": energy["snn"]}).items():
        known = axes.get_legend_handles_labels()[1]
        label = "_" if not part or clipped(part, 34) in known else clipped(part, 34)
        axes.barh(row, value, 0.62, left=left, color=colours.get(part, palette.SERIES[0]), label=label)
        left += value
    ratio = ""
    if (own := energy["snn"]) and (twin := energy["ann"]):
        ratio = f"({twin / own:.1f}× less)" if twin >= own else f"({own / twin:.1f}× more)"
    note(axes, f"{energy['snn']:.4g} µJ  {energy.get('note', ratio)}".rstrip(), (left, row))


def _twin(axes: Axes, row: int, energy: float, edge: float) -> None:
    """Hatched; written inside an open bar where it does not fit."""
    shown = min(energy, edge)
    axes.barh(row, shown, 0.62, color="none", edgecolor=MUTED, hatch="////", hatch_linewidth=0.5)
    if energy < edge:
        note(axes, f"{energy:.4g} µJ", (energy, row), MUTED)
        return
    box = {"boxstyle": "square,pad=0.15", "facecolor": PAPER, "edgecolor": "none"}
    axes.text(0.98 * edge, row, f"{energy:.4g} µJ →", ha="right", va="center", size=9, color=INK, bbox=box)


def _coloured(runs: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """(name, colour, value) of the runs that have a value; the others still take up their colour."""
    return [(name, palette.series(index), each) for index, (name, each) in enumerate(runs.items()) if each]


def _legend_above(axes: Axes, runs: Mapping[str, Any]) -> None:
    """A legend only where there is a choice to explain."""
    if len(runs) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handlelength=1)
