"""Validation subjects, held out of the training subjects. The test split is what the dataset says and is never touched.

Knows nothing about events: it sorts labelled windows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from dvspipe.errors import DatasetError
from dvspipe.recordings.archive import Segment


class Splits(NamedTuple):
    """Labelled windows per split, in the archive's order, and who was held out."""

    train: list[Segment]
    val: list[Segment]
    test: list[Segment]
    val_subjects: list[int]


def split_subjects(segments: Sequence[Segment], val_subjects: int, seed: int) -> Splits:
    """Holds `val_subjects` training subjects out for validation.

    Which ones depends on `seed` and the subjects' numbers alone: those whose SHA-256 of "seed:subject" comes first,
    so that neither a library's version nor further subjects reshuffle the rest. Raises DatasetError when a split
    would be empty.
    """
    subjects = sorted({segment.subject for segment in segments if segment.split == "train"})
    if not 0 < val_subjects < len(subjects):
        raise DatasetError(
            f"val_subjects = {val_subjects}: allowed is 1..{len(subjects) - 1}, because the data has {len(subjects)}"
            f" training subjects ({_some(subjects)}) and at least one must be left to train on."
        )
    held = sorted(sorted(subjects, key=lambda subject: _rank(seed, subject))[:val_subjects])
    splits = Splits(
        [each for each in segments if each.split == "train" and each.subject not in held],
        [each for each in segments if each.split == "train" and each.subject in held],
        [each for each in segments if each.split == "test"],
        held,
    )
    if not splits.test:
        raise DatasetError(
            "the test split is empty: no segment has split 'test'. Prepare or simulate the test subjects too."
        )
    return splits


def _rank(seed: int, subject: int) -> str:
    return hashlib.sha256(f"{seed}:{subject}".encode()).hexdigest()


def _some(subjects: list[int]) -> str:
    return ", ".join(map(str, subjects)) or "none"
