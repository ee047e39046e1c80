"""Table `accuracy`: one recipe trained with the fast kernels and with Norse's own steps; speed that changed the answers would
be none.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from dvspipe.bench.children import run_module
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Peer, Row, Table, ratio

RECIPE, SEEDS = "demo-none", 3
NOTES = (
    "The same recipe and seeds; mean ± standard deviation of the test accuracy, and the paired difference with its 95 % "
    "interval. A threshold amplifies rounding, so runs of one seed part ways; within noise they must agree.",
)


def run(settings: BenchSettings) -> Table:
    """By `dvspipe compare --vary snn.kernels=auto,reference`."""
    recipe, seeds = settings.extra.get("recipe", RECIPE), settings.extra.get("seeds", SEEDS)
    settings.progress(f"dvspipe compare {recipe}", 0, 1)
    with tempfile.TemporaryDirectory(prefix="dvspipe-bench-") as folder:
        arguments = ["compare", recipe, "--vary", "snn.kernels=auto,reference", "--seeds", str(seeds)]
        arguments += [part for each in settings.extra.get("set", ()) for part in ("--set", each)]
        done = run_module("dvspipe", [*arguments, "--out", str(Path(folder) / "cells"), "--json"], settings.threads)
    fast, reference = done.result["rows"]
    rows = [_accuracy(recipe, fast, reference), _seconds(recipe, fast, reference)]
    return Table("accuracy", "Fast kernels and reference kernels train alike.", rows, NOTES)


def _accuracy(recipe: str, fast: dict, reference: dict) -> Row:
    ours, theirs = (100 * row["accuracy"]["mean"] for row in (fast, reference))
    gap = {end: 100 * (reference["difference"][end] or 0.0) for end in ("mean", "low", "high")}
    words = f"reference - fast: {gap['mean']:+.1f} points (95 % {gap['low']:+.1f} to {gap['high']:+.1f})"
    peer = Peer(theirs, ratio(theirs, ours, "accuracy %"), _spread(reference))
    return Row(
        f"{recipe}, test accuracy", ours, "accuracy %", None, {"reference": peer}, note=f"{_spread(fast)}; {words}"
    )


def _seconds(recipe: str, fast: dict, reference: dict) -> Row:
    ours, theirs = (row["seconds"]["mean"] for row in (fast, reference))
    return Row(f"{recipe}, training", ours, "s", None, {"reference": Peer(theirs, ratio(theirs, ours, "s"))})


def _spread(row: dict) -> str:
    return f"± {100 * (row['accuracy']['std'] or 0.0):.1f} over {row['seeds']} seeds"
