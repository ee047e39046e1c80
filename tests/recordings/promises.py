"""What every reader promises of a damaged file, as one check. See `check` for the list."""

from dataclasses import dataclass, field

import numpy as np

from dvspipe.errors import DamagedRecordingError, DvspipeError
from dvspipe.events import Events
from dvspipe.recordings import open_recording

SECOND_US = 1_000_000
UNWITNESSED = 4  # events: fewer are judged by what follows them
UNWITNESSED_US = 86_400 * SECOND_US
LARGEST_CHUNK = 65_536
KINDS = {"truncated", "corrupt", "out-of-bounds"}


@dataclass
class Reading:
    """One way through a file: what came out, the open recording (None: refused) and how it ended."""

    events: Events
    recording: object = None
    error: DvspipeError | None = None
    faults: list = field(default_factory=list)


def read(path, on_damage):
    """Reads all there is. Any error but ours passes, and is a broken promise."""
    chunks, recording = [], None
    try:
        recording = open_recording(path, on_damage)
        for chunk in recording:
            chunks.append(chunk)
    except DvspipeError as error:
        end = error
    else:
        end = None
    size = recording.sensor_size if recording else (0, 0)
    reading = Reading(Events.concatenate(chunks, size), recording, end)
    if any(len(chunk) > LARGEST_CHUNK for chunk in chunks):
        reading.faults.append(f"a chunk of {max(map(len, chunks))} events")
    if isinstance(end, DamagedRecordingError) and on_damage != "fail":
        reading.faults.append(f"{on_damage}: raised {end}")
    return reading


def check(path, damage, family, made):
    """(outcome, broken promises) of one damaged file; outcome is "refused", "reported" or "silent". The promises:

    1. Nothing is raised but errors of dvspipe's own, and none once the file is open (unless on_damage="fail").
    2. Every event lies inside the sensor; no chunk is larger than 65,536 events.
    3. A file may be refused only when its header or another vital part is hit.
    4. Every event that is whole before the first damaged byte is delivered, unchanged and in order.
    5. Where checksums guard the events: what is delivered was in the file. Elsewhere a changed event may pass, for
       nothing tells a flipped low bit from another event; but none before 0 (or a day before
       the first), and none more than two seconds (`ahead_us`)
       behind the last time of the whole file. (The last few events of a file, or the last
       before zeroed bytes, have no witness, and may lie a day too late.)
    6. Where events are missing, that is reported, with a known kind and places inside the file.
    7. "stop" gives what "skip" gives up to the first damage; "fail" the same and then raises.
    """
    skip = read(path, "skip")
    if skip.recording is None:
        return "refused", [] if _may_refuse(damage, family, made) else [f"refused: {skip.error}"]
    faults = [*skip.faults, *_inside(skip)]
    if skip.error is not None:
        faults.append(f"raised while reading: {skip.error}")
    known = skip.recording.format == family.format and not _vital_hit(damage, made)
    if known:
        faults += _prefix(skip.events, damage, made) + _times(skip.events, damage, family, made)
        faults += _silence(skip, damage, family, made)
    faults += _report(skip, len(damage.data)) + _policies(
        path, skip, made, made.stored(damage.first) if known and damage.kind != "garbage" else None
    )
    return ("reported" if skip.recording.damage else "silent"), faults


def _vital_hit(damage, made):
    """Whether the damage changed a vital byte, or moved one."""
    if damage.first < made.header:
        return True
    if len(damage.data) != len(made.data):
        return any(stop > damage.first for _, stop in made.vital)
    whole, changed = (np.frombuffer(data, np.uint8) for data in (made.data, damage.data))
    return any((whole[start:stop] != changed[start:stop]).any() for start, stop in made.vital)


def _may_refuse(damage, family, made):
    return (
        not damage.data
        or family.whole
        or _vital_hit(damage, made)
        or (len(damage.data) != len(made.data) and not family.cuts)
        or made.stored(damage.first) == 0
    )


def _inside(reading):
    width, height = reading.recording.sensor_size
    outside = (reading.events.x >= width) | (reading.events.y >= height)
    return [f"{np.count_nonzero(outside)} events outside the sensor"] if outside.any() else []


def _rows(events):
    return np.stack([events.t, events.x, events.y, events.p], axis=1)


def _prefix(events, damage, made):
    count = made.stored(damage.first)
    if np.array_equal(_rows(events[:count]), _rows(made.events[:count])):
        return []
    same = _rows(events[: min(count, len(events))]) == _rows(made.events[: min(count, len(events))])
    right = int(np.argmin(same.all(axis=1))) if not same.all() else len(same)
    return [f"{count} events lie before byte {damage.first}, only {right} of them came ({len(events)} events in all)"]


def _times(events, damage, family, made):
    if not len(events):
        return []
    faults = []
    if family.checked:
        places = np.minimum(np.searchsorted(made.events.t, events.t), len(made.events) - 1)
        strange = (_rows(events) != _rows(made.events[places])).any(axis=1)
        if strange.any():
            faults.append(f"{np.count_nonzero(strange)} events were never in the file")
        if damage.kind != "double" and (np.diff(places) <= 0).any():
            faults.append("events out of order")
        return faults
    shifted = len(damage.data) != len(made.data) and damage.kind != "cut"
    if (shifted and not family.framed) or (damage.kind == "garbage" and not made.stored(damage.first)):
        return []  # what follows are other numbers, in a file that does not mark its events
    last = made.events.t[-1] + family.ahead_us
    late = events.t > last
    unwitnessed = np.flatnonzero(events.t > 0)[-family.lone :]
    late[unwitnessed] &= events.t[unwitnessed] > last + UNWITNESSED_US
    if late.any():
        faults.append(f"{np.count_nonzero(late)} far-future times, {events.t[late][0] - last} us, of {len(events)}")
    early = events.t < max(0, made.events.t[0] - UNWITNESSED_US)
    if early.any():
        faults.append(f"{np.count_nonzero(early)} times before all others, {events.t[early][0]} us")
    return faults


def _silence(reading, damage, family, made):
    """Missing events that nobody was told of."""
    if reading.recording.damage is not None:
        return []
    changed = len(damage.data) - len(made.data)
    if damage.kind == "cut":
        quiet = made.boundary(len(damage.data)) or damage.first == len(made.data)
        return [] if quiet or len(reading.events) == len(made.events) else ["a cut was not reported"]
    missing = len(made.events) - len(reading.events)
    if missing <= 0 or (changed and family.record and changed % family.record == 0):
        return []
    allowed = 0 if family.checked else damage.touched + family.quiet
    return [f"{missing} events are missing without report"] if missing > allowed else []


def _report(reading, size):
    damage, events = reading.recording.damage, reading.events
    if damage is None:
        return []
    faults = []
    if damage.kind not in KINDS:
        faults.append(f"damage kind {damage.kind!r}")
    if not 0 <= damage.offset <= size or not 0 <= damage.lost_bytes <= size:
        faults.append(f"damage at {damage.offset}, {damage.lost_bytes} bytes lost, of {size}")
    last = damage.last_good_t_us
    if last is not None and not (events.t == last).any():
        faults.append(f"last good time {last} is no event's")
    return faults


def _borne_out(events):
    """How many events lie before the last jump of time and the last few: these are judged by events that follow them,
    which "stop" does not read."""
    jumps = np.flatnonzero(np.abs(np.diff(events.t)) > SECOND_US)
    return max(0, min(len(events) - UNWITNESSED + 1, *(int(jump) + 1 for jump in jumps[-1:]), len(events)))


def _policies(path, skip, made, count):
    """`count`: the events before the damage; None where nothing is known of them."""
    stop, fail = read(path, "stop"), read(path, "fail")
    faults = [*stop.faults, *fail.faults]
    damaged = skip.recording.damage is not None
    if damaged != (stop.recording.damage is not None) or damaged != isinstance(fail.error, DamagedRecordingError):
        faults.append(f"skip, stop and fail see damage: {damaged}, {stop.recording.damage}, {fail.error}")
    for name, reading in (("stop", stop), ("fail", fail)):
        sure = _borne_out(reading.events) if damaged else len(reading.events)
        if count is None:
            continue
        if not np.array_equal(_rows(reading.events[:count]), _rows(made.events[:count])):
            faults.append(f"{name} does not give the {count} events before the damage")
        if not np.array_equal(_rows(reading.events)[:sure], _rows(skip.events)[:sure]):
            faults.append(f"{name} gives other events than skip")
        elif not damaged and len(reading.events) != len(skip.events):
            faults.append(f"{name} gives {len(reading.events)} events, skip {len(skip.events)}, without damage")
    if len(stop.events) != len(fail.events):
        faults.append(f"stop gives {len(stop.events)} events, fail {len(fail.events)}")
    return faults
