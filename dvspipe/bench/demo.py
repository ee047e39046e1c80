"""Table `demo`: how long `dvspipe demo` takes, in a process of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dvspipe.bench.children import run_module
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Row, Table

NOTES = (
    "Simulates gestures unless they are there already ($DVSPIPE_DATA), trains two networks, evaluates both, runs live, "
    "writes the report. Wall time from the start of the process to its end.",
)


def run(settings: BenchSettings) -> Table:
    """Once: it is long enough."""
    settings.progress("dvspipe demo", 0, 1)
    with tempfile.TemporaryDirectory(prefix="dvspipe-bench-") as folder:
        done = run_module("dvspipe", ["demo", "--out", str(Path(folder) / "demo"), "--json"], settings.threads)
    runs = ", ".join(f"{each['name']} {100 * each['accuracy']:.1f} %" for each in done.result["runs"])
    row = Row("dvspipe demo", done.seconds, "s", note=f"accuracy: {runs}")
    return Table("demo", "Wall time of dvspipe demo.", [row], NOTES)
