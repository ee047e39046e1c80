"""Figures of a live run: what was decided against what was labelled, and how long each decision took.

Takes plain rows, returns `<svg>` elements; knows nothing about pages or streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dvspipe.show import palette
from dvspipe.show.figures import INK, MUTED, WIDE, clipped, sheet, style, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Block = tuple[str | None, float, float]  # label, start_s, stop_s
_SECONDS = 1e-6


@style()
def decision_timeline(
    decisions: Sequence[Mapping[str, Any]], truth: Sequence[Mapping[str, Any]], classes: Sequence[str] = ()
) -> str:
    """Decided classes below the labelled ones (if any) and the confidence below both, over sensor time (s)."""
    from matplotlib.patches import Patch

    blocks = decision_blocks(decisions)
    labelled: list[Block] = [(row["label"], row["start_us"] * _SECONDS, row["stop_us"] * _SECONDS) for row in truth]
    origin = min(start for _, start, _ in blocks + labelled)
    seen = [label for label, *_ in labelled + blocks if label is not None]
    order = list(dict.fromkeys([*classes, *seen]))
    colours = palette.class_colours(order)
    figure, (axes,) = sheet(WIDE, 2.7 if truth else 2.2)
    rows = {"labelled": labelled, "decided": blocks} if truth else {"decided": blocks}
    for place, (name, row) in enumerate(rows.items()):
        _draw_blocks(axes, place, row, colours, origin)
        axes.text(-0.008, place, name, ha="right", va="center", transform=axes.get_yaxis_transform(), color=INK)
    _draw_confidence(axes, len(rows), decisions, origin)
    axes.set(ylim=(len(rows) + 0.45, -0.5), xlabel="sensor time (s)")
    axes.set_xlim(left=0, right=max(stop for *_, stop in blocks + labelled) - origin)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    handles = [Patch(color=colours[name], label=clipped(name, 24)) for name in order if name in seen]
    if handles:
        columns = 6 if max(map(len, seen)) <= 18 else 5
        square = {"handlelength": 0.9, "handleheight": 0.9, "columnspacing": 1.4}
        figure.legend(handles=handles, loc="outside lower left", ncols=columns, **square)
    return svg(figure, "Timeline of decisions" + (" below the labelled classes" if truth else ""))


@style()
def latency_histogram(latencies_ms: Iterable[float], percentiles: Mapping[str, float] | None = None) -> str:
    """Decisions by latency (ms, last event of a bin available -> decision); percentiles are marked and written."""
    values = np.asarray(list(latencies_ms), float)
    figure, (axes,) = sheet(height=2.8)
    marks = dict(percentiles or {})
    edge = max([float(np.quantile(values, 0.999)), *(value for name, value in marks.items() if name != "max")])
    bars = min(60, max(8, int(len(values) ** 0.5)))
    axes.hist(np.minimum(values, edge), bins=bars, color=palette.SERIES[0], alpha=0.85)
    top = axes.get_ylim()[1]
    for place, (name, value) in enumerate((name, value) for name, value in marks.items() if name != "max"):
        axes.axvline(value, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.annotate(f"{name} {value:.2f} ms", (value, top), (4, -10 - 12 * place), textcoords="offset points", size=9)
    axes.set(xlabel="latency (ms)", ylabel="decisions", ylim=(0, top))
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
    return svg(figure, "Histogram of decision latencies")


def decision_blocks(decisions: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Equal consecutive decisions as one block each: (label, start_s, stop_s). A decision holds until the next one."""
    times = [row["t_us"] * _SECONDS for row in decisions]
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    blocks: list[Block] = []
    for row, start, stop in zip(decisions, times, [*times[1:], times[-1] + usual] if times else []):
        if blocks and blocks[-1][0] == row["label"]:
            blocks[-1] = (row["label"], blocks[-1][1], stop)
        else:
            blocks.append((row["label"], start, stop))
    return blocks


def _draw_blocks(axes: Axes, place: int, blocks: Sequence[Block], colours: Mapping[str, str], origin: float) -> None:
    """One row of coloured spans; a span of None is a thin line: nothing is claimed there."""
    for label, start, stop in blocks:
        span = [(start - origin, stop - start)]
        if label is None:
            axes.broken_barh(span, (place - 0.03, 0.06), facecolor=palette.IDLE, alpha=0.5, linewidth=0)
        else:
            axes.broken_barh(span, (place - 0.34, 0.68), facecolor=colours[label], linewidth=0)


def _draw_confidence(axes: Axes, place: int, decisions: Sequence[Mapping[str, Any]], origin: float) -> None:
    time = np.array([row["t_us"] for row in decisions]) * _SECONDS - origin
    height = np.array([row["confidence"] for row in decisions], float)
    base = place + 0.4
    axes.fill_between(time, base, base - 0.8 * height, step="post", color=MUTED, alpha=0.35, linewidth=0)
    axes.text(-0.008, place, "confidence", ha="right", va="center", transform=axes.get_yaxis_transform(), color=MUTED)
