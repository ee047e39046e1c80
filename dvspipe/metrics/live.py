"""What a live session amounts to, counted in constant memory: eight bytes per bin, for exact latency percentiles."""

from __future__ import annotations

from array import array
from typing import Any

from dvspipe.metrics.latency import percentiles

RECENT = 100  # decisions that the running figures look back on


class LiveRecord:
    """Takes every decision of a session; `keep` also keeps the decisions themselves, for a report."""

    def __init__(self, keep: bool = False) -> None:
        self.rows: list[dict[str, Any]] | None = [] if keep else None
        self.decisions = self.labelled = self.agreeing = 0
        self._latencies_ms = array("d")

    def add(self, row: dict[str, Any], truth: str | None) -> None:
        """One decision (`label` or None, `latency_ms`) and the label that was true then, if it is known."""
        self._latencies_ms.append(row["latency_ms"])
        self.decisions += row["label"] is not None
        self.labelled += truth is not None
        self.agreeing += truth is not None and row["label"] == truth
        if self.rows is not None:
            self.rows.append(row)

    def recent(self) -> dict[str, float | None]:
        """Latency percentiles of the last 100 decisions."""
        return percentiles(self._latencies_ms[-RECENT:], warm_up=0)

    def result(self) -> dict[str, Any]:
        """`decisions`, latency percentiles, and `agreement`: the share of bins within labelled windows that were right."""
        agreement = self.agreeing / self.labelled if self.labelled else None
        return {"decisions": self.decisions, **percentiles(self._latencies_ms), "agreement": agreement}
