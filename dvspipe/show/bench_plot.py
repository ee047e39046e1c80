"""A bench table as a figure: how many times faster or smaller, row by row, one mark per peer on a logarithmic axis."""

from __future__ import annotations

from typing import Any

from dvspipe.show import palette
from dvspipe.show.figures import MUTED, WIDE, clipped, sheet, style, svg

MARKS = "osD^vPX*"
CASE = 48  # letters of a case on the axis


@style()
def ratios(table: dict[str, Any]) -> str | None:
    """One `<svg>`, or None where no row has a ratio. Right of the line at 1 ours is better; hollow is the machine's floor."""
    from matplotlib.ticker import LogLocator, NullFormatter

    rows = table["rows"]
    names = list(dict.fromkeys(name for row in rows for name, peer in row["peers"].items() if peer["ratio"]))
    if not names:
        return None
    figure, (axes,) = sheet(WIDE, 1.1 + 0.34 * len(rows))
    for index, name in enumerate(names):
        found = [(row["peers"][name]["ratio"], place) for place, row in enumerate(rows) if _ratio(row, name)]
        mark = MARKS[index % len(MARKS)]
        axes.plot(*zip(*found), mark, color=palette.series(index), markersize=6, linestyle="none", label=name)
    floors = [(1 / row["over_floor"], place) for place, row in enumerate(rows) if row["over_floor"]]
    if floors:
        axes.plot(*zip(*floors), "o", color=MUTED, markerfacecolor="none", linestyle="none", label="floor")
    axes.axvline(1, color=MUTED, linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(rows)), [clipped(row["case"], CASE) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("how many times better ours is")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return svg(figure, f"{table['title']} Ratios of peers to ours")


def _ratio(row: dict[str, Any], name: str) -> bool:
    return name in row["peers"] and bool(row["peers"][name]["ratio"])
