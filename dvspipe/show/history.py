"""The last bins of a live run, as strips show them: what was decided and labelled, and how numbers went.

Bins are found by their number in the recording, so that dropped bins leave a gap and seeking needs no care. Knows
nothing about where strips are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dvspipe.show.moment import Moment

UNKNOWN, NOTHING = -2, -1  # no such bin was seen; a bin without a label
_NUMBERS = ("event_rate", "latency_ms")


class History:
    """Takes every moment; `size` bins are kept. `names` are the classes, then labels that are none of them."""

    def __init__(self, classes: Sequence[str], size: int = 1 << 14) -> None:
        self.names = list(classes)
        self.last = -1
        self.layers: list[str] = []
        self._size = size
        self._bins = np.full(size, -1, np.int64)
        self._labels = {which: np.full(size, NOTHING, np.int32) for which in ("decided", "labelled")}
        self._numbers = {name: self._empty() for name in _NUMBERS}
        self._rates: dict[str, NDArray[np.float32]] = {}

    def add(self, moment: Moment) -> None:
        """Keeps what strips need of one bin."""
        slot = moment.bin % self._size
        self.last, self._bins[slot] = moment.bin, moment.bin
        self._labels["decided"][slot] = self._index(moment.label)
        self._labels["labelled"][slot] = self._index(moment.truth)
        for name, values in self._numbers.items():
            value = moment.stats.get(name)
            values[slot] = np.nan if value is None else value
        rates = moment.looks.rates if moment.looks is not None else {}
        for layer in rates.keys() - self._rates.keys():
            self._rates[layer] = self._empty()
        if rates:
            self.layers = list(rates)
        for layer, values in self._rates.items():
            values[slot] = rates.get(layer, np.nan)

    def per_column(self, columns: int, bin_us: int, span_s: float) -> int:
        """Bins per column, at least one, so that `columns` show `span_s` seconds or as much as is kept."""
        return max(1, min(round(span_s * 1e6 / columns / bin_us), self._size // columns))

    def labels(self, which: str, columns: int, per: int) -> NDArray[np.intp]:
        """Most frequent label of every column [columns], newest last: a place in `names`, NOTHING or UNKNOWN.

        `which` is "decided" or "labelled"; a column is `per` bins and starts at a multiple of `per`.
        """
        slots, known = self._slots(columns, per)
        found = np.where(known, self._labels[which][slots], UNKNOWN) - UNKNOWN
        kinds = len(self.names) - UNKNOWN
        places = found + kinds * np.arange(columns)[:, None]
        counts = np.bincount(places.ravel(), minlength=columns * kinds).reshape(columns, kinds)
        counts[:, 0] = counts[:, 0] == per  # not seen at all
        return np.asarray(counts.argmax(axis=1) + UNKNOWN)

    def numbers(self, name: str, columns: int, per: int, worst: bool = False) -> NDArray[np.float32]:
        """Mean (or, `worst`, largest) `event_rate` or `latency_ms` of every column [columns]; NaN where unknown."""
        return self._summed_up(self._numbers[name], columns, per, worst)

    def rates(self, layer: str, columns: int, per: int) -> NDArray[np.float32]:
        """Mean spikes per neuron of a layer, likewise."""
        return self._summed_up(self._rates[layer], columns, per, False)

    def _summed_up(self, values: NDArray[np.float32], columns: int, per: int, worst: bool) -> NDArray[np.float32]:
        slots, known = self._slots(columns, per)
        found = np.where(known, values[slots], np.nan)
        if worst:
            return np.asarray(np.fmax.reduce(found, axis=1), np.float32)
        there = ~np.isnan(found)
        count = there.sum(axis=1)
        total = np.where(there, found, 0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)

    def _slots(self, columns: int, per: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Places [columns, per] of the newest bins, and which of them hold the bin that belongs there."""
        first = self.last // per - columns + 1
        bins = (first * per + np.arange(columns * per)).reshape(columns, per)
        slots = bins % self._size
        return slots, (self._bins[slots] == bins) & (bins <= self.last) & (bins >= 0)

    def _index(self, label: str | None) -> int:
        if label is None:
            return NOTHING
        if label not in self.names:
            self.names.append(label)
        return self.names.index(label)

    def _empty(self) -> NDArray[np.float32]:
        return np.full(self._size, np.nan, np.float32)
