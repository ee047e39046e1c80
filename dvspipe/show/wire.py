"""What goes over the wire between a live run and its page: JSON for words and numbers, bytes for pictures.

Server to page: text, a JSON list of parts, each with a `kind` (stage, runs, pulses, now, looks); and pictures:
width and height as uint16 (little-endian), then the glow, uint8 [2,H,W] (OFF, ON). Page to server: one command per
text, see `command`. Knows no sockets.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.show.feed import Pulse, Run
from dvspipe.show.moment import Looks, Moment, Stage
from dvspipe.show.picture import shrink

COMMAND_BYTES = 256  # of a command at most
_STATS = ("event_rate", "latency_ms", "p50_ms", "p99_ms", "queue", "dropped_bins", "dropped_events", "speed")
_SLOWEST, _FASTEST = 0.01, 1000.0  # times real time
_STEPS = 64  # of attention over time
_CELLS = 32  # of a map of attention, each way
_LAYERS = 24


class Command(NamedTuple):
    """`do` is play, pause, step, seek (`value` = t_us) or speed (`value` = times real time, 0 = as fast as possible)."""

    do: str
    value: float | int = 0


def command(text: str) -> Command | None:
    """A command of the page; None for everything that is not exactly one: pages of strangers may talk to this."""
    if len(text) > COMMAND_BYTES:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    match found:
        case {"do": "play" | "pause" | "step" as do}:
            return Command(do)
        case {"do": "seek", "t_us": int(t_us)} if not isinstance(t_us, bool) and 0 <= t_us < 2**63:
            return Command("seek", t_us)
        case {"do": "speed", "speed": float() | int() as speed} if not isinstance(speed, bool):
            return Command("speed", float(speed)) if speed == 0 or _SLOWEST <= speed <= _FASTEST else None
    return None


def parts(*texts: str) -> str:
    """Parts, each JSON already, as one message."""
    return f"[{','.join(texts)}]"


def stage_part(stage: Stage) -> str:
    """What stays as it is while one recording plays."""
    return _part(
        "stage", title=stage.title, run=stage.run, mode=stage.mode, classes=stage.classes, bin_us=int(stage.bin_us),
        sensor=[int(side) for side in stage.sensor_size], start_us=int(stage.start_us),
        stop_us=None if stage.stop_us is None else int(stage.stop_us), can_seek=bool(stage.can_seek),
        labels=[[label.name, int(label.start_us), int(label.stop_us)] for label in stage.labels],
    )  # fmt: skip


def now_part(stage: Stage, moment: Moment | None, paused: bool, speed: float, ended: str | None) -> str:
    """The newest bin (before the first: none), and whether and how fast it goes on."""
    state = {"paused": paused, "speed": _number(speed), "ended": ended}
    if moment is None:
        return _part("now", t_us=None, **state)
    return _part(
        "now", t_us=int(moment.t_us), label=moment.label, confidence=_number(moment.confidence), truth=moment.truth,
        evidence=[_number(moment.evidence.get(name)) for name in stage.classes],
        stats={key: _number(moment.stats.get(key)) for key in _STATS}, **state,
    )  # fmt: skip


def runs_part(first: int, runs: Iterable[Run]) -> str:
    """Decisions in the order in which they were made, from number `first` on."""
    return _part("runs", first=first, items=[[run.label, int(run.start_us), int(run.stop_us)] for run in runs])


def pulses_part(first: int, pulses: Iterable[Pulse]) -> str:
    """Event rate and latency, from number `first` on."""
    return _part("pulses", first=first, items=[[_number(pulse.rate), _number(pulse.latency_ms)] for pulse in pulses])


def looks_part(looks: Looks) -> str:
    """Spike rates and attention weights; maps as bytes between their least and greatest weight."""
    return _part(
        "looks", neutral=_number(looks.neutral), rates=[[name, _number(rate)] for name, rate in looks.rates.items()],
        time=[[name, [_number(weight) for weight in _flat(weights)]] for name, weights in _few(looks.time)],
        space=[_map(name, weights) for name, weights in _few(looks.space)],
    )  # fmt: skip


def picture_bytes(glow: NDArray[np.floating[Any]]) -> bytes:
    """Glow [2,H,W], 0..1."""
    _, height, width = glow.shape
    return struct.pack("<HH", width, height) + (glow * 255).astype(np.uint8).tobytes()


def summary(pulses: Sequence[Pulse]) -> Pulse:
    """Several bins as one: mean event rate, worst latency."""
    rates = [pulse.rate for pulse in pulses if pulse.rate is not None]
    latencies = [pulse.latency_ms for pulse in pulses if pulse.latency_ms is not None]
    return Pulse(sum(rates) / len(rates) if rates else None, max(latencies, default=None))


def _part(kind: str, **content: Any) -> str:
    return json.dumps({"kind": kind, **content}, separators=(",", ":"))


def _number(value: Any) -> float | None:
    """JSON knows no NaN, and numpy's numbers are not JSON's."""
    if value is None or not math.isfinite(number := float(value)):
        return None
    return round(number, 4)


def _few(layers: Any) -> list[tuple[str, NDArray[Any]]]:
    return [(name, np.asarray(weights, np.float32)) for name, weights in list(layers.items())[:_LAYERS]]


def _flat(weights: NDArray[Any]) -> list[float]:
    return list(weights.ravel()[-_STEPS:].tolist())


def _map(name: str, weights: NDArray[Any]) -> dict[str, Any]:
    blocks, counts = (np.asarray(shrink(each, _CELLS, _CELLS)) for each in (weights, np.ones_like(weights)))
    small = np.nan_to_num(np.divide(blocks, counts))
    low, high = float(small.min()), float(small.max())
    levels = ((small - low) * (255 / (high - low or 1.0))).round().astype(np.uint8)
    size = {"width": small.shape[1], "height": small.shape[0], "low": round(low, 4), "high": round(high, 4)}
    return {"name": name, **size, "levels": base64.b64encode(levels.tobytes()).decode()}
