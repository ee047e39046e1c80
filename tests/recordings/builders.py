"""AEDAT 3.1 files made byte by byte with `struct` alone: our writer cannot hide a fault of our reader."""

import struct

import numpy as np

HEADER_LINES = (
    b"#!AER-DAT3.1",
    b"#Format: RAW",
    b"#Source 1: DVS128",
    b"#Start-Time: 2016-09-16 14:20:00 (TZ+0000)",
    b"#!END-HEADER",
)


def header(end=b"\r\n", device=b"DVS128", extra=()):
    lines = [*HEADER_LINES[:-1], *extra, HEADER_LINES[-1]]
    lines[2] = b"#Source 1: " + device
    return b"".join(line + end for line in lines)


def event(t, x, y, p, valid=1):
    return struct.pack("<Ii", valid | p << 1 | y << 2 | x << 17, t)


def packet(events, kind=1, overflow=0, spare=0, source=1, **fields):
    """Events are (t, x, y, p[, valid]) tuples; `spare` unfilled slots follow; `fields` overrides header fields."""
    values = {
        "size": 8,
        "stamp": 4,
        "overflow": overflow,
        "capacity": len(events) + spare,
        "number": len(events),
        "valid": sum(each[4] if len(each) > 4 else 1 for each in events),
    } | fields
    head = struct.pack("<hhiiiiii", kind, source, *values.values())
    return head + b"".join(event(*each) for each in events) + b"\xff" * 8 * spare


def random_events(count, seed=0, first=1_000_000, step=50, size=(128, 128)):
    """Time-ordered (t, x, y, p) tuples inside the sensor."""
    rng = np.random.default_rng(seed)
    t = first + np.cumsum(rng.integers(0, step, count))
    columns = t, rng.integers(0, size[0], count), rng.integers(0, size[1], count), rng.integers(0, 2, count)
    return list(zip(*(column.tolist() for column in columns)))


def packets(events, per_packet):
    return [packet(events[start : start + per_packet]) for start in range(0, len(events), per_packet)]


def tuples(events):
    """Events as the tuples they were made from."""
    return list(zip(events.t.tolist(), events.x.tolist(), events.y.tolist(), events.p.astype(int).tolist()))
