"""`dvspipe bench`: measured comparisons with other libraries, saved with the machine and versions they hold for."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dvspipe.bench.choice import ALL, TABLES, chosen, run_table
from dvspipe.bench.settings import BenchSettings
from dvspipe.errors import DvspipeError, RunError, UsageError
from dvspipe.files import make_folder, replacing
from dvspipe.jobs.real_recordings import recordings_folder
from dvspipe.jobs.runs import command, git_state, machine, write_json
from dvspipe.show.bench import bench_markdown, show_bench
from dvspipe.show.bench_plot import ratios
from dvspipe.show.progress import progress, say

LIBRARIES = ("torch", "numpy", "numba", "norse", "spikingjelly", "snntorch", "tonic", "triton")


def bench(
    name: str | None = None, quick: bool = False, threads: int | None = None, out: Path | None = None
) -> dict[str, Any]:
    """Measures the table `name`, or each with "all", and saves every one as JSON, Markdown and plot when it is done.

    Returns `rows: [{table, case, ours, unit, floor, peers: {name: {value, ratio}}}]` (ratio > 1: we are faster or smaller),
    `notes`, `machine`, `versions`, `date`, `out`, and with "all" the tables that `failed` with their reason. Without a
    name: `tables`, what there is. Raises UsageError for an unknown table.
    """
    if name is None:
        return {"tables": [{"name": each, "what": TABLES[each].sentence, "long": TABLES[each].long} for each in TABLES]}
    names = chosen(name, quick)
    if threads is not None and not 1 <= threads <= (os.cpu_count() or 1):
        raise UsageError(f"--threads {threads}: allowed is 1 to {os.cpu_count()}, the cores of this machine.")
    folder = make_folder(out or Path("bench") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}", RunError)
    facts = {**_facts(threads), "quick": quick, "out": str(folder)}
    tables, failed = [], {}
    for each in names:
        try:
            tables.append(_measured(each, quick, threads, facts, folder))
        except (DvspipeError, ImportError) as error:
            if name != ALL:
                raise
            failed[each] = str(error)
            say(f"{each}: {error}")
    rows = [{"table": table["name"], **row} for table in tables for row in table["rows"]]
    notes = [note for table in tables for note in table["notes"]]
    return {"name": name, "rows": rows, "notes": list(dict.fromkeys(notes)), "failed": failed, **facts}


def _measured(name: str, quick: bool, threads: int | None, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One table, shown and saved."""
    with progress(f"bench {name}") as report:
        settings = BenchSettings(quick, threads, recordings=_recordings(), progress=_told(report))
        table = run_table(name, settings).as_json()
    table |= {key: value for key, value in facts.items() if key != "out"}
    show_bench(table)
    write_json(folder / f"{name}.json", table)
    texts = {"md": bench_markdown(table), "svg": ratios(table)}
    for suffix, text in texts.items():
        if text is not None:
            with replacing(folder / f"{name}.{suffix}", RunError) as beside:
                beside.write_text(text, encoding="utf-8")
    return table


def _recordings() -> Path | None:
    folder = recordings_folder()
    return folder if folder.is_dir() else None


def _told(report: Callable[[float, float | None, str], None]) -> Callable[[str, int, int], None]:
    return lambda case, done, total: report(done, total, case)


def _facts(threads: int | None) -> dict[str, Any]:
    """What the figures hold for."""
    here = machine() | {"processor": _processor(), "cores": str(os.cpu_count()), "commit": git_state()}
    if threads is not None:
        here["threads"] = str(threads)
    date = time.strftime("%Y-%m-%d %H:%M")
    return {"machine": here, "versions": _versions(), "date": date, "command": command()}


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _processor() -> str:
    """The model's name where Linux says it, else what Python knows."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text(encoding="utf-8").splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
