"""A bench table as people read it: on the terminal, and as Markdown with the machine it holds for.

Takes the table's JSON (`rows`, `notes`, `machine`, `versions`, `date`); knows nothing of how anything is measured.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 200  # columns where stderr is a file or a pipe
OF_OURS = (("floor", "floor"), ("over_floor", "× floor"), ("memory_mb", "peak MB"), ("first_call_s", "first call s"))


def show_bench(table: dict[str, Any]) -> None:
    """Prints a table on stderr."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=True, highlight=False, width=PIPED_WIDTH)
    console.print(_rendered(table))


def bench_markdown(table: dict[str, Any]) -> str:
    """The table, what each figure needs to be understood, and where it was measured."""
    header, *rows = bench_cells(table)
    lines = [f"### {table['name']}: {table['title']}", ""]
    lines += [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    lines += ["", *(f"- {note}" for note in remarks(table)), "", where(table)]
    return "\n".join(lines) + "\n"


def bench_cells(table: dict[str, Any]) -> list[list[str]]:
    """Header and one list of texts per row. A peer's cell is its figure and, in brackets, how many times better ours is."""
    names = list(dict.fromkeys(name for row in table["rows"] for name in row["peers"]))
    shown = [(key, title) for key, title in OF_OURS if any(row[key] is not None for row in table["rows"])]
    cells = [["case", "ours", *(title for _, title in shown), *names]]
    for row in table["rows"]:
        own = [row["case"], _ours(row), *(number(row[key]) for key, _ in shown)]
        cells.append(own + [_peer(row["peers"].get(name)) for name in names])
    return cells


def remarks(table: dict[str, Any]) -> list[str]:
    """The table's notes, then those of rows and peers, each once."""
    said = [f"{row['case']}: {row['note']}" for row in table["rows"] if row["note"]]
    said += [
        f"{name}: {peer['note']}" + (f" ({_extra(peer)})" if _extra(peer) and not peer["ratio"] else "")
        for row in table["rows"]
        for name, peer in row["peers"].items()
        if peer["note"]
    ]
    return list(dict.fromkeys([*table["notes"], *said]))


def where(table: dict[str, Any]) -> str:
    """One line: date, machine, versions."""
    machine, versions = table["machine"], table["versions"]
    device = machine["device"] if machine["device"] != "CPU" else machine.get("processor", "CPU")
    words = [table["date"], device, f"{machine['threads']} of {machine.get('cores', '?')} cores"]
    words += [f"{name} {each}" for name, each in {"Python": machine["python"], **versions}.items()]
    return ", ".join(words) + (". Quick: few repeats, the first size alone." if table.get("quick") else ".")


def number(value: float | None) -> str:
    """Three figures that count."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ours(row: dict[str, Any]) -> str:
    spread = f" ± {number(row['iqr'] / 2)}" if row["iqr"] is not None else ""
    return f"{number(row['ours'])}{spread} {row['unit']}"


def _peer(peer: dict[str, Any] | None) -> str:
    if peer is None:
        return ""
    return f"{number(peer['value'])} ({number(peer['ratio']) + '×' if peer['ratio'] else 'no ratio'})"


def _extra(peer: dict[str, Any]) -> str:
    return "" if peer["value"] is None else f"took {number(peer['value'])}"


def _rendered(table: dict[str, Any]) -> RenderableType:
    header, *rows = bench_cells(table)
    drawn = Table(*header, title=f"{table['name']}: {table['title']}", title_justify="left")
    for cells in rows:
        drawn.add_row(*map(escape, cells))
    return Group(drawn, *(Text(f"· {note}") for note in remarks(table)), Text(where(table)))
