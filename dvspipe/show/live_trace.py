"""What a report tells of a live session, gathered while it runs, in memory that does not grow with its length.

A `View` that shows nothing: it keeps a fixed number of columns of sensor time, and when a session outgrows them, two become
one. Knows nothing about pages.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.show.moment import Looks, Moment, Stage
from dvspipe.show.picture import shrink
from dvspipe.show.summary import Inside, LiveSummary, Maps

COLUMNS = 4096  # of sensor time: between 2048 and 4096 are in use in a long session
STRETCH = 120  # bins of the animation
_SIDE = 64  # pixels of the animation at most
_LARGEST = 255  # events per pixel and bin that the animation tells apart


class LiveTrace:
    """Keeps a `Trace` per recording, in `traces`."""

    def __init__(self, columns: int = COLUMNS) -> None:
        self.traces: list[Trace] = []
        self._columns = columns

    def __enter__(self) -> LiveTrace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def open(self, stage: Stage) -> None:
        """A recording begins."""
        self.traces.append(Trace(stage, self._columns))

    def update(self, moment: Moment) -> None:
        """One bin further; some ten microseconds."""
        self.traces[-1].add(moment)

    def finish(self, why: str) -> None:
        """Nothing more will come."""


class Trace:
    """One recording as it was decided, in columns of `per` bins each."""

    def __init__(self, stage: Stage, columns: int = COLUMNS) -> None:
        self.stage, self.per = stage, 1
        self._columns, self._used = columns, 0
        self._place = {name: index for index, name in enumerate(stage.classes)}
        self._sums = {name: np.zeros(columns, np.float64) for name in ("bins", "confidence", "events", "counted")}
        self._evidence = np.zeros((columns, len(stage.classes)), np.float32)
        self._decided = np.zeros((columns, len(stage.classes) + 1), np.int32)  # bins by label, the last: none
        self._slowest = np.full(columns, np.nan, np.float32)
        self._rates: dict[str, NDArray[np.float64]] = {}
        self._looked = np.zeros(columns)
        self._latencies = array("f")
        self._truth: list[dict[str, Any]] = []
        self._weights = _Means()
        self._stretch = _Stretch(stage.bin_us)

    def add(self, moment: Moment) -> None:
        """One bin. A bin that comes again, after seeking, counts again."""
        while moment.bin // self.per >= self._columns:
            self._fold()
        at = moment.bin // self.per
        self._used = max(self._used, at + 1)
        self._sums["bins"][at] += 1
        self._sums["confidence"][at] += moment.confidence
        self._evidence[at] += [moment.evidence.get(name, 0.0) for name in self.stage.classes]
        self._decided[at, self._place.get(moment.label or "", -1)] += 1
        if (rate := moment.stats.get("event_rate")) is not None:
            self._sums["events"][at] += rate
            self._sums["counted"][at] += 1
        if (latency := moment.stats.get("latency_ms")) is not None:
            self._latencies.append(latency)
            self._slowest[at] = np.fmax(self._slowest[at], latency)
        if moment.looks is not None:
            self._look(at, moment.looks)
        if moment.truth is not None and not self.stage.labels:
            self._label(moment)
        self._stretch.add(moment)

    def summary(
        self,
        result: Mapping[str, Any],
        settings: Mapping[str, Any] | None = None,
        damage: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
    ) -> LiveSummary:
        """What a report takes, with the session's own counts (`result`), settings and damage."""
        stage = self.stage
        seen = slice(int(np.argmax(self._sums["bins"] > 0)), self._used)
        labelled = [{"label": each.name, "start_us": each.start_us, "stop_us": each.stop_us} for each in stage.labels]
        return LiveSummary(
            source=stage.title,
            result=dict(result),
            decisions=self._decisions(),
            truth=labelled or self._truth,
            clip=self._stretch.frames(),
            clip_bin=self._stretch.start,
            classes=list(stage.classes),
            bin_us=stage.bin_us,
            evidence=_shares(self._evidence, self._sums["bins"])[seen],
            event_rate=_shares(self._sums["events"], self._sums["counted"])[seen],
            rates={name: _shares(sums, self._looked)[seen] for name, sums in self._rates.items()},
            latencies_ms=self._latencies,
            inside=self._weights.inside(),
            settings=dict(settings or {}),
            damage=damage,
        )

    def _decisions(self) -> list[dict[str, Any]]:
        """A row per column that was seen: what was decided most often, how surely on average, the slowest latency."""
        bins, first_us = self._sums["bins"], self.stage.start_us
        rows = []
        for at in np.flatnonzero(bins).tolist():
            label = int(self._decided[at].argmax())
            slowest = float(self._slowest[at])
            rows.append(
                {
                    "bin": at * self.per,
                    "t_us": first_us + (at + 1) * self.per * self.stage.bin_us,
                    "label": self.stage.classes[label] if label < len(self.stage.classes) else None,
                    "confidence": float(self._sums["confidence"][at] / bins[at]),
                    "latency_ms": None if np.isnan(slowest) else slowest,
                }
            )
        return rows

    def _look(self, at: int, looks: Looks) -> None:
        self._looked[at] += 1
        for name, rate in looks.rates.items():
            self._rates.setdefault(name, np.zeros(self._columns))[at] += rate
        self._weights.add(looks)

    def _label(self, moment: Moment) -> None:
        """A label that only the moments know: a window per run of equal ones."""
        start_us = moment.t_us - self.stage.bin_us
        last = self._truth[-1] if self._truth else None
        if last is not None and last["label"] == moment.truth and last["stop_us"] == start_us:
            last["stop_us"] = moment.t_us
        else:
            self._truth.append({"label": moment.truth, "start_us": start_us, "stop_us": moment.t_us})

    def _fold(self) -> None:
        """Two columns become one."""
        self.per *= 2
        self._used = -(-self._used // 2)
        all_sums: list[NDArray[Any]] = [*self._sums.values(), *self._rates.values()]
        for sums in (*all_sums, self._evidence, self._decided, self._looked):
            _halve(sums, np.add, 0)
        _halve(self._slowest, np.fmax, np.nan)


class _Means:
    """Mean weights of attention over a session."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], NDArray[np.float64]] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._neutral: float | None = None

    def add(self, looks: Looks) -> None:
        """One look; a history that has become longer, as a session's first ones do, begins the mean anew."""
        self._neutral = looks.neutral if looks.neutral is not None else self._neutral
        for kind, found in (("time", looks.time), ("space", looks.space)):
            for layer, weights in found.items():
                key, known = (kind, layer), self._sums.get((kind, layer))
                if known is None or np.size(weights) > known.size:
                    self._sums[key], self._counts[key] = np.array(weights, np.float64), 1
                elif known.shape == np.shape(weights):
                    known += weights
                    self._counts[key] += 1

    def inside(self) -> Inside | None:
        """The means, as reports take them; None without attention."""
        if self._neutral is None or not self._sums:
            return None
        means: dict[str, Maps] = {"time": {}, "space": {}}
        for (kind, layer), sums in self._sums.items():
            means[kind][layer] = sums / self._counts[kind, layer]
        return Inside(time=means["time"], space=means["space"], neutral=self._neutral)


class _Stretch:
    """The frames of some bins in a row: of all stretches of that length, the one with the most to tell."""

    def __init__(self, bin_us: int) -> None:
        self.start = 0
        self._best: list[NDArray[np.uint8]] = []
        self._now: list[NDArray[np.uint8]] = []
        self._begun, self._score, self._best_score = 0, 0, -1
        self._last: str | None = None

    def add(self, moment: Moment) -> None:
        """Decided bins count, right ones twice, and every change much."""
        if self._now and moment.bin != self._begun + len(self._now):
            self._keep()
        if not self._now:
            self._begun, self._score = moment.bin, 0
        frame = shrink(moment.frame, _SIDE, _SIDE)
        self._now.append(np.minimum(frame, _LARGEST).astype(np.uint8))
        if moment.label is not None:
            self._score += 1 + (moment.label == moment.truth) + 10 * (moment.label != self._last)
        self._last = moment.label
        if len(self._now) == STRETCH:
            self._keep()

    def frames(self) -> NDArray[np.uint8] | None:
        """[T,2,H,W], None without a bin."""
        if self._now:
            self._keep()
        return np.stack(self._best) if self._best else None

    def _keep(self) -> None:
        if self._score > self._best_score:
            self._best, self._best_score, self.start = self._now, self._score, self._begun
        self._now = []


def _halve(values: NDArray[Any], merge: np.ufunc, empty: float) -> None:
    half = len(values) // 2
    values[:half] = merge(values[: 2 * half : 2], values[1 : 2 * half : 2])
    values[half:] = empty


def _shares(sums: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float32]:
    """Means, NaN where nothing was counted."""
    counts = counts.reshape(-1, *[1] * (sums.ndim - 1))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32)
