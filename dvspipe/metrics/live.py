"""What a live session amounts to, counted in constant memory: some bytes per bin, for exact latency percentiles."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

from dvspipe.metrics.latency import WARM_UP, percentiles

RECENT = 100  # decisions that the running figures look back on


class LiveRecord:
    """Takes every decision of a session."""

    def __init__(self) -> None:
        self.decisions = self.labelled = self.agreeing = self.late_bins = 0
        self._latencies_ms = array("d")
        self._stages_ms: dict[str, array[float]] = {}

    def add(self, row: dict[str, Any], truth: str | None, due_ms: float | None = None) -> None:
        """One decision (`label` or None, `latency_ms`) and the label that was true then, if it is known. It is late where
        it took longer than `due_ms`.
        """
        self._latencies_ms.append(row["latency_ms"])
        self.late_bins += due_ms is not None and row["latency_ms"] > due_ms
        self.decisions += row["label"] is not None
        self.labelled += truth is not None
        self.agreeing += truth is not None and row["label"] == truth

    def stages(self, stages_ms: Mapping[str, float]) -> None:
        """Where the time of one bin went, ms by stage."""
        for name, value in stages_ms.items():
            self._stages_ms.setdefault(name, array("d")).append(value)

    def recent(self) -> dict[str, float | None]:
        """Latency percentiles of the last 100 decisions."""
        return percentiles(self._latencies_ms[-RECENT:], warm_up=0)

    def result(self) -> dict[str, Any]:
        """`decisions`, latency percentiles, by stage too, `late_bins`, and `agreement`: the share of bins within labelled
        windows that were right.
        """
        agreement = self.agreeing / self.labelled if self.labelled else None
        stages = {name: percentiles(values) for name, values in self._stages_ms.items()}
        return {
            "decisions": self.decisions,
            **percentiles(self._latencies_ms),
            "warm_up_bins": WARM_UP,
            "late_bins": self.late_bins,
            "stages": stages,
            "agreement": agreement,
        }
