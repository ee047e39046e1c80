"""Validation data, held out of the training data: whole subjects, or walks where every subject is in the test split too.

The test split is what the dataset says and is never touched. Knows nothing about events: it sorts labelled windows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dvspipe.errors import DatasetError
from dvspipe.recordings.archive import Segment

EMPTY_TRAIN = "the train split is empty: no segment has split 'train'. Prepare the training session too."


class Splits(NamedTuple):
    """Labelled windows per split, in the archive's order, and which subjects were held out (none where walks were)."""

    train: list[Segment]
    val: list[Segment]
    test: list[Segment]
    val_subjects: list[int]


def split_published(segments: Sequence[Segment]) -> Splits:
    """The papers' own protocol, to repeat their figures: everything trains, and the *test* split chooses the checkpoint.

    What comes out is the best of many looks at the test split, not an estimate for new data. Raises DatasetError when
    a split would be empty.
    """
    splits = _split(segments, lambda segment: False, [])
    if not splits.train:
        raise DatasetError(EMPTY_TRAIN)
    return splits._replace(val=splits.test)


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
    return _split(segments, lambda segment: segment.subject in held, held)


def split_walks(segments: Sequence[Segment], share: float, seed: int) -> Splits:
    """Holds `share` of every class's training recordings out for validation, at least one and never all of them.

    For data whose subjects are the classes (gait). Which ones depends on `seed` and the recordings' names alone, by
    SHA-256 as in `split_subjects`. The walks held out are of the training session: validation accuracy says nothing
    about another day. Raises DatasetError when a split would be empty.
    """
    if not 0 < share < 1:
        raise DatasetError(f"share = {share}: allowed is more than 0 and less than 1, for example 0.1.")
    label_of: dict[str, int] = {}
    for segment in segments:
        if segment.split == "train":
            label_of.setdefault(segment.recording, segment.label)
    held: set[str] = set()
    for label in sorted(set(label_of.values())):
        walks = [name for name, found in label_of.items() if found == label]
        if len(walks) < 2:
            raise DatasetError(f"class {label} has 1 training recording ({walks[0]}); two are needed, one to validate.")
        count = min(max(round(share * len(walks)), 1), len(walks) - 1)
        held.update(sorted(walks, key=lambda name: _rank(seed, name))[:count])
    if not held:
        raise DatasetError(EMPTY_TRAIN)
    return _split(segments, lambda segment: segment.recording in held, [])


def _split(segments: Sequence[Segment], is_held: Callable[[Segment], bool], subjects: list[int]) -> Splits:
    """Raises DatasetError when no segment is for testing."""
    splits = Splits(
        [each for each in segments if each.split == "train" and not is_held(each)],
        [each for each in segments if each.split == "train" and is_held(each)],
        [each for each in segments if each.split == "test"],
        subjects,
    )
    if not splits.test:
        raise DatasetError(
            "the test split is empty: no segment has split 'test'. Prepare or simulate the test subjects too."
        )
    return splits


def _rank(seed: int, what: int | str) -> str:
    return hashlib.sha256(f"{seed}:{what}".encode()).hexdigest()


def _some(subjects: list[int]) -> str:
    return ", ".join(map(str, subjects)) or "none"
