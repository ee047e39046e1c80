"""What people see when a verb is done: tables on stdout. One function per verb, each taking the verb's JSON result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table

from dvspipe.show.comparison import comparison_cells

PIPED_WIDTH = 140  # columns where stdout is a file or a pipe
PRINTED_STEPS = 8  # of an encoder's shares per step


def show_result(verb: str, result: dict[str, Any]) -> None:
    """Prints a job's result for people."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPED_WIDTH)
    console.print(_VIEWS.get(verb, facts)(result))


def facts(result: dict[str, Any]) -> Table:
    """Two columns: name and value. Lists and tables inside are left to the JSON."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in result.items():
        if not isinstance(value, list | dict) or name in ("damage", "sensor_size", "statistics"):
            table.add_row(name, text(value))
    return table


def text(value: Any) -> str:
    """A value as people write it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {text(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return " x ".join(str(each) for each in value)
    return str(value)


def share(value: float | None) -> str:
    """A share in percent."""
    return "-" if value is None else f"{value:.1%}"


def _cards(result: dict[str, Any]) -> RenderableType:
    cards = result["cards"]
    if len(cards) == 1:
        card = cards[0]
        return Group(
            facts(card), _list("classes", card["classes"]), _list("source", card["source"]), _counts(card["counts"])
        )
    table = Table("dataset", "what", "classes", "licence", "here")
    for card in cards:
        table.add_row(
            card["name"], card["title"], str(len(card["classes"])), card["licence"], "yes" if card["prepared"] else "no"
        )
    return table


def _list(title: str, values: list[str]) -> RenderableType:
    return f"[bold]{title}[/bold]  " + ", ".join(values)


def _counts(counts: dict[str, dict[str, int]]) -> RenderableType:
    if not counts:
        return ""
    splits = list(counts)
    table = Table("class", *splits)
    names = sorted({name for split in splits for name in counts[split]})
    for name in names:
        table.add_row(name, *(str(counts[split].get(name, 0)) for split in splits))
    return table


def _prepared(result: dict[str, Any]) -> RenderableType:
    notes = [f"  {line}" for line in result.get("notes", [])]
    checks = [f"  {name}: {text(value)}" for name, value in result.get("checks", {}).items() if value not in ({}, [])]
    return Group(facts(result), _counts(result.get("counts", {})), *checks, *notes)


def _describe(result: dict[str, Any]) -> RenderableType:
    layers = result["layers"]
    columns = list(layers[0]) if layers else []
    table = Table(*columns)
    for layer in layers:
        table.add_row(*(text(layer[name]) for name in columns))
    return Group(facts(result), table)


def _evaluate(result: dict[str, Any]) -> RenderableType:
    table = Table("class", "recall")
    for name, recall in result["per_class"].items():
        table.add_row(name, share(recall))
    beside = [Group("[bold]beside[/bold]", facts(result["beside"]))] if "beside" in result else []
    return Group(facts(result), *beside, table)


def runs_table(runs: list[dict[str, Any]]) -> Table:
    """Runs side by side."""
    table = Table("run", "accuracy", "95 %", "NASAR", "spikes/sample", "energy µJ", "params")
    for run in runs:
        low, high = run["interval"]
        table.add_row(
            run["name"],
            share(run["accuracy"]),
            f"{low:.1%} - {high:.1%}",
            f"{run['nasar']:.4f}",
            f"{run['spikes_per_sample']:,.0f}",
            f"{run['energy_uj']:.1f}",
            f"{run['params']:,}",
        )
    return table


def _runs(result: dict[str, Any]) -> RenderableType:
    columns = ("state", "dataset", "network", "attention", "seed")
    table = Table("run", *columns, "epochs", "val", "test", "NASAR", "µJ", "started")
    for row in result["runs"]:
        epochs = "-" if row["epochs"] is None else f"{row['epochs']}/{row['of']}"
        figures = [share(row["val_accuracy"]), share(row["accuracy"]), text(row["nasar"]), text(row["energy_uj"])]
        words = [text(row[name]) for name in ("name", *columns)]
        table.add_row(*words, epochs, *figures, text(row["started"]))
    broken = [f"damaged: {row['path']}: {row['reason']}" for row in result["runs"] if row["reason"]]
    return Group(table, *broken)


def _demo(result: dict[str, Any]) -> RenderableType:
    live = Table("live source", "network", "bins", "decisions", "agreement", "p50 ms", "p99 ms", "dropped bins")
    for row in result["live"]:
        live.add_row(
            row["source"],
            row["run"],
            str(row["bins"]),
            str(row["decisions"]),
            share(row["agreement"]),
            text(row["p50_ms"]),
            text(row["p99_ms"]),
            str(row["dropped_bins"]),
        )
    end = f"{result['seconds']:.0f} s. Simulated data: these figures say nothing about the real DVS128 Gesture set."
    return Group(runs_table(result["runs"]), live, f"Report to look at: {result['report']}", end)


def _compare(result: dict[str, Any]) -> RenderableType:
    header, *rows = comparison_cells(result)
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    return Group(table, f"Cells, compare.json, table.md: {result['out']}\nReport to look at: {result['report']}")


def _show_encoding(result: dict[str, Any]) -> RenderableType:
    table = Table("encoder", "spikes per pixel", "share per step", "analog steps", "mean error")
    for row in result["encoders"]:
        shares = "  ".join(f"{each:.3f}" for each in row["density_per_step"][:PRINTED_STEPS])
        more = "  ..." if len(row["density_per_step"]) > PRINTED_STEPS else ""
        error = f"{row['reconstruction_error']:.4f}"
        table.add_row(row["name"], f"{row['spikes_per_pixel']:.3f}", shares + more, str(sum(row["analog"])), error)
    left = [f"left out: {each['reason']}" for each in result["left_out"]]
    return Group(table, *left, f"Picture to look at: {result['picture']}")


def _bench(result: dict[str, Any]) -> RenderableType:
    """Measured tables were shown on stderr when each was done."""
    if "tables" in result:
        table = Table("table", "what it compares")
        for each in result["tables"]:
            table.add_row(each["name"], each["what"])
        return Group(table, "Measure one: dvspipe bench NAME [--quick]; each: dvspipe bench all")
    failed = [f"not measured: {name}: {why}" for name, why in result["failed"].items()]
    return Group(*failed, f"{len(result['rows'])} rows as Markdown, plot and JSON: {result['out']}")


_VIEWS: dict[str, Callable[[dict[str, Any]], RenderableType]] = {
    "bench": _bench,
    "datasets": _cards,
    "prepare": _prepared,
    "simulate": _prepared,
    "describe": _describe,
    "evaluate": _evaluate,
    "compare": _compare,
    "demo": _demo,
    "runs": _runs,
    "show-encoding": _show_encoding,
}
