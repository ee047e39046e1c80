"""Damage to a file's bytes, seeded: cuts, flipped bits, zeroed and random ranges, ranges lost or doubled, garbage."""

from typing import NamedTuple

import numpy as np

MOST_FLIPS = 200
IN_HEADER = 0.05  # of the files: headers are short and would hardly ever be hit


class Damage(NamedTuple):
    """Damaged bytes. `first` is the first byte that is not the whole file's, `touched` how many bytes are not."""

    data: bytes
    kind: str
    first: int
    touched: int


def damage(whole: bytes, header: int, *seed: int) -> Damage:
    """One of the kinds below, at a random place; the first `header` bytes are a header, which garbage leaves alone."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(list(KINDS), p=WEIGHTS))
    low, high = (0, header) if header and rng.random() < IN_HEADER else (0, len(whole))
    place = int(rng.integers(low, high))
    changed = KINDS[kind](rng, bytearray(whole), place, header)
    return Damage(bytes(changed), kind, *_compared(whole, changed))


def _compared(whole, changed):
    shared = min(len(whole), len(changed))
    different = np.frombuffer(whole, np.uint8, shared) != np.frombuffer(changed, np.uint8, shared)
    first = int(np.argmax(different)) if different.any() else shared
    if len(whole) == len(changed):
        return first if different.any() else len(whole), int(np.count_nonzero(different))
    return first, abs(len(whole) - len(changed))


def _length(rng, room):
    """Mostly short, sometimes thousands of bytes."""
    return max(1, min(room, int(2 ** rng.uniform(0, 13))))


def _cut(rng, data, place, header):
    return data[:place]


def _flip(rng, data, place, header):
    count = int(2 ** rng.uniform(0, np.log2(MOST_FLIPS + 1)))
    stop = len(data) if rng.random() < 0.5 else min(len(data), place + 4 * count)
    for at in [place, *rng.integers(place, stop, count - 1)]:
        data[at] ^= 1 << int(rng.integers(8))
    return data


def _zero(rng, data, place, header):
    length = _length(rng, len(data) - place) if rng.random() < 0.8 else len(data) - place
    data[place : place + length] = bytes(length)
    return data


def _random(rng, data, place, header):
    length = _length(rng, len(data) - place)
    data[place : place + length] = rng.bytes(length)
    return data


def _garbage(rng, data, place, header):
    kept = header if rng.random() < 0.8 else 0
    return data[:kept] + rng.bytes(len(data) - kept)


def _double(rng, data, place, header):
    length = _length(rng, len(data) - place)
    return data[: place + length] + data[place:]


def _lose(rng, data, place, header):
    return data[:place] + data[place + _length(rng, len(data) - place) :]


def _empty(rng, data, place, header):
    return b""


KINDS = {
    "cut": _cut,
    "flip": _flip,
    "zero": _zero,
    "random": _random,
    "garbage": _garbage,
    "double": _double,
    "lose": _lose,
    "empty": _empty,
}
WEIGHTS = np.array([24, 35, 12, 12, 5, 6, 6, 0.2])
WEIGHTS /= WEIGHTS.sum()
