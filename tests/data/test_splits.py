"""Validation subjects come from the training subjects alone."""

import pytest

from dvspipe.data.splits import split_subjects
from dvspipe.errors import DatasetError
from dvspipe.recordings.archive import Segment


def segments(train=range(1, 24), test=range(24, 30)):
    found = []
    for split, subjects in (("train", train), ("test", test)):
        for subject in subjects:
            found += [Segment(f"user{subject}", label, subject, split, 0, 9) for label in range(11)]
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("val_subjects", [1, 4, 22])
def test_splits_share_no_subject_and_lose_no_segment(seed, val_subjects):
    splits = split_subjects(segments(), val_subjects, seed)
    subjects = [{each.subject for each in part} for part in splits[:3]]
    assert sorted(subjects[1]) == splits.val_subjects
    assert len(subjects[1]) == val_subjects
    assert subjects[2] == set(range(24, 30))
    assert not subjects[0] & subjects[1]
    assert subjects[0] | subjects[1] == set(range(1, 24))
    assert sorted(splits.train + splits.val + splits.test) == sorted(segments())
    assert split_subjects(segments(), val_subjects, seed) == splits


def test_seeds_differ_and_the_choice_is_for_good():
    chosen = {tuple(split_subjects(segments(), 4, seed).val_subjects) for seed in range(10)}
    assert len(chosen) > 5
    assert split_subjects(segments(), 4, 0).val_subjects == [
        7,
        15,
        18,
        20,
    ]  # must never change: runs are compared by it


@pytest.mark.parametrize(("val_subjects", "train"), [(0, range(1, 4)), (3, range(1, 4)), (1, [])])
def test_an_empty_split_is_refused(val_subjects, train):
    with pytest.raises(DatasetError, match="val_subjects"):
        split_subjects(segments(train), val_subjects, 0)


def test_no_test_subjects():
    with pytest.raises(DatasetError, match="test split is empty"):
        split_subjects(segments(test=[]), 2, 0)
