"""What is held out of a set: of every class some and never all, by a rule that no library's version changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvspipe.data.images.splits import held_names, hold_out, subset
from dvspipe.errors import DatasetError

labels_of = st.lists(st.integers(2, 30), min_size=1, max_size=6).flatmap(
    lambda sizes: st.permutations([label for label, size in enumerate(sizes) for _ in range(size)])
)


@given(labels_of, st.floats(0.01, 0.99), st.integers(0, 5))
def test_every_class_has_some_on_both_sides(labels, share, seed):
    labels = np.array(labels)
    left, held = hold_out(labels, share, seed)
    assert sorted([*left, *held]) == list(range(len(labels)))
    assert list(left) == sorted(left)
    assert list(held) == sorted(held)
    for label in set(labels.tolist()):
        count = int((labels == label).sum())
        assert (labels[held] == label).sum() == min(max(round(share * count), 1), count - 1)


def test_the_choice_is_fixed_for_ever():
    left, held = hold_out(np.repeat([0, 1], 10), 0.3, seed=7)
    assert held.tolist() == HELD
    assert hold_out(np.repeat([0, 1], 10), 0.3, seed=8)[1].tolist() != HELD
    assert len(left) == 14


HELD = [3, 4, 7, 12, 16, 18]  # by SHA-256 of "7:0" .. "7:19"


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_is_between_nothing_and_all(share):
    with pytest.raises(DatasetError, match="allowed is more than 0 and less than 1"):
        hold_out(np.zeros(4, np.int64), share, 0)


def test_a_class_of_one_and_no_class_at_all():
    with pytest.raises(DatasetError, match="class 1 has 1 training image"):
        hold_out(np.array([0, 0, 1]), 0.5, 0)
    with pytest.raises(DatasetError, match="empty"):
        hold_out(np.array([], np.int64), 0.5, 0)


def test_subsets_hold_one_another():
    labels = np.tile(np.arange(3), 20)
    small, large = subset(labels, 4, seed=1), subset(labels, 9, seed=1)
    assert set(small.tolist()) < set(large.tolist())
    assert np.bincount(labels[small]).tolist() == [4, 4, 4]
    assert np.bincount(labels[large]).tolist() == [9, 9, 9]
    assert subset(labels, 4, seed=2).tolist() != small.tolist()
    assert subset(labels, 20, seed=1).tolist() == list(range(60))
    for wrong in (0, 21):
        with pytest.raises(DatasetError, match=r"allowed is 1\.\.20"):
            subset(labels, wrong, seed=1)


def test_names_of_a_class():
    names = [f"{number}.png" for number in range(50)]
    held = held_names(names, 0.2, 0)
    assert len(held) == 10
    assert held_names(names[::-1], 0.2, 0) == held
    assert held_names(names[:1], 0.2, 0) == set()
    assert len(held_names(names[:2], 0.01, 0)) == len(held_names(names[:2], 0.99, 0)) == 1
    more = held_names([*names, "new.png"], 0.2, 0)
    assert len(held - more) <= 1, "one more name changes no more than one choice"
