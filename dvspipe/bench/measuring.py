"""From calls to rows: time in turn, peak memory, ratios; what did no equal work gets no ratio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from dvspipe.bench.gate import Verdict
from dvspipe.bench.peak import peak_mb
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Peer, Row, ratio
from dvspipe.bench.timing import Timing, interleaved, once, waiting

MS = 1e3
KEPT = "The process keeps freed memory (learn/memory.py), as in dvspipe train, for all alike."
EQUAL = Verdict(True, "")


@dataclass(frozen=True, slots=True)
class Measured:
    """Time of one case, and the peak of memory that one call adds."""

    timing: Timing
    memory_mb: float


def measure(
    cases: Mapping[str, Callable[[], object]], settings: BenchSettings, first: Mapping[str, float] | None = None
) -> dict[str, Measured]:
    """All cases in turn, then each once more for its memory. `first`: seconds of calls that were made before these."""
    times = interleaved(cases, settings.repeats, settings.warmup, settings.progress, settings.budget_s)
    times |= {name: replace(times[name], first_s=seconds) for name, seconds in (first or {}).items()}
    return {name: Measured(times[name], peak_mb(call)) for name, call in cases.items()}


def first_calls(cases: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each case's very first call, before a check of equal work compiles and loads what it needs."""
    return {name: once(call, waiting()) for name, call in cases.items()}


def row(
    case: str,
    ours: str,
    measured: Mapping[str, Measured],
    peers: Mapping[str, Verdict],
    floor_ms: float | None = None,
    note: str = "",
) -> Row:
    """A row in ms: `ours` is one of the names in `measured`, `peers` are others with what the check of equal work said."""
    own = measured[ours]
    columns = {name: _peer(measured[name], own, verdict) for name, verdict in peers.items()}
    return Row(
        case=case,
        ours=own.timing.median_s * MS,
        unit="ms",
        floor=floor_ms,
        peers=columns,
        memory_mb=own.memory_mb,
        first_call_s=own.timing.first_s,
        iqr=own.timing.iqr_s * MS,
        note=note,
    )


def _peer(measured: Measured, ours: Measured, verdict: Verdict) -> Peer:
    value = measured.timing.median_s * MS
    by = ratio(value, ours.timing.median_s * MS, "ms") if verdict.equal else None
    return Peer(value, by, verdict.words, measured.memory_mb, measured.timing.first_s)


def said(verdict: Verdict, note: str) -> Verdict:
    """The verdict with a peer's own note beside it."""
    return Verdict(verdict.equal, "; ".join(words for words in (note, verdict.words) if words))
