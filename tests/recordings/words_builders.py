"""AEDAT 2.0, Prophesee DAT and Event Stream files made byte by byte with `struct` alone. Events are (t, x, y, p)."""

import struct

AEDAT2_LINES = (
    b"#!AER-DAT2.0",
    b"# This is a raw AE data file - do not edit",
    b"# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event",
    b"# Timestamps tick: 1 us",
)
JAER_END = b"#End Of ASCII Header\r\n"
DAVIS = b"eu.seebetter.ini.chips.davis."
DVS128 = b"ch.unizh.ini.jaer.chip.retina.DVS128"


def aedat2_header(chip=DVS128, extra=(), end=JAER_END):
    lines = [*AEDAT2_LINES, *([b"# AEChip: " + chip] if chip else []), *extra]
    return b"".join(line + b"\r\n" for line in lines) + end


def record(address, t):
    """One AEDAT 2.0 record; the clock has 32 bits."""
    return struct.pack(">II", address, t % (1 << 32))


def dvs128(t, x, y, p):
    """As jAER means it: x, y from the upper left."""
    return record((127 - y) << 8 | (127 - x) << 1 | (1 - p), t)


def davis(size, on=1):
    """A function that makes records of a DAVIS of (W, H) pixels, as jAER means them."""
    width, height = size

    def make(t, x, y, p):
        return record((height - 1 - y) << 22 | (width - 1 - x) << 12 | (p if on else 1 - p) << 11, t)

    return make


def aps(t, x=5, y=7, sample=300, read=0):
    return record(1 << 31 | y << 22 | x << 12 | read << 10 | sample, t)


def imu(t, channel=2, value=1234):
    return record(1 << 31 | channel << 28 | value << 12 | 3 << 10, t)


def external(t):
    return record(1 << 10 | 3, t)


def dat_header(width=None, height=None, version=2, kind=12, size=8, extra=()):
    lines = [b"% Data file containing CD events.", *extra]
    fields = {b"Version": version, b"Width": width, b"Height": height}
    lines += [b"% " + name + b" " + str(value).encode() for name, value in fields.items() if value is not None]
    return b"".join(line + b"\n" for line in lines) + bytes([kind, size])


def dat(t, x, y, p):
    return struct.pack("<II", t % (1 << 32), x | y << 14 | p << 28)


def dat1(t, x, y, p):
    """The layout of before version 2."""
    return struct.pack("<II", t % (1 << 32), x | y << 9 | p << 17)


def es_header(size=(128, 128), kind=1, version=(2, 0, 0)):
    return b"Event Stream" + bytes([*version, kind]) + struct.pack("<HH", *size)


def es(events, before=0):
    """DVS events behind time `before`."""
    parts = []
    for t, x, y, p in events:
        longer, step = divmod(t - before, 127)
        parts.append(b"\xff" * longer + struct.pack("<BHH", step << 1 | p, x, y))
        before = t
    return parts


def es_atis(events):
    """ATIS events (t, x, y, p, exposure)."""
    parts, before = [], 0
    for t, x, y, p, exposure in events:
        longer, step = divmod(t - before, 63)
        many, few = divmod(longer, 3)
        lengthened = b"\xff" * many + (bytes([0xFC | few]) if few else b"")
        parts.append(lengthened + struct.pack("<BHH", step << 2 | p << 1 | exposure, x, y))
        before = t
    return parts
