"""How good decisions on uncut recordings are: how soon, how steady, and what is said while nothing happens.

Takes decisions at bin ends and labelled windows; knows no network and no files. A decision made at the end of a bin is in
force until the end of the next one. The end t of a bin lies inside a window where start < t <= stop: then the bin has seen
some of it. Accuracy against observed time follows EEvAct (arXiv 2507.07734), the overlap F1 Lea et al. (CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SINCE_ONSET_MS = (25, 50, 100, 200, 400, 800, 1500)
AREA_MS = 1500
OVERLAP = 0.5  # intersection over union from which a decided stretch counts as having found a window
NONE = -1


class Window(NamedTuple):
    """A labelled window of a recording: number of the class, start_us <= t < stop_us in sensor time."""

    label: int
    start_us: int
    stop_us: int


class Timeline(NamedTuple):
    """What was decided on one recording: class numbers [bins], -1 for none, at the ends of its bins [bins], ascending.

    `resets` [bins] is True where everything was forgotten when the bin began: no decision is in force past that.
    """

    t_us: NDArray[np.int64]
    label: NDArray[np.int64]
    bin_us: int
    windows: Sequence[Window]
    resets: NDArray[np.bool_] | None = None

    @property
    def in_force(self) -> NDArray[np.int64]:
        """[bins] what is in force from the end of every bin until that of the next."""
        forgotten = np.zeros(len(self.label), np.bool_)
        if self.resets is not None:
            forgotten[:-1] = self.resets[1:]
        return np.where(forgotten, NONE, self.label)


class Found(NamedTuple):
    """What became of one window. Times in ms since its onset, None where it never came to that.

    `at` tells for every time of `SINCE_ONSET_MS` that the window lasts whether the right class was in force; `area` is the
    share of its first 1.5 s (of all of it, where it is shorter) in which it was.
    """

    label: int
    at: dict[int, bool]
    area: float
    first_ms: float | None
    stable_ms: float | None


def live_quality(timelines: Sequence[Timeline], classes: Sequence[str]) -> dict[str, Any]:
    """Every figure over all recordings together; None where nothing was there to count.

    `accuracy_since_onset`: share of the windows lasting `t_ms` with the right class in force at onset + t. `area`: mean of
    `Found.area`. `first_correct_ms`, `stable_correct_ms`: onset to the first bin end with the right class, and to the one
    from which it stays to the window's end; `median` and `p90` of the windows that get there, `share` of those,
    `median_of_all` counting the others as later than any. `detection_rate`: share of windows in which the right class
    was in force at some bin end. `flips_per_s`: how often a standing decision was given up or replaced between two bin
    ends of one window, per second of labelled time. `false_per_min`: decisions begun outside every window, per minute of
    that; `early_per_min` of them are the next window's class and still stand when it begins. `outside_share`: of the time
    outside, with any decision. `f1`: overlap F1, by class and their mean.
    """
    found = [each for timeline in timelines for each in windows_found(timeline)]
    first, stable = [each.first_ms for each in found], [each.stable_ms for each in found]
    return {
        "accuracy_since_onset": _since_onset(found),
        "area": _mean([each.area for each in found]),
        "first_correct_ms": _times(first),
        "stable_correct_ms": _times(stable),
        "detection_rate": _mean([each is not None for each in first]),
        **_steadiness(timelines),
        "f1": overlap_f1(timelines, classes),
        "windows": len(found),
    }


def windows_found(timeline: Timeline) -> list[Found]:
    """What became of every window of a recording."""
    return [_found(timeline, window) for window in timeline.windows]


def _found(timeline: Timeline, window: Window) -> Found:
    low, high = _ends(timeline.t_us, window)
    since = (timeline.t_us[low:high] - window.start_us) / 1000
    right = timeline.label[low:high] == window.label
    settled = np.logical_and.accumulate(right[::-1])[::-1]
    lasts_ms = (window.stop_us - window.start_us) / 1000
    at = {
        ms: _in_force(timeline, window.start_us + ms * 1000) == window.label for ms in SINCE_ONSET_MS if ms <= lasts_ms
    }
    return Found(window.label, at, _area(timeline, window), _first(since, right), _first(since, settled))


def _ends(t_us: NDArray[np.int64], window: Window) -> tuple[int, int]:
    """Which bin ends lie inside a window: low <= index < high."""
    low, high = np.searchsorted(t_us, (window.start_us, window.stop_us), "right")
    return int(low), int(high)


def _in_force(timeline: Timeline, t_us: int) -> int:
    index = int(np.searchsorted(timeline.t_us, t_us, "right")) - 1
    return int(timeline.in_force[index]) if index >= 0 else NONE


def _area(timeline: Timeline, window: Window) -> float:
    """Exact: decisions are constant from one bin end to the next."""
    stop_us = min(window.stop_us, window.start_us + AREA_MS * 1000)
    low = np.maximum(timeline.t_us, window.start_us)
    high = np.minimum(timeline.t_us + timeline.bin_us, stop_us)
    right_us = np.maximum(high - low, 0)[timeline.in_force == window.label].sum()
    return float(right_us / max(1, stop_us - window.start_us))


def _first(since_ms: NDArray[np.float64], reached: NDArray[np.bool_]) -> float | None:
    return float(since_ms[reached.argmax()]) if reached.any() else None


def _since_onset(found: Sequence[Found]) -> list[dict[str, Any]]:
    points = []
    for ms in SINCE_ONSET_MS:
        answers = [each.at[ms] for each in found if ms in each.at]
        if answers:
            points.append({"t_ms": ms, "accuracy": _mean(answers), "windows": len(answers)})
    return points


def _times(times_ms: Sequence[float | None]) -> dict[str, float | None]:
    reached = [each for each in times_ms if each is not None]
    middle = float(np.median([np.inf if each is None else each for each in times_ms])) if reached else np.inf
    return {
        "median": float(np.median(reached)) if reached else None,
        "p90": float(np.percentile(reached, 90)) if reached else None,
        "share": _mean([each is not None for each in times_ms]),
        "median_of_all": middle if np.isfinite(middle) else None,
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


class _Tally(NamedTuple):
    """Counts of bins and events of one recording."""

    inside: int
    outside: int
    flips: int
    begun: int
    early: int
    spoken: int


def _steadiness(timelines: Sequence[Timeline]) -> dict[str, float | None]:
    """Flips inside windows, decisions outside of all."""
    seconds = [timeline.bin_us / 1e6 for timeline in timelines]
    tallies = [_tally(each) for each in timelines]
    inside_s = sum(each.inside * bin_s for each, bin_s in zip(tallies, seconds))
    outside_s = sum(each.outside * bin_s for each, bin_s in zip(tallies, seconds))
    spoken_s = sum(each.spoken * bin_s for each, bin_s in zip(tallies, seconds))
    minutes = outside_s / 60
    return {
        "flips_per_s": sum(each.flips for each in tallies) / inside_s if inside_s else None,
        "false_per_min": sum(each.begun for each in tallies) / minutes if minutes else None,
        "early_per_min": sum(each.early for each in tallies) / minutes if minutes else None,
        "outside_share": spoken_s / outside_s if outside_s else None,
        "labelled_s": inside_s,
        "outside_s": outside_s,
    }


def _tally(timeline: Timeline) -> _Tally:
    label, before = timeline.label, np.concatenate([[NONE], timeline.label[:-1]])
    inside, changed = np.zeros(len(label), np.bool_), label != before
    flips = np.zeros(len(label), np.bool_)
    for window in timeline.windows:
        low, high = _ends(timeline.t_us, window)
        inside[low:high] = True
        flips[low + 1 : high] |= (changed & (before != NONE))[low + 1 : high]
    begun = np.flatnonzero(changed & (label != NONE) & ~inside).tolist()
    return _Tally(
        inside=int(inside.sum()),
        outside=int((~inside).sum()),
        flips=int(flips.sum()),
        begun=len(begun),
        early=sum(_is_early(timeline, index) for index in begun),
        spoken=int((label[~inside] != NONE).sum()),
    )


def _is_early(timeline: Timeline, index: int) -> bool:
    """Whether a decision begun outside every window is that of the next one, and stands until it begins."""
    ahead = [each for each in timeline.windows if each.start_us >= timeline.t_us[index]]
    if not ahead:
        return False
    window = min(ahead, key=lambda each: each.start_us)
    last = max(_ends(timeline.t_us, window)[0], index + 1)  # the first bin end inside the window
    return bool((timeline.label[index : last + 1] == window.label).all())


def overlap_f1(timelines: Sequence[Timeline], classes: Sequence[str]) -> dict[str, Any]:
    """Segmental overlap F1 at an intersection over union of 0.5 (Lea et al., CVPR 2017): `macro` and `per_class`.

    A stretch of one decision, in force from its first bin end to one bin after its last, is matched with the window of
    its class that it overlaps most; a window is found once, by the first stretch that covers it well enough. Classes
    that are neither labelled nor decided have None and are not in the mean.
    """
    right, decided, labelled = (np.zeros(len(classes), np.int64) for _ in range(3))
    for timeline in timelines:
        stretches, taken = _stretches(timeline), set()
        for window in timeline.windows:
            labelled[window.label] += 1
        for stretch in stretches:
            decided[stretch.label] += 1
            best, overlap = _best_match(stretch, timeline.windows)
            if overlap >= OVERLAP and best not in taken:
                taken.add(best)
                right[stretch.label] += 1
    total = decided + labelled
    scores = [float(2 * hit / both) if both else None for hit, both in zip(right, total)]
    known = [score for score in scores if score is not None]
    return {"macro": _mean(known), "per_class": dict(zip(classes, scores)), "overlap": OVERLAP}


def _stretches(timeline: Timeline) -> list[Window]:
    """Runs of one decision as windows of the time in which it is in force."""
    label = timeline.label
    edges = [0, *(np.flatnonzero(np.diff(label)) + 1).tolist(), len(label)] if len(label) else [0]
    return [
        Window(int(label[low]), int(timeline.t_us[low]), int(timeline.t_us[high - 1]) + timeline.bin_us)
        for low, high in pairwise(edges)
        if label[low] != NONE
    ]


def _best_match(stretch: Window, windows: Sequence[Window]) -> tuple[int, float]:
    """Index and intersection over union of the window of the same class that overlaps most; (-1, 0) for none."""
    best, overlap = -1, 0.0
    for index, window in enumerate(windows):
        shared = min(stretch.stop_us, window.stop_us) - max(stretch.start_us, window.start_us)
        if window.label == stretch.label and shared > 0:
            union = max(stretch.stop_us, window.stop_us) - min(stretch.start_us, window.start_us)
            if shared / union > overlap:
                best, overlap = index, shared / union
    return best, overlap


def argmax_labels(outputs: NDArray[np.floating], spikes: bool) -> NDArray[np.int64]:
    """What a network says by itself: the largest output of every bin [bins,K] -> [bins]; -1 where spikes are silent."""
    best = outputs.argmax(1).astype(np.int64)
    return np.where(outputs.max(1) > 0, best, NONE) if spikes else best
