"""One live session -> one HTML file that needs nothing else: the panels of the live views, for the whole session.

Decides which sections there are: what is missing is left out. What it looks like is `live_session.html`; the figures are
`live_figures` and `live_plots`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dvspipe.show import inside, live_figures, live_plots, live_words, verdict
from dvspipe.show.animation import animation
from dvspipe.show.page import provenance, recipe_table, render_page, safe, write_page
from dvspipe.show.report import NOT_REAL_TIME
from dvspipe.show.summary import LiveSummary

_MARKS = {"p50": "p50_ms", "p95": "p95_ms", "p99": "p99_ms", "p99.9": "p999_ms", "max": "max_ms"}
_COUNTS = {
    "bins": "bins",
    "decisions": "bins decided",
    "late_bins": "bins late: decided after the next was due",
    "dropped_bins": "bins dropped",
    "dropped_events": "events dropped with them",
    "merged_bins": "bins merged into the next",
    "late_events": "events too late for their bin",
    "tail_events": "events after the last whole bin",
    "resets": "resets after a silence",
}
_POLICIES = {
    "oldest": "the bin that waits longest is dropped",
    "newest": "the newest bin is dropped",
    "merge": "waiting bins are added up into one",
    "block": "the recording waits",
}
_LATENCIES = 100_000  # that a histogram is made of


def write_live_report(
    path: Path | str,
    sessions: LiveSummary | Sequence[LiveSummary],
    facts: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Writes the page, whole or not at all, and returns its absolute path.

    `sessions`: one, or one per recording of a playlist. `facts` of the run that decided, in words: name, network, accuracy.
    """
    return write_page(path, render_live_report(sessions, facts, notes))


def render_live_report(
    sessions: LiveSummary | Sequence[LiveSummary], facts: Mapping[str, Any] | None = None, notes: Sequence[str] = ()
) -> str:
    """The page as text."""
    sessions = [sessions] if isinstance(sessions, LiveSummary) else list(sessions)
    first = sessions[0] if sessions else LiveSummary("nothing was played")
    several = len(sessions) > 1
    return render_page(
        "live_session.html",
        title=f"Live on {len(sessions)} recordings" if several else f"Live on {first.source}",
        verdict=" ".join(_verdict(each, several) for each in sessions[:3]),
        key_figures=_key_figures(first) if not several else [],
        hero=_hero(sessions),
        several=several,
        sessions=[_section(each) for each in sessions],
        facts=recipe_table({"of the run": facts}) if facts else None,
        recipes=None,
        notes=list(notes),
        provenance=provenance(),
    )


def not_real_time(result: Mapping[str, Any]) -> bool:
    """Whether more than 1 % of the bins were dropped."""
    dropped, bins = result.get("dropped_bins") or 0, result.get("bins") or 0
    return dropped > NOT_REAL_TIME * (bins + dropped)


def damage_words(damage: Mapping[str, Any]) -> str:
    """One damage of a recording as a sentence; what is not known is left out."""
    place = f" at byte {damage['offset']:,}" if damage.get("offset") is not None else ""
    lost = f"; {damage['lost_bytes']:,} bytes lost" if damage.get("lost_bytes") is not None else ""
    last = damage.get("last_good_t_us")
    good = f"; the last good event before it at {live_words.clock(last)}" if last is not None else ""
    kind = str(damage.get("kind") or "damage").replace("_", " ")
    return f"{kind[:1].upper()}{kind[1:]}{place}{lost}{good}."


def _section(live: LiveSummary) -> dict[str, Any]:
    """What the page says of one recording."""
    marks = _marks(live)
    latencies = _latencies(live)
    decisions = [row for row in live.decisions if row.get("t_us") is not None]
    lasting = _lasting_us(live)
    policy = str(live.result.get("drop") or live.settings.get("drop") or "")
    return {
        "source": live.source,
        "not_real_time": not_real_time(live.result),
        "agreement": _agreement(live),
        "labelled": bool(live.truth),
        "timeline": safe(live_figures.timeline(decisions, live.truth, live.classes, lasting)) if decisions else None,
        "over_time": _over_time(live, marks),
        "marks": marks,
        "counts": [(live.result[key], words) for key, words in _COUNTS.items() if live.result.get(key) is not None],
        "histogram": safe(live_plots.latency_histogram(latencies, marks)) if len(latencies) > 1 else None,
        "damage": [damage_words(each) for each in _damages(live)],
        "policy": _POLICIES.get(policy, policy),
        "attention": inside.weights("Means over the session", live.inside, live.bin_us / 1000 or None),
        "settings": recipe_table({"setting": live.settings}) if live.settings else None,
    }


def _verdict(live: LiveSummary, named: bool) -> str:
    """What came out, in a few sentences, from the numbers alone."""
    result, words = live.result, []
    start = f"{live.source}: " if named else ""
    if (rate := _agreement(live)) is not None:
        words.append(f"{start}inside labelled windows {100 * rate:.0f} % of the decisions named the label.")
    elif result.get("bins"):
        decided = (result.get("decisions") or 0) / result["bins"]
        words.append(f"{start}a class was decided in {100 * decided:.0f} % of {result['bins']:,} bins.")
    if result.get("p99_ms") is not None:
        words.append(f"99 % of the decisions came within {result['p99_ms']:.1f} ms of their bin's last event.")
    if (dropped := result.get("dropped_bins")) is not None:
        lost = f"{dropped:,} bins ({result.get('dropped_events') or 0:,} events) were dropped"
        words.append(f"{lost}." if dropped else "No bin was dropped.")
    text = " ".join(words).replace(" %", "\u00a0%")
    return text[:1].upper() + text[1:] if not named else text


def _key_figures(live: LiveSummary) -> list[tuple[str, str]]:
    """At most four numbers large enough to be read across a room."""
    result, figures = live.result, []
    if (rate := _agreement(live)) is not None:
        figures.append((f"{100 * rate:.0f} %", "of the decisions inside labelled windows are right"))
    if result.get("p99_ms") is not None:
        figures.append((f"{result['p99_ms']:.1f} ms", "from a bin's last event to the decision, 99 % of the time"))
    if result.get("bins"):
        seconds = result["bins"] * live.bin_us / 1e6
        figures.append(
            (live_words.clock(seconds * 1e6), "of sensor time") if seconds else (f"{result['bins']:,}", "bins")
        )
    if (factor := result.get("x_real_time")) is not None:
        figures.append((live_words.speed(factor), "real time, on average"))
    return figures


def _hero(sessions: Sequence[LiveSummary]) -> dict[str, Any] | None:
    """A stretch with decisions, as an animation, each bin with what was decided."""
    live = next((each for each in sessions if each.clip is not None and len(each.clip)), None)
    if live is None or live.clip is None:
        return None
    bins = np.array([row["bin"] for row in live.decisions])
    said = [f"{row['label']}  {row['confidence']:.2f}" if row["label"] else "…" for row in live.decisions]
    at = np.searchsorted(bins, live.clip_bin + np.arange(len(live.clip)), side="right") - 1
    captions = [live_words.printable(said[place]) if place >= 0 else "…" for place in at.tolist()] if said else []
    bin_ms = live.bin_us / 1000 or 50.0
    first = live_words.clock(live.clip_bin * bin_ms * 1000)
    return {
        "image": animation(live.clip, captions, frame_ms=bin_ms),
        "bins": len(live.clip),
        "truth": None,
        "answers": [],
        "words": f"{len(live.clip)} bins from {first} on, and what was decided",
    }


def _over_time(live: LiveSummary, marks: Mapping[str, float]) -> Any:
    """Every panel over the same time; None without any."""
    rows = [row for row in live.decisions if row.get("latency_ms") is not None]
    latency = None
    if len(rows) > 1:
        latency = (np.array([row["t_us"] for row in rows], float), np.array([row["latency_ms"] for row in rows], float))
    series = {
        "evidence": live.evidence if live.evidence is not None and np.size(live.evidence) else None,
        "event_rate": live.event_rate if live.event_rate is not None and len(live.event_rate) > 1 else None,
        "latency": latency,
        "rates": {name: rates for name, rates in live.rates.items() if len(rates) > 1},
    }
    if not live.decisions or all(not len(each) if isinstance(each, dict) else each is None for each in series.values()):
        return None
    start = live.decisions[0]["t_us"] - _lasting_us(live)
    classes = (
        live.classes or [str(index) for index in range(np.shape(live.evidence)[-1])]
        if live.evidence is not None
        else []
    )
    over = live_figures.Over(start, live.decisions[-1]["t_us"], classes, percentiles=marks, **series)  # type: ignore[arg-type]
    return safe(live_figures.over_time(over))


def _lasting_us(live: LiveSummary) -> float:
    """Sensor time that one row of decisions stands for."""
    times = np.array([row["t_us"] for row in live.decisions], float)
    return float(np.median(np.diff(times))) if len(times) > 1 else float(live.bin_us or 1)


def _marks(live: LiveSummary) -> dict[str, float]:
    return {name: live.result[key] for name, key in _MARKS.items() if live.result.get(key) is not None}


def _latencies(live: LiveSummary) -> Sequence[float]:
    """Of every bin where they were kept, evenly chosen where they are very many."""
    found = live.latencies_ms if len(live.latencies_ms) else [row.get("latency_ms") for row in live.decisions]
    known = [each for each in found if each is not None]
    return known[:: -(-len(known) // _LATENCIES) or 1]


def _agreement(live: LiveSummary) -> float | None:
    """Exact where the session counted it."""
    known = live.result.get("agreement")
    return known if known is not None else verdict.agreement(live)


def _damages(live: LiveSummary) -> list[Mapping[str, Any]]:
    found = live.damage if live.damage is not None else live.result.get("damage")
    if not found:
        return []
    return [found] if isinstance(found, Mapping) else list(found)
