"""What a bench table is: rows of one figure of ours beside the machine's floor and our peers' figures.

Knows neither how a figure is measured nor how a table is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

HIGHER_IS_BETTER = ("Mev/s", "samples/s", "GB/s", "accuracy %", "% of bandwidth")


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer's figure in the row's unit. `ratio` > 1: we are faster (or smaller); None where the work was not equal,
    which `note` then says. `memory_mb` and `first_call_s` as in `Row`.
    """

    value: float | None
    ratio: float | None
    note: str = ""
    memory_mb: float | None = None
    first_call_s: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One case. `ours`, `floor` (what the machine allows) and `iqr` (of ours) are in `unit`; `memory_mb` is the peak that
    one call adds to the process, `first_call_s` how long the very first call took, compiling included.
    """

    case: str
    ours: float | None
    unit: str
    floor: float | None = None
    peers: Mapping[str, Peer] = field(default_factory=dict)
    memory_mb: float | None = None
    first_call_s: float | None = None
    iqr: float | None = None
    note: str = ""

    @property
    def over_floor(self) -> float | None:
        """Ours over the floor as a time (1 = at the machine's limit, 1.2 = a fifth above it), also where more is better."""
        by = ratio(self.floor, self.ours, self.unit)
        return None if by is None else 1.0 / by


@dataclass(frozen=True, slots=True)
class Table:
    """A bench's result. `name` is what the command line calls it, `title` one sentence, `notes` what a reader must know."""

    name: str
    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """`{"name", "title", "rows": [{case, ours, unit, floor, peers: {name: {value, ratio, ...}}, ...}], "notes"}`."""
        rows = [{**asdict(row), "over_floor": row.over_floor} for row in self.rows]
        return {"name": self.name, "title": self.title, "rows": rows, "notes": list(self.notes)}


def ratio(peer: float | None, ours: float | None, unit: str) -> float | None:
    """How much better ours is than the peer's: above 1 we are faster or smaller. None where either is missing or zero."""
    if not peer or not ours:
        return None
    return ours / peer if unit in HIGHER_IS_BETTER else peer / ours
