"""Rows of a comparison -> plain words: what the best setting wins, what it saves, and who earns it.

Careful by rule: a difference is only called one when its 95 % interval over the seeds leaves out zero.
"""

from __future__ import annotations

from typing import Any

from dvspipe.show.summary import ComparisonSummary, RunSummary

CONTROLS = ("relu", "constant")  # attention that attends to nothing: what it does, attention need not explain


def short_names(summary: ComparisonSummary) -> dict[str, str]:
    """Settings as figures name them: the value alone where only one key is varied."""
    settings = [row["setting"] for row in summary.rows]
    if any(len(summary.varied.get(setting, {})) != 1 for setting in settings):
        return {setting: setting for setting in settings}
    return {setting: next(iter(summary.varied[setting].values())) for setting in settings}


def is_control(summary: ComparisonSummary, setting: str) -> bool:
    """Whether a setting's attention looks at nothing."""
    varied = summary.varied.get(setting, {})
    return any(key.rpartition(".")[2] == "attention" and value in CONTROLS for key, value in varied.items())


def headline(summary: ComparisonSummary) -> dict[str, Any] | None:
    """The setting to speak of: the best on validation data, so that the test split chooses nothing; controls and the
    first setting aside. None where there is only the first.
    """
    others = summary.rows[1:]
    rows = [row for row in others if not is_control(summary, row["setting"])] or others
    return max(rows, key=lambda row: (_chosen_by(row), -row["spikes_per_sample"]["mean"])) if rows else None


def verdict(summary: ComparisonSummary) -> str:
    """What came out, in a few sentences."""
    best, first = headline(summary), summary.rows[0] if summary.rows else None
    if first is None:
        return ""
    if best is None:
        return f"{_name(summary, first)} recognises {_share(first)} of the test {_samples(summary)}."
    words = [
        _accuracy(summary, best, first),
        _savings(best),
        _silence(best, first, _name(summary, first)),
        _controls(summary, best),
    ]
    return " ".join(each for each in words if each).replace(" %", "\u00a0%")


def key_figures(summary: ComparisonSummary) -> list[tuple[str, str]]:
    """Numbers to be read across a room: (number, what it is)."""
    best, first = headline(summary), summary.rows[0] if summary.rows else None
    if best is None or first is None:
        return []
    name = _name(summary, best)
    return [
        (_share(best), f"accuracy of {name}, mean of {best['seeds']} seed{'s' if best['seeds'] > 1 else ''}"),
        (f"{_signed(100 * best['difference']['mean'])}", f"points against {_name(summary, first)}{_bounds(best)}"),
        (f"{_signed(-100 * best['spikes_saved']['mean'], 0)} %", "spikes"),
        _energy(best["energy_ratio"]["mean"]),
    ]


def clear(row: dict[str, Any]) -> bool:
    """Whether the interval of the paired difference leaves out zero; one seed has no interval."""
    low, high = row["difference"]["low"], row["difference"]["high"]
    return low is not None and high is not None and (low > 0 or high < 0)


def _energy(ratio: float) -> tuple[str, str]:
    word = "less" if ratio >= 1 else "more"
    return f"{max(ratio, 1 / ratio if ratio else 0):.1f}×", f"{word} energy, estimated, attention counted"


def _chosen_by(row: dict[str, Any]) -> float:
    return float((row.get("val_accuracy") or row["accuracy"])["mean"])


def _name(summary: ComparisonSummary, row: dict[str, Any]) -> str:
    return short_names(summary)[row["setting"]]


def _samples(summary: ComparisonSummary) -> str:
    return f"{RunSummary('', '', summary.recipe).sample}s"


def _share(row: dict[str, Any]) -> str:
    return f"{100 * row['accuracy']['mean']:.1f} %"


def _accuracy(summary: ComparisonSummary, best: dict[str, Any], first: dict[str, Any]) -> str:
    seeds = best["seeds"]
    how = "on validation data" if best.get("val_accuracy") else "here"
    who = f"{_name(summary, best)}, the best setting {how}, recognises {_share(best)} of the test {_samples(summary)}"
    over = f" (mean of {seeds} seeds)" if seeds > 1 else " (one seed)"
    base, points = _name(summary, first), 100 * best["difference"]["mean"]
    if seeds == 1:
        return f"{who}{over}, {base} {_share(first)}; with one seed nobody knows whether that is a difference."
    if clear(best):
        return f"{who}{over}: {abs(points):.1f} points {'more' if points > 0 else 'less'} than {base}{_bounds(best)}."
    return f"{who}{over}: no clear difference to {base} ({_share(first)}), {_signed(points)} points{_bounds(best)}."


def _bounds(row: dict[str, Any]) -> str:
    low, high = row["difference"]["low"], row["difference"]["high"]
    return "" if low is None else f" (95 % interval {_signed(100 * low)} to {_signed(100 * high)})"


def _savings(best: dict[str, Any]) -> str:
    spikes, ratio = 100 * best["spikes_saved"]["mean"], best["energy_ratio"]["mean"]
    first = f"{spikes:.0f} % fewer" if spikes >= 0 else f"{-spikes:.0f} % more"
    second = f"{ratio:.1f} times less" if ratio >= 1 else f"{1 / ratio:.1f} times more" if ratio else "no known"
    return f"It spends {first} spikes and {second} energy, by estimate and with its own multiplications counted."


def _silence(best: dict[str, Any], first: dict[str, Any], name: str) -> str:
    """How much of the saving is there before anything is learnt."""
    if "nasar_untrained" not in best or not first.get("nasar_untrained", {}).get("mean") or not first["nasar"]["mean"]:
        return ""
    before = 100 * (1 - best["nasar_untrained"]["mean"] / first["nasar_untrained"]["mean"])
    after = 100 * (1 - best["nasar"]["mean"] / first["nasar"]["mean"])
    if max(abs(before), abs(after)) < 5:
        return ""
    return f"Untrained, its network is already {_quieter(before)} than {name} untrained; trained, {_quieter(after)}."


def _quieter(percent: float) -> str:
    return f"{percent:.0f} % quieter" if percent >= 0 else f"{-percent:.0f} % louder"


def _controls(summary: ComparisonSummary, best: dict[str, Any]) -> str:
    """What attention that looks at nothing does; not once more for the setting already spoken of."""
    said = []
    for row in summary.rows[1:]:
        if row is not best and is_control(summary, row["setting"]):
            unclear = "" if clear(row) else ", no clear difference"
            word = f"{_signed(100 * row['difference']['mean'])} points{unclear}"
            saved = 100 * row["spikes_saved"]["mean"]
            share = f"saves {saved:.0f} % of the spikes" if saved >= 0 else f"spends {-saved:.0f} % more spikes"
            said.append(f"{_name(summary, row)} {share} ({word})")
    return f"Controls that attend to nothing: {'; '.join(said)}." if said else ""


def _signed(value: float, digits: int = 1) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
