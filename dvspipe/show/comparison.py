"""A comparison's rows as text, for the terminal and for Markdown alike."""

from __future__ import annotations

from typing import Any

SMALL_UJ = 10  # below, energies of networks for small images would be all alike with one digit
HEADER = [
    "setting",
    "seeds",
    "accuracy %",
    "difference, points (95 %)",
    "NASAR untrained",
    "NASAR",
    "spikes saved %",
    "energy µJ",
    "energy ratio",
    "params",
    "train s",
]


def comparison_cells(result: dict[str, Any]) -> list[list[str]]:
    """Header and one row of texts per setting; figures as mean ± standard deviation over seeds."""
    return [HEADER, *([*_row(row)] for row in result["rows"])]


def comparison_markdown(result: dict[str, Any]) -> str:
    """The same as a Markdown table."""
    header, *rows = comparison_cells(result)
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _row(row: dict[str, Any]) -> list[str]:
    return [
        row["setting"],
        str(row["seeds"]),
        _spread(row["accuracy"], 100, 1),
        _difference(row["difference"]),
        _spread(row["nasar_untrained"], 1, 4) if "nasar_untrained" in row else "-",
        _spread(row["nasar"], 1, 4),
        _spread(row["spikes_saved"], 100, 1),
        _spread(row["energy_uj"], 1, 1 if row["energy_uj"]["mean"] >= SMALL_UJ else 3),
        _spread(row["energy_ratio"], 1, 2),
        f"{row['params']['mean']:,.0f}",
        f"{row['seconds']['mean']:.0f}",
    ]


def _spread(figure: dict[str, float | None], scale: float, digits: int) -> str:
    mean = f"{(figure['mean'] or 0.0) * scale:,.{digits}f}"
    return mean if figure["std"] is None else f"{mean} ± {figure['std'] * scale:,.{digits}f}"


def _difference(figure: dict[str, float | None]) -> str:
    mean = f"{(figure['mean'] or 0.0) * 100:+.1f}"
    if figure["low"] is None or figure["high"] is None:
        return mean
    return f"{mean} ({figure['low'] * 100:+.1f} to {figure['high'] * 100:+.1f})"
