"""`dvspipe inspect FILE`: what a recording holds, and what of it is damaged. Reads it once, in constant memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvspipe.recordings import Damage, open_recording
from dvspipe.recordings.opening import recording_paths
from dvspipe.recordings.recording import OnDamage

DAMAGE_KEYS = ("kind", "offset", "lost_bytes", "last_good_t_us")


def inspect_recording(path: str | Path, on_damage: OnDamage = "skip", convention: str | None = None) -> dict[str, Any]:
    """The JSON result of `dvspipe inspect`; of an archive, all its recordings together and the first damage.

    Times (earliest and latest) and `on_fraction` are None where there are no events. Raises RecordingError as
    `open_recording` does.
    """
    events, on, damage = 0, 0, None
    times: list[int] = []
    for each in recording_paths(path):
        recording = open_recording(each, on_damage, convention)
        for chunk in recording:
            events, on = events + len(chunk), on + int(chunk.p.sum())
            times = [min([int(chunk.t.min()), *times]), max([int(chunk.t.max()), *times])]
        damage = damage or recording.damage
    return {
        "format": recording.format,
        "sensor_size": list(recording.sensor_size),
        "events": events,
        "t_first_us": times[0] if times else None,
        "t_last_us": times[1] if times else None,
        "on_fraction": on / events if events else None,
        "damage": damage_as_dict(damage),
    }


def damage_as_dict(damage: Damage | None) -> dict[str, Any] | None:
    """The contract's `damage`: kind, offset, lost_bytes, last_good_t_us; None where there is none."""
    return None if damage is None else {key: getattr(damage, key) for key in DAMAGE_KEYS}
