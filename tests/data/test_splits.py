"""Validation subjects come from the training subjects alone."""

import pytest

from dvspipe.data.splits import split_published, split_subjects, split_walks
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


def walks(counts=(100,) * 20, test=1):
    """Walks of people in one training and one test session: label = subject."""
    train = [
        Segment(f"train/{who}/{walk:03d}", who, who, "train", 0, 9) for who, n in enumerate(counts) for walk in range(n)
    ]
    return train + [
        Segment(f"test/{who}/{walk:03d}", who, who, "test", 0, 9) for who in range(len(counts)) for walk in range(test)
    ]


@pytest.mark.parametrize("share", [0.1, 0.25])
@pytest.mark.parametrize("seed", range(3))
def test_a_share_of_every_persons_training_walks_is_held_out(share, seed):
    found = walks(range(40, 60))
    splits = split_walks(found, share, seed)
    assert sorted(splits.train + splits.val + splits.test) == sorted(found)
    assert {each.split for each in splits.val} == {"train"}
    assert {each.split for each in splits.test} == {"test"}
    assert splits.val_subjects == []
    for who, count in enumerate(range(40, 60)):
        assert sum(each.label == who for each in splits.val) == round(share * count)


def test_the_walks_held_out_depend_on_seed_and_names_alone():
    found = walks((20, 30))
    held = split_walks(found, 0.2, 7).val
    assert sorted(split_walks(found[::-1], 0.2, 7).val) == sorted(held)
    assert split_walks(found, 0.2, 8).val != held
    # by `sha256sum` of "0:train/0/000" and so on
    first = ["train/0/001", "train/0/002", "train/1/002", "train/1/003"]
    assert [each.recording for each in split_walks(walks((4, 4)), 0.5, 0).val] == first


def test_at_least_one_walk_is_held_out_and_one_is_left():
    assert len(split_walks(walks((2, 9)), 0.01, 0).val) == 2
    assert len(split_walks(walks((2, 9)), 0.99, 0).train) == 2


def test_the_windows_of_a_recording_stay_together():
    doubled = [each._replace(start_us=start, stop_us=start + 9) for each in walks((9, 9)) for start in (0, 9)]
    splits = split_walks(doubled, 0.3, 0)
    assert not {each.recording for each in splits.train} & {each.recording for each in splits.val}
    assert len(splits.val) == 12


@pytest.mark.parametrize(
    ("found", "share", "message"),
    [
        (walks((5, 5)), 0, "share = 0"),
        (walks((5, 5)), 1.0, r"share = 1\.0"),
        (walks((5, 1)), 0.2, r"class 1 has 1 training recording \(train/1/000\)"),
        (walks((5, 5), test=0), 0.2, "test split is empty"),
        (walks((0, 0)), 0.2, "train split is empty"),
    ],
)
def test_impossible_walk_splits_are_refused(found, share, message):
    with pytest.raises(DatasetError, match=message):
        split_walks(found, share, 0)


def test_the_published_protocol_chooses_on_the_test_split():
    splits = split_published(segments())
    assert len(splits.train) == 23 * 11
    assert splits.val == splits.test
    with pytest.raises(DatasetError, match="train split is empty"):
        split_published(segments(train=[]))
