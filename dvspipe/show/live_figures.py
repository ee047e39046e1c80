"""Figures of a whole live session, of a minute or of an hour: decisions under labels, and every panel over the same time.

Takes plain numbers, returns `<svg>` elements of bounded size; knows nothing about pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvspipe.show import palette
from dvspipe.show.figures import INK, MUTED, WIDE, clipped, sheet, style, svg
from dvspipe.show.maps import shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 1000  # columns of a figure
_ROW_S, _ROWS = 150.0, 8  # seconds in a row of the timeline, until there are that many rows
_LONG_US = 6e8  # from here on time is told in minutes
_TIME = {1e6: "sensor time (s)", 6e7: "sensor time (min)"}
_NAMED = 24  # classes whose names fit beside a heat map
_LANES = {
    "labelled": (0.0, 0.8),
    "decided": (0.95, 1.75),
    "differs": (1.82, 1.98),
    "confidence": (2.1, 2.7),
}  # top, bottom


class Over(NamedTuple):
    """One session over sensor time: from `start_us` to `stop_us`; everything in steps that share this time evenly."""

    start_us: float
    stop_us: float
    classes: Sequence[str]
    evidence: NDArray[Any] | None = None
    event_rate: NDArray[Any] | None = None
    latency: tuple[NDArray[Any], NDArray[Any]] | None = None  # at which time (µs), how long (ms)
    percentiles: Mapping[str, float] = {}
    rates: Mapping[str, NDArray[Any]] = {}


@style()
def timeline(
    decisions: Sequence[Mapping[str, Any]],
    truth: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    lasting_us: float,
) -> str:
    """Decided classes below the labelled ones, where they differ, and the confidence, in rows of the same length.

    A decision at `t_us` stands for the `lasting_us` before it.
    """
    from matplotlib.patches import Patch

    start = decisions[0]["t_us"] - lasting_us
    span = max(decisions[-1]["t_us"], max((each["stop_us"] for each in truth), default=0)) - start
    rows = int(min(_ROWS, max(1, np.ceil(span / 1e6 / _ROW_S))))
    unit = _unit_us(span)
    seen = [each["label"] for each in (*truth, *decisions) if each["label"] is not None]
    names = list(dict.fromkeys([*classes, *seen]))
    place = {name: index for index, name in enumerate(names)}
    figure, axes = sheet(WIDE, 0.5 + (1.35 if rows == 1 else 0.92) * rows, rows=rows)
    for row, each in enumerate(axes):
        pixels = start + (row + (np.arange(MOST) + 0.5) / MOST) * span / rows
        shown, sure = _decided_at(pixels, decisions, place, lasting_us)
        labelled = _labelled_at(pixels, truth, place) if truth else None
        extent = (row * span / rows / unit, (row + 1) * span / rows / unit)
        _timeline_row(each, names, labelled, shown, sure, extent)
    axes[-1].set_xlabel(_TIME[unit])
    tint = palette.class_colours(names)
    handles = [Patch(color=tint[name], label=clipped(name, 24)) for name in names if name in set(seen)]
    if 0 < len(handles) <= 2 * _NAMED:
        columns = 6 if max(map(len, set(seen))) <= 18 else 5
        figure.legend(
            handles=handles,
            loc="outside lower left",
            ncols=columns,
            handlelength=0.9,
            handleheight=0.9,
            columnspacing=1.4,
        )
    return svg(figure, "Timeline of decisions" + (" below the labelled classes" if truth else ""))


@style()
def over_time(over: Over) -> str:
    """Evidence by class, event rate, latency and spike rates by layer, one below the other over the same sensor time."""
    heights = {
        "evidence": 0.5 + min(5.0, 0.19 * len(over.classes)) if over.evidence is not None else 0,
        "event_rate": 1.25 if over.event_rate is not None else 0,
        "latency": 1.5 if over.latency is not None else 0,
        "rates": 1.7 if over.rates else 0,
    }
    there = {name: height for name, height in heights.items() if height}
    figure, axes = _stacked(list(there.values()))
    draw = {"evidence": _evidence, "event_rate": _event_rate, "latency": _latency, "rates": _rates}
    for name, each in zip(there, axes):
        draw[name](each, over)
        each.set_xlim(0, _time(over)[1])
    axes[-1].set_xlabel(_TIME[_time(over)[0]])
    return svg(figure, f"{', '.join(there).replace('_', ' ')} over sensor time")


def thinned(values: ArrayLike, most: int = MOST, worst: bool = False) -> NDArray[np.float64]:
    """[n,...] in at most `most` steps of equal length: means (or, `worst`, largest values); NaN only where all are."""
    values = np.asarray(values, float)
    per = -(-len(values) // most)
    if per <= 1:
        return values
    starts = np.arange(0, len(values), per)
    if worst:
        return np.asarray(np.fmax.reduceat(values, starts))
    there = ~np.isnan(values)
    count = np.add.reduceat(there.astype(float), starts)
    total = np.add.reduceat(np.where(there, values, 0.0), starts)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _timeline_row(
    axes: Axes, names: Sequence[str], labelled: NDArray[np.int_] | None, shown: NDArray[np.int_], sure: NDArray[Any],
    extent: tuple[float, float],
) -> None:  # fmt: skip
    """One stretch of time, its lanes one below the other."""
    lanes = {"labelled": labelled, "decided": shown} if labelled is not None else {"decided": shown}
    for name, labels in lanes.items():
        assert labels is not None
        _lane(axes, name, labels, names, extent)
    if labelled is not None:
        wrong = (labelled >= 0) & (shown >= 0) & (labelled != shown)
        _lane(axes, "differs", np.where(wrong, 0, -1), ["differs"], extent, palette.WRONG)
    top, bottom = _LANES["confidence"]
    x = extent[0] + (np.arange(MOST) + 0.5) / MOST * (extent[1] - extent[0])
    axes.fill_between(x, bottom, bottom - (bottom - top) * sure, color=MUTED, alpha=0.4, linewidth=0)
    _name_lanes(axes, [*lanes, *(["differs"] if labelled is not None else []), "confidence"])
    highest = 0 if labelled is not None else _LANES["decided"][0] - 0.1
    axes.set(xlim=extent, ylim=(bottom, highest), yticks=[])
    axes.spines["left"].set_visible(False)


def _decided_at(
    pixels: NDArray[Any], decisions: Sequence[Mapping[str, Any]], place: Mapping[str, int], lasting_us: float
) -> tuple[NDArray[np.int_], NDArray[Any]]:
    """The class (-1: none) and the confidence at every time; nothing where no bin was decided."""
    at = np.array([row["t_us"] for row in decisions], float)
    index = np.minimum(np.searchsorted(at, pixels), len(at) - 1)
    known = (at[index] >= pixels) & (at[index] - pixels <= 1.01 * lasting_us)
    labels = np.array([place.get(row["label"], -1) for row in decisions])
    sure = np.array([row["confidence"] for row in decisions], float)
    return np.where(known, labels[index], -1), np.where(known, sure[index], 0.0)


def _labelled_at(
    pixels: NDArray[Any], truth: Sequence[Mapping[str, Any]], place: Mapping[str, int]
) -> NDArray[np.int_]:
    labels = np.full(len(pixels), -1)
    for window in truth:
        first, last = np.searchsorted(pixels, [window["start_us"], window["stop_us"]])
        labels[first : max(last, first + 1)] = place[window["label"]]
    return labels


def _lane(
    axes: Axes, name: str, labels: NDArray[np.int_], names: Sequence[str], extent: tuple[float, float], colour: str = ""
) -> None:
    """One row of pixels as high as its lane; clear where there is no label, with a thin line through."""
    tint = [colour] if colour else [palette.class_colours(names)[each] for each in names]
    table = np.array([[*palette.rgb(each), 255] for each in tint] + [[0, 0, 0, 0]], np.uint8)
    top, bottom = _LANES[name]
    if not colour:
        axes.axhline((top + bottom) / 2, color=palette.IDLE, linewidth=0.7, alpha=0.6, zorder=0)
    shape: dict[str, Any] = {
        "extent": (*extent, bottom, top),
        "aspect": "auto",
        "interpolation": "none",
        "origin": "upper",
        "zorder": 2,
    }
    axes.imshow(table[labels][None], **shape)


def _name_lanes(axes: Axes, names: Sequence[str]) -> None:
    for name in names:
        top, bottom = _LANES[name]
        place: dict[str, Any] = {"ha": "right", "va": "center", "transform": axes.get_yaxis_transform()}
        strong = name in ("labelled", "decided")
        axes.text(-0.008, (top + bottom) / 2, name, color=INK if strong else MUTED, size=9.5 if strong else 8, **place)


def _stacked(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Axes one below the other, of these heights in inches, over one x axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDE, sum(heights) + 0.5), layout="constrained")
    found = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)
    return figure, list(found.flat)


def _time(over: Over) -> tuple[float, float]:
    """µs per unit of the x axis (seconds, or minutes in long sessions), and its end."""
    span = over.stop_us - over.start_us
    return _unit_us(span), span / _unit_us(span)


def _unit_us(span_us: float) -> float:
    return 1e6 if span_us < _LONG_US else 6e7


def _steps(over: Over, count: int) -> NDArray[np.float64]:
    """The middles of so many steps, in units of the x axis."""
    return np.asarray((np.arange(count) + 0.5) * _time(over)[1] / count)


def _evidence(axes: Axes, over: Over) -> None:
    assert over.evidence is not None
    values = thinned(over.evidence)
    colours = shades(np.nan_to_num(values.T), palette.HEAT)
    extent = (0, _time(over)[1], len(over.classes), 0)
    axes.imshow(colours, extent=extent, aspect="auto", interpolation="none")
    few = len(over.classes) <= _NAMED
    axes.set_yticks(
        np.arange(len(over.classes)) + 0.5 if few else [], [clipped(name, 22) for name in over.classes] if few else []
    )
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_title(f"evidence by class, 0 to 1{'' if few else f', {len(over.classes)} classes'}", **_TITLE)


def _event_rate(axes: Axes, over: Over) -> None:
    assert over.event_rate is not None
    values = thinned(over.event_rate)
    most = float(np.fmax.reduce(values, initial=0.0))
    unit, name = (1e6, "Mev/s") if most >= 1e7 else (1e3, "kev/s")
    axes.fill_between(
        _steps(over, len(values)), values / unit, step="mid", color=palette.SERIES[1], alpha=0.75, linewidth=0
    )
    axes.set_ylim(bottom=0)
    axes.set_title(f"events per second ({name})", **_TITLE)


def _latency(axes: Axes, over: Over) -> None:
    """The slowest bin of every step, and the percentiles of all bins; logarithmic where single bins are far slower."""
    assert over.latency is not None
    at, slow = over.latency
    slowest = thinned(slow, worst=True)
    axes.plot(thinned((at - over.start_us) / _time(over)[0]), slowest, color=palette.SERIES[0], linewidth=0.9)
    marks = [(name, value) for name, value in over.percentiles.items() if name in ("p50", "p99", "p99.9")]
    most = float(np.fmax.reduce(slowest, initial=0.0))
    if marks and most > 20 * marks[0][1] > 0:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    for _, value in marks:
        axes.axhline(value, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
    dashed = "; dashed: " + ", ".join(f"{name} {value:.2f}" for name, value in marks) if marks else ""
    axes.set_title(f"latency (ms), slowest bin of every step{dashed}", **_TITLE)


def _rates(axes: Axes, over: Over) -> None:
    for place, (name, found) in enumerate(over.rates.items()):
        values = thinned(found)
        there = ~np.isnan(values)
        steps = _steps(over, len(values))[there]
        axes.plot(steps, values[there], color=palette.layer(place), linewidth=1, label=clipped(name, 14))
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=8, handlelength=1, borderpad=0.2, columnspacing=1.2)
    axes.set_title("spikes per neuron, by layer", **_TITLE)


_TITLE: dict[str, Any] = {"loc": "left", "fontsize": 9.5, "color": INK, "pad": 5}
