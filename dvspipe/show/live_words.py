"""Numbers and names of a live run as words, the same in every view, and which classes to show where not all fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def printable(name: str) -> str:
    """Names come from files: an escape sequence in one must not drive the terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in name)


def clock(t_us: float) -> str:
    """Sensor time (µs): 12.5 s, 3:07.5 or 1:03:07.5."""
    tenths = int(t_us // 100_000)
    if tenths < 1000:
        return f"{tenths / 10:.1f} s"
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 10:04.1f}"
    return f"{hours}:{minutes:02}:{seconds}" if hours else f"{minutes}:{seconds}"


def event_rate(per_s: float) -> str:
    """Events per second in kev/s, from ten million on in Mev/s."""
    return f"{per_s / 1e6:,.1f} Mev/s" if per_s >= 1e7 else f"{per_s / 1e3:,.0f} kev/s"


def speed(factor: float) -> str:
    """Times real time; few digits where they are many."""
    return f"{factor:.2f}×" if factor < 10 else f"{factor:,.0f}×"


def dropped(stats: Mapping[str, Any]) -> str:
    """Bins, and events where they are counted; empty where nobody counts."""
    if stats.get("dropped_bins") is None:
        return ""
    events = stats.get("dropped_events")
    return f"dropped {stats['dropped_bins']:,} bins" + (f" ({events:,} events)" if events else "")


def numbers(since_us: int, stats: Mapping[str, Any]) -> list[list[str]]:
    """The numbers at hand, in lines of a few; the first is the time since the recording's start (µs)."""
    shown = {
        "event_rate": event_rate,
        "speed": lambda value: f"{speed(value)} real time",
        "p50_ms": lambda value: f"latency p50 {value:.2f} ms",
        "p99_ms": lambda value: f"p99 {value:.2f} ms",
        "queue": lambda value: f"waiting {value} bins",
    }
    rows = (("event_rate", "speed"), ("p50_ms", "p99_ms"), ("queue",))
    lines = [[shown[key](stats[key]) for key in row if stats.get(key) is not None] for row in rows]
    lines[0].insert(0, clock(since_us))
    lines[2] += [words] if (words := dropped(stats)) else []
    return [line for line in lines if line]


def chosen(evidence: Mapping[str, float], most: int, always: tuple[str | None, ...] = ()) -> list[str]:
    """At most `most` classes, in their own order: those of `always`, then the ones with the most evidence."""
    if len(evidence) <= most:
        return list(evidence)
    ranked = sorted(evidence, key=lambda name: (name not in always, -evidence[name]))
    kept = set(ranked[:most])
    return [name for name in evidence if name in kept]
