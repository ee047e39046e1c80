"""Figures of a comparison: the accuracy-spikes front, what training adds to silence, curves of every setting.

Takes plain numbers by setting, returns `<svg>` elements. With a dozen settings a legend is soup, so every point and
panel carries its own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dvspipe.show import palette
from dvspipe.show.figures import INK, LINE, MUTED, NARROW, PAPER, WIDE, clipped, note, sheet, style, svg, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_COLUMNS = 4  # of small panels
_FEW_STEPS = 10  # up to here an axis would get ticks between two steps
_OFFSETS = [
    (8, 0, "left"), (-8, 0, "right"), (0, 11, "center"), (0, -11, "center"), (8, 12, "left"), (8, -12, "left"),
    (-8, 12, "right"), (-8, -12, "right"), (0, 22, "center"), (0, -22, "center"), (14, 24, "left"), (14, -24, "left"),
    (-14, 24, "right"), (-14, -24, "right"), (0, 34, "center"), (0, -34, "center"),
]  # fmt: skip  # where a name may stand beside its point, in points, best first


@dataclass(frozen=True)
class Point:
    """A setting on the front: `spikes` per sample and `accuracy` (0..1) of every seed."""

    name: str
    spikes: Sequence[float]
    accuracy: Sequence[float]

    @property
    def mean(self) -> tuple[float, float]:
        """Spikes and accuracy in %."""
        return float(np.mean(self.spikes)), 100 * float(np.mean(self.accuracy))


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other point beats in one of fewer spikes and higher accuracy and equals in the other."""

    def beaten(point: Point) -> bool:
        spikes, accuracy = point.mean
        return any(
            one <= spikes and other >= accuracy and (one, other) != (spikes, accuracy)
            for one, other in (rival.mean for rival in points)
        )

    return sorted((point for point in points if not beaten(point)), key=lambda point: point.mean)


def _log_limits(points: Sequence[Point]) -> tuple[float, float]:
    """Of spikes, with a margin of 9 % of the decades between fewest and most, and at least a quarter of one."""
    low, high = (
        np.log10(min(min(point.spikes) for point in points)),
        np.log10(max(max(point.spikes) for point in points)),
    )
    margin = max(0.09 * (high - low), 0.125)
    return float(10 ** (low - margin)), float(10 ** (high + margin))


def _limits(points: Sequence[Point]) -> tuple[float, float]:
    """Of accuracies in %, seeds and bars inside."""
    ends = [point.mean[1] + sign * 100 * _std(point.accuracy) for point in points for sign in (-1, 1)]
    ends += [100 * each for point in points for each in point.accuracy]
    margin = max(0.12 * (max(ends) - min(ends)), 0.5)
    return min(ends) - margin, max(ends) + margin


@style()
def accuracy_spikes(points: Sequence[Point]) -> str:
    """Accuracy (%) against spikes per sample (log): means with standard deviations, seeds as small dots, the front."""
    figure, (axes,) = sheet(WIDE, 4.9)
    axes.set_xscale("log")
    axes.set(xlim=_log_limits(points), ylim=_limits(points))  # before anything is drawn: one point alone has no extent
    best = front(points)
    for point in points:
        colour, (spikes, accuracy) = palette.SERIES[0] if point in best else MUTED, point.mean
        axes.scatter(point.spikes, 100 * np.asarray(point.accuracy), s=11, color=colour, alpha=0.5, linewidths=0)
        wide, high = _std(point.spikes), 100 * _std(point.accuracy)
        axes.errorbar(spikes, accuracy, high, wide, fmt="o", markersize=9, color=colour, elinewidth=1, alpha=0.95)
    steps = [point.mean for point in best]
    axes.step(*zip(*steps), where="post", color=palette.SERIES[0], linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
    axes.set(xlabel="spikes per sample (log scale; fewer to the left)", ylabel="accuracy (%)")
    _plain_log(axes.xaxis)
    _name(axes, points, best)
    return svg(figure, "Accuracy against spikes per sample of every setting, with the Pareto front")


@style()
def untrained_and_trained(rates: Mapping[str, tuple[float, float]]) -> str:
    """NASAR before training (outlined) and after it (filled), of every setting, values written."""
    figure, (axes,) = sheet(NARROW, 1.0 + 0.42 * len(rates))
    top = max(max(pair) for pair in rates.values())
    for row, (before, after) in enumerate(rates.values()):
        axes.barh(row - 0.19, before, 0.3, color="none", edgecolor=palette.SERIES[0], linewidth=1.1)
        axes.barh(row + 0.19, after, 0.32, color=palette.SERIES[0])
        note(axes, f"{before:.4f}", (before, row - 0.19), MUTED, 8)
        note(axes, f"{after:.4f}", (after, row + 0.19), INK, 8)
    axes.set_yticks(range(len(rates)), [clipped(name, 24) for name in rates])
    axes.set(
        ylim=(len(rates) - 0.4, -0.6), xlim=(0, 1.22 * top or 1), xlabel="NASAR: outlined untrained, filled trained"
    )
    axes.grid(axis="y", visible=False)
    return svg(figure, "Network spiking activity rate before and after training")


@style()
def panels(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    words: Mapping[str, str],
    x: str,
    y: str,
    log: bool = False,
) -> str:
    """A small panel per setting: its curve (x, y) before those of all others in grey; the first setting's dashed.

    `words` stand behind the setting's name: its one number.
    """
    rows = -(-len(curves) // _COLUMNS)
    figure, grid = sheet(WIDE, 0.6 + 1.85 * rows, min(_COLUMNS, len(curves)), rows, share=True)
    control = next(iter(curves))
    for axes, (name, own) in zip(grid, curves.items()):
        for other in curves.values():
            axes.plot(*_visible(other, log), color=LINE, linewidth=1.1, zorder=1)
        axes.plot(*_visible(curves[control], log), color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)), zorder=2)
        axes.plot(*_visible(own, log), color=palette.SERIES[0], linewidth=2, zorder=3)
        axes.set_title(clipped(name, 26), fontsize=9.5, loc="left", color=INK, pad=4)
        if len(name) <= 14:
            axes.set_title(words[name], fontsize=8.5, loc="right", color=MUTED, pad=4)
    for axes in grid[len(curves) :]:
        axes.set_visible(False)
    for index, axes in enumerate(grid[: len(curves)]):
        if index + _COLUMNS >= len(curves):
            axes.tick_params(labelbottom=True)
    if max(max(each) for each, _ in curves.values()) <= _FEW_STEPS:
        whole_numbers(grid[0])
    if log:
        grid[0].set_yscale("log")
        _plain_log(grid[0].yaxis)
    figure.supxlabel(x, fontsize=9.5, color=MUTED)
    figure.supylabel(y, fontsize=9.5, color=MUTED)
    return svg(figure, f"{y} against {x}, a panel for every setting")


@style()
def seed_bars(values: Mapping[str, Sequence[float]], label: str) -> str:
    """The mean of every setting as a bar with its value, its seeds as dots."""
    figure, (axes,) = sheet(NARROW, 1.0 + 0.42 * len(values))
    for row, each in enumerate(values.values()):
        mean = float(np.mean(each))
        axes.barh(row, mean, 0.6, color=palette.SERIES[0], alpha=0.35)
        axes.scatter(each, [row] * len(each), s=14, color=palette.SERIES[0], zorder=3)
        note(axes, f"{mean:,.0f}", (max(mean, *each), row), INK, 8.5)
    axes.set_yticks(range(len(values)), [clipped(name, 24) for name in values])
    axes.set(ylim=(len(values) - 0.4, -0.6), xlabel=label)
    axes.margins(x=0.14)
    axes.grid(axis="y", visible=False)
    return svg(figure, f"{label} of every setting")


def _std(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _visible(curve: tuple[Sequence[float], Sequence[float]], log: bool) -> tuple[Any, Any]:
    """A logarithm has no zero: such steps are gaps."""
    x, y = (np.asarray(each, float) for each in curve)
    return x, np.where(y > 0, y, np.nan) if log else y


def _plain_log(axis: Axis) -> None:
    """1,000 and not 10³; ticks between the decades too where there are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _name(axes: Axes, points: Sequence[Point], best: Sequence[Point]) -> None:
    """A name beside every point, the front's first, where it covers no other name and no point."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # settles the layout, so that places are known
    scale = 72 / axes.figure.dpi
    places = {point.name: axes.transData.transform(point.mean) * scale for point in points}
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places.values()]
    edges = tuple(np.asarray(axes.get_window_extent().extents) * scale)
    for point in sorted(points, key=lambda each: each not in best):
        text, (x, y) = clipped(point.name, 40), places[point.name]
        chosen = min(_OFFSETS, key=lambda offset: _covered(_box(x, y, offset, text), taken, edges))
        taken.append(_box(x, y, chosen, text))
        colour, weight = (INK, "bold") if point in best else (MUTED, "normal")
        written = axes.annotate(
            text, point.mean, chosen[:2], textcoords="offset points", ha=chosen[2], va="center", size=9, color=colour
        )
        box = {"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8}
        written.set(fontweight=weight, in_layout=False, bbox=box)


def _box(x: float, y: float, offset: tuple[float, float, str], text: str) -> tuple[float, float, float, float]:
    """Where a text of 9 points would be, about."""
    width = 5.2 * len(text)
    left = x + offset[0] - {"left": 0.0, "right": width, "center": width / 2}[offset[2]]
    return left, y + offset[1] - 5.5, left + width, y + offset[1] + 5.5


def _covered(box: tuple[float, ...], taken: Sequence[tuple[float, ...]], edges: Sequence[float]) -> float:
    """Area shared with what stands there already, and ten times that beyond the edges."""

    def shared(other: Sequence[float]) -> float:
        wide = min(box[2], other[2]) - max(box[0], other[0])
        high = min(box[3], other[3]) - max(box[1], other[1])
        return max(0.0, wide) * max(0.0, high)

    outside = (box[2] - box[0]) * (box[3] - box[1]) - shared(edges)
    return sum(shared(other) for other in taken) + 10 * outside
