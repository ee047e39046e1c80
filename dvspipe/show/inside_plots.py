"""Figures of what a network does inside and of how sure it is: attention weights over time, reliability.

Takes plain numbers, returns `<svg>` elements; knows nothing about pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show import palette
from dvspipe.show.figures import MUTED, clipped, end_labels, sheet, style, svg, whole_numbers


@style()
def weights_over_time(lines: Mapping[str, NDArray[Any]], neutral: float, bin_ms: float | None = None) -> str:
    """Weight of every time step, [T] per layer, each line named at its end; dashed: a weight that says nothing."""
    figure, (axes,) = sheet(height=4.2)
    labels = []
    for index, (name, values) in enumerate(lines.items()):
        colour = palette.layer(index)
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=1.8, marker="o", markersize=2.5)
        labels.append((clipped(name, 12), float(values[-1]), colour))
    axes.axhline(neutral, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(1, max(2, *(len(values) for values in lines.values())))
    axes.margins(y=0.12)
    axes.set(xlabel="time step" + (f" (one bin = {bin_ms:g} ms)" if bin_ms else ""), ylabel="weight")
    whole_numbers(axes, 6)
    end_labels(axes, labels)
    return svg(figure, "Attention weight of every time step, by layer")


@style()
def reliability(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Share of right answers against confidence (%), dots as large as the answers are many; diagonal: means what it says.

    Every run is what `metrics.calibration` returns; an empty one only keeps its colour.
    """
    figure, (axes,) = sheet(height=3.5)
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for index, (name, each) in enumerate(runs.items()):
        rows = each["bins"] if each else []
        if not rows:
            continue
        sure, right = ([100 * row[key] for row in rows] for key in ("confidence", "accuracy"))
        size = _sizes([row["count"] for row in rows])
        colour, label = palette.series(index), f"{clipped(name, 20)}   ECE {each['ece']:.3f}"
        axes.plot(sure, right, color=colour, linewidth=1.4, alpha=0.7)
        axes.scatter(sure, right, s=size, color=colour, alpha=0.75, linewidths=0)
        axes.plot([], [], color=colour, marker="o", markersize=5, label=label)
    axes.set(xlim=(0, 100), ylim=(0, 102), xlabel="confidence (%)", ylabel="answered right (%)")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right")
    return svg(figure, "Reliability diagram: share of right answers against confidence")


def _sizes(counts: Sequence[int]) -> NDArray[Any]:
    """Areas in points²; the largest bin is a dot of 14 points."""
    return 16 + 170 * np.asarray(counts, float) / max(counts)
