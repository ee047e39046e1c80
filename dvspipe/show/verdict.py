"""Numbers -> plain words: what a run achieved, and whether a difference between two runs is one.

Careful by rule: a difference is only called one when its 95 % interval leaves out zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dvspipe.metrics.accuracy import wilson
from dvspipe.show.summary import LiveSummary, RunSummary

MANY_TIMES = 3  # as much: from here on percents are hard to picture


def interval(run: RunSummary) -> tuple[float, float] | None:
    """95 % Wilson interval of a run's accuracy, shares 0..1; None when it was not tested."""
    accuracy = run.evaluation.get("accuracy")
    if accuracy is None or not run.test_samples:
        return None
    return wilson(round(accuracy * run.test_samples), run.test_samples)


def difference(ours: RunSummary, theirs: RunSummary) -> tuple[float, float, float] | None:
    """Accuracy of ours - theirs and its 95 % interval (Newcombe 1998, from two Wilson intervals), else None."""
    first, second = interval(ours), interval(theirs)
    if first is None or second is None:
        return None
    p, q = ours.evaluation["accuracy"], theirs.evaluation["accuracy"]
    low = math.sqrt((p - first[0]) ** 2 + (second[1] - q) ** 2)
    high = math.sqrt((first[1] - p) ** 2 + (q - second[0]) ** 2)
    return p - q, p - q - low, p - q + high


def baseline(runs: Sequence[RunSummary]) -> RunSummary | None:
    """The run to compare with: the one without attention, or else the first; None when there is nothing to compare."""
    tested = [run for run in runs if run.evaluation.get("accuracy") is not None]
    if len(tested) < 2:
        return None
    return next((run for run in tested if run.recipe.get("snn", {}).get("attention") == "none"), tested[0])


def verdict(runs: Sequence[RunSummary], live: Sequence[LiveSummary] = ()) -> str:
    """One or two sentences that say what came out, from the numbers alone; empty when nothing was measured."""
    tested = [run for run in runs if run.evaluation.get("accuracy") is not None]
    words = []
    if tested:
        base = baseline(runs)
        others = [run for run in tested if run is not base]
        best = max(others, key=lambda run: run.evaluation["accuracy"])
        words.append(_achieved(best) + (_compared(best, base) if base else _against_ann(best)) + ".")
    rates = [rate for source in live if (rate := agreement(source)) is not None]
    if rates:
        words.append(f"Live, the decisions named the labelled class {100 * sum(rates) / len(rates):.0f} % of the time.")
    return " ".join(words).replace(" %", "\u00a0%")


def key_figures(runs: Sequence[RunSummary], live: Sequence[LiveSummary] = ()) -> list[tuple[str, str]]:
    """At most four numbers large enough to be read across a room: (number, what it is)."""
    tested = [run for run in runs if run.evaluation.get("accuracy") is not None]
    figures = []
    if tested:
        base = baseline(runs)
        best = max((run for run in tested if run is not base), key=lambda run: run.evaluation["accuracy"])
        figures.append((f"{100 * best.evaluation['accuracy']:.1f} %", f"accuracy of {best.name}"))
        figures += _changes(best, base) if base else _alone(best)
    slowest = [each.result["p99_ms"] for each in live if each.result.get("p99_ms") is not None]
    if slowest:
        figures.append((f"{max(slowest):.1f} ms", "from a bin's last event to the decision, 99 % of the time"))
    return figures


def _changes(run: RunSummary, base: RunSummary) -> list[tuple[str, str]]:
    figures = []
    for key, word in (("spikes_per_sample", "spikes"), ("energy_uj", "energy, estimated,")):
        ours, theirs = run.evaluation.get(key), base.evaluation.get(key)
        if ours and theirs:
            change = f"{ours / theirs:.1f}×" if ours > MANY_TIMES * theirs else f"{100 * (ours / theirs - 1):+.0f} %"
            figures.append((change.replace("-", "−"), f"{word} against {base.name}"))
    return figures


def _alone(run: RunSummary) -> list[tuple[str, str]]:
    """What a run says without another: against its ANN twin, and how soon its answer stays right."""
    figures = []
    ours, theirs = run.evaluation.get("energy_uj"), run.evaluation.get("energy_ann_uj")
    if ours and theirs:
        word = "less" if theirs >= ours else "more"
        figures.append((f"{times_apart(ours, theirs):.1f}×", f"{word} energy, estimated, than its ANN twin"))
    nasar = run.evaluation.get("nasar")
    if nasar is not None:
        figures.append((f"{100 * nasar:.1f} %", "of the neurons spike in a step (NASAR)"))
    times = run.evaluation.get("decision_time") or {}
    if (share := times.get("stable_correct_share") or 0) >= 0.5:
        word = f"until the answer stays right (median of the {100 * share:.0f} % of clips where it does)"
        figures.append((f"{times['stable_correct_ms']:.0f} ms", word))
    return figures


def times_apart(one: float, other: float) -> float:
    """How many times the smaller the larger is, at least 1; both above 0."""
    return max(one / other, other / one)


def agreement(live: LiveSummary) -> float | None:
    """Share (0..1) of the decisions inside labelled windows that name the label; None when there are none."""
    right = total = 0
    for window in live.truth:
        inside = [row for row in live.decisions if window["start_us"] < row["t_us"] <= window["stop_us"]]
        total += len(inside)
        right += sum(row["label"] == window["label"] for row in inside)
    return right / total if total else None


def _achieved(run: RunSummary) -> str:
    accuracy, bounds = run.evaluation["accuracy"], interval(run)
    range_ = f" ({100 * bounds[0]:.0f} to {100 * bounds[1]:.0f} % with 95 % confidence)" if bounds else ""
    chance = f"; guessing gets {100 / len(run.classes):.0f} %" if run.classes else ""
    many = f" of {run.test_samples:,} test {run.sample}s" if run.test_samples else f" of the test {run.sample}s"
    return f"{run.name} recognises {100 * accuracy:.1f} %{many}{range_}{chance}"


def _compared(run: RunSummary, base: RunSummary) -> str:
    gap, clauses = difference(run, base), []
    if gap is not None:
        clear = gap[1] > 0 or gap[2] < 0
        step = (
            f"{abs(100 * gap[0]):.1f} points {'more' if gap[0] > 0 else 'less'}"
            if clear
            else "no clear difference in accuracy"
        )
        clauses.append(f"that is {step}")
    saved = [_saved(run, base, "spikes_per_sample", "spikes"), _saved(run, base, "energy_uj", "energy (estimated)")]
    if any(saved):
        clauses.append("it needs " + " and ".join(each for each in saved if each))
    known = f" ({100 * base.evaluation['accuracy']:.1f} %)"
    return f". Against {base.name}{known} {'; '.join(clauses)}" if clauses else ""


def _saved(run: RunSummary, base: RunSummary, key: str, word: str) -> str:
    ours, theirs = run.evaluation.get(key), base.evaluation.get(key)
    if not ours or not theirs:
        return ""
    if ours > MANY_TIMES * theirs:
        return f"{ours / theirs:.1f} times the {word}"
    change = 100 * (1 - ours / theirs)
    return (
        f"{abs(change):.0f} % {'less' if key == 'energy_uj' else 'fewer'} {word}"
        if change >= 0
        else f"{-change:.0f} % more {word}"
    )


def _against_ann(run: RunSummary) -> str:
    measured: Mapping[str, Any] = run.evaluation
    ours, theirs = measured.get("energy_uj"), measured.get("energy_ann_uj")
    if not ours or not theirs:
        return ""
    ratio = theirs / ours
    return (
        f". Its estimated energy is {ratio:.1f} times lower than that of the same network without spikes"
        if ratio >= 1
        else ""
    )
