"""Prophesee RAW files made word by word with `struct` alone: our decoder is held to these, not to a writer of ours.

`beat_us` is how often the clock says its upper bits: cameras do so every 16 us, however quiet it is; None says them only
where they change, as small writers do.
"""

import struct
from typing import NamedTuple

import numpy as np

WORD_BYTES = {"evt2": 4, "evt2.1": 8, "evt3": 2}
FORMATS = {"evt2": "<I", "evt2.1": "<Q", "evt3": "<H"}


class Stream(NamedTuple):
    """Words (integers), and of each the events that are whole behind it and the number of its TIME_HIGH slot."""

    encoding: str
    words: list
    whole: list
    slots: list

    def data(self, big_endian=False, swapped=False):
        return b"".join(pack(self.encoding, word, big_endian, swapped) for word in self.words)


def pack(encoding, word, big_endian=False, swapped=False):
    if swapped:
        word = word >> 32 | (word & 0xFFFFFFFF) << 32
    return struct.pack(FORMATS[encoding].replace("<", ">" if big_endian else "<"), word)


def header(encoding, size=(640, 480), end=True, extra=()):
    number = {"evt2": "2.0", "evt2.1": "2.1", "evt3": "3.0"}[encoding]
    lines = ["Date 2024-05-06 07:08:09", f"evt {number}", "serial_number 00000307", *extra]
    if size:
        lines.append(f"geometry {size[0]}x{size[1]}")
    return b"".join(f"% {line}\n".encode() for line in [*lines, *(["end"] if end else [])])


def stream(encoding, events, beat_us=16, vectors=True):
    """The words of (t, x, y, p) tuples whose times never fall."""
    writer = _Writer(encoding)
    unit = 12 if encoding == "evt3" else 6
    high, next_beat = None, None
    for group in groups(encoding, events, vectors):
        t = group[0][0]
        while beat_us is not None and next_beat is not None and next_beat <= t:
            high = writer.time_high(next_beat >> unit)
            writer.beat_low(next_beat)
            next_beat += beat_us
        if high is None or t >> unit != high:
            high = writer.time_high(t >> unit)
            next_beat = None if beat_us is None else t - t % beat_us + beat_us
        writer.events(group)
    return Stream(encoding, writer.words, writer.whole, writer.slots)


def groups(encoding, events, vectors):
    """Events that one vector of the encoding can hold: neighbours in a row, of one time and polarity, x going up."""
    span = {"evt2": 1, "evt2.1": 32, "evt3": 32}[encoding] if vectors else 1
    group = []
    for event in events:
        fits = group and span > 1 and (event[0], *event[2:]) == (group[0][0], *group[0][2:])
        if fits and group[-1][1] < event[1] < group[0][1] + span:
            group.append(event)
            continue
        if group:
            yield group
        group = [event]
    if group:
        yield group


class _Writer:
    def __init__(self, encoding):
        self.encoding, self.words, self.whole, self.slots = encoding, [], [], []
        self.count, self.slot, self.low = 0, -1, None

    def add(self, word, events=0):
        self.count += events
        self.words.append(word)
        self.whole.append(self.count)
        self.slots.append(self.slot)

    def time_high(self, high):
        self.slot += 1
        self.add({"evt2": time_high2, "evt2.1": time_high21, "evt3": time_high3}[self.encoding](high))
        self.low = None
        return high

    def beat_low(self, t):
        if self.encoding == "evt3":
            self.add(time_low3(t))
            self.low = t

    def events(self, group):
        t, x, y, p = group[0]
        if self.encoding == "evt2":
            self.add(event2(t, x, y, p), 1)
        elif self.encoding == "evt2.1":
            self.add(vector21(t, x, y, p, sum(1 << each[1] - x for each in group)), len(group))
        else:
            self.events3(group)

    def events3(self, group):
        t, x, y, p = group[0]
        if self.low != t:
            self.add(time_low3(t))
            self.low = t
        self.add(y)
        if len(group) == 1:
            self.add(0x2000 | p << 11 | x, 1)
            return
        mask = sum(1 << each[1] - x for each in group)
        self.add(0x3000 | p << 11 | x)
        for kind, shift, bits in ((0x4000, 0, 12), (0x4000, 12, 12), (0x5000, 24, 8)):
            part = mask >> shift & (1 << bits) - 1
            self.add(kind | part, part.bit_count())


def time_high2(high):
    return 0x8 << 28 | high & 0xFFFFFFF


def event2(t, x, y, p):
    return p << 28 | (t & 63) << 22 | x << 11 | y


def time_high21(high):
    return 0x8 << 60 | (high & 0xFFFFFFF) << 32


def vector21(t, x, y, p, mask):
    return p << 60 | (t & 63) << 54 | x << 43 | y << 32 | mask


def time_high3(high):
    return 0x8000 | high & 0xFFF


def time_low3(t):
    return 0x6000 | t & 0xFFF


def random_events(count, seed=0, first=5_000_000, step=20, size=(640, 480), run=0.0):
    """Time-ordered (t, x, y, p) tuples; a share `run` of them lies right beside the one before, at its time."""
    rng = np.random.default_rng(seed)
    rows, t = [], first
    for along in (rng.random(count) < run).tolist():
        x, y, p = (int(rng.integers(limit)) for limit in (*size, 2))
        if along and rows and rows[-1][1] + 1 < size[0]:
            _, x, y, p = rows[-1]
            x = min(size[0] - 1, x + int(rng.integers(1, 4)))
        else:
            t += int(rng.integers(step))
        rows.append((t, x, y, p))
    return rows
