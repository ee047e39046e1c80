"""Images held out of a set, by SHA-256: for validation, for testing, for an experiment on a part of it.

Which ones depends on the seed and on labels and names alone, not on a library's version. Knows nothing about pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import DatasetError

Integers = NDArray[np.int64]


def hold_out(labels: Integers, share: float, seed: int) -> tuple[Integers, Integers]:
    """(what is left, what is held out): `share` of every class, at least one and never all. Indices [N] in order.

    Raises DatasetError for a share outside 0..1 and for a class of one image.
    """
    if not 0 < share < 1:
        raise DatasetError(f"share = {share}: allowed is more than 0 and less than 1, for example 0.1.")
    held = [_first(own, _count(len(own), share, label), seed) for label, own in _by_class(labels)]
    if not held:
        raise DatasetError("the train split is empty: there is no image to hold out of it.")
    out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), out), out


def subset(labels: Integers, per_class: int, seed: int) -> Integers:
    """`per_class` images of every class, for an experiment on a stated part. Indices in order; a larger subset of the
    same seed holds the smaller. Raises DatasetError when a class has fewer.
    """
    for label, own in _by_class(labels):
        if not 0 < per_class <= len(own):
            raise DatasetError(
                f"per_class = {per_class}: class {label} has {len(own)} images, allowed is 1..{len(own)}."
            )
    return np.sort(np.concatenate([_first(own, per_class, seed) for _, own in _by_class(labels)]))


def held_names(names: Sequence[str], share: float, seed: int) -> set[str]:
    """About `share` of a class's names, at least one and never all (none of one name): further names reshuffle little."""
    count = min(max(round(share * len(names)), 1), len(names) - 1) if len(names) > 1 else 0
    return set(sorted(names, key=lambda name: _rank(seed, name))[:count])


def _by_class(labels: Integers) -> list[tuple[int, Integers]]:
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    return list(zip(present.tolist(), np.split(order, starts[1:])))


def _count(images: int, share: float, label: int) -> int:
    if images < 2:
        raise DatasetError(f"class {label} has 1 training image; two are needed, one to validate.")
    return min(max(round(share * images), 1), images - 1)


def _first(own: Integers, count: int, seed: int) -> Integers:
    return np.array(sorted(own.tolist(), key=lambda index: _rank(seed, str(index)))[:count], dtype=np.int64)


def _rank(seed: int, what: str) -> bytes:
    return hashlib.sha256(f"{seed}:{what}".encode(errors="surrogateescape")).digest()
