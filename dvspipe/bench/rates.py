"""Rows of so-and-so many a second, for work on events: time in turn, ratios, equal work. Knows no table."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dvspipe.bench.gate import Verdict
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Peer, Row, ratio
from dvspipe.bench.timing import Timing, interleaved

MB = 2**20
Call = Callable[[], object]


def rate_row(
    case: str,
    unit: str,
    amount: float,
    cases: Mapping[str, Call],
    verdicts: Mapping[str, Verdict],
    settings: BenchSettings,
    note: str = "",
) -> Row:
    """`cases["ours"]` against the others, each doing `amount` of `unit`'s work a call; "floor" is no peer but what the
    machine allows. A peer whose verdict says unequal has a value and no ratio.
    """
    times = interleaved(cases, settings.repeats, settings.warmup, settings.progress, settings.budget_s)
    rates = {name: amount / timing.median_s for name, timing in times.items()}
    ours = rates["ours"]
    peers = {name: _peer(name, rates, times, cases, verdict, unit) for name, verdict in verdicts.items()}
    timing = times["ours"]
    return Row(
        case=case,
        ours=ours,
        unit=unit,
        floor=rates.get("floor"),
        peers=peers,
        memory_mb=numpy_peak_mb(cases["ours"]),
        first_call_s=timing.first_s,
        iqr=ours * timing.iqr_s / timing.median_s,
        note=note,
    )


def _peer(
    name: str,
    rates: Mapping[str, float],
    times: Mapping[str, Timing],
    cases: Mapping[str, Call],
    verdict: Verdict,
    unit: str,
) -> Peer:
    by = ratio(rates[name], rates["ours"], unit) if verdict.equal else None
    return Peer(rates[name], by, verdict.words, numpy_peak_mb(cases[name]), times[name].first_s)


def check_arrays(found: Sequence[Any], expected: Sequence[Any], what: str) -> Verdict:
    """Whether arrays hold the same numbers, of whatever type."""
    if len(found) == len(expected) and all(np.array_equal(one, two) for one, two in zip(found, expected)):
        return Verdict(True, "")
    return Verdict(False, f"not equal work: {what} differ")


def numpy_peak_mb(call: Call) -> float:
    """MiB that Python and numpy take at most during one call; what compiled code takes for itself is not in it."""
    tracemalloc.start()
    try:
        kept = call()
        del kept
        return tracemalloc.get_traced_memory()[1] / MB
    finally:
        tracemalloc.stop()
