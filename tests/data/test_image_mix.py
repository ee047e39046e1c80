"""CutMix and MixUp: drawn once per batch, label mass = share of area or brightness, by the batch's key alone."""

import pytest
import torch

from dvspipe.data.images.augment import ImageAugmentation
from dvspipe.data.images.dataset import Batch
from dvspipe.data.images.mix import BatchMix, image_collate
from dvspipe.errors import RecipeError

K = 5


def make(*tables):
    return ImageAugmentation(tables, (16, 16), 1).mix(K)


def batch(count=4, size=16):
    """Image i is all i + 1, its label is i."""
    images = torch.arange(1.0, count + 1)[:, None, None, None].expand(-1, 1, size, size).clone()
    return images, torch.arange(count)


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_cutmix_labels_are_shares_of_area(alpha):
    seen = set()
    for index in range(40):
        images, soft = make({"name": "CutMix", "alpha": alpha})(*batch(), (0, 1, index))
        assert soft.shape == (4, K)
        for image, own, label in zip(images, range(4), soft):
            shares = {int(value) - 1: int(count) / 256 for value, count in zip(*image.unique(return_counts=True))}
            assert own in shares or shares == {(own - 1) % 4: 1.0}
            for other in range(K):
                assert float(label[other]) == pytest.approx(shares.get(other, 0), abs=1e-6)
        mixed = images[0, 0] != 1
        assert all(torch.equal(images[i, 0] != i + 1, mixed) for i in range(4)), "one box for the whole batch"
        seen.add(int(mixed.sum()))
    assert len(seen) > 10


def test_mixup_labels_are_shares_of_brightness():
    seen = set()
    for index in range(20):
        images, soft = make({"name": "MixUp"})(*batch(), (0, 1, index))
        torch.testing.assert_close(soft.sum(1), torch.ones(4))
        torch.testing.assert_close(images[:, 0, 0, 0], soft[:, :4] @ torch.arange(1.0, 5))
        torch.testing.assert_close(soft[1].sort().values, soft[2].sort().values)  # one draw for the whole batch
        seen.add(round(float(soft.max()), 6))
    assert len(seen) == 20


def test_a_batch_depends_on_its_key_alone():
    mix = make({"name": "CutMix", "p": 0.5}, {"name": "MixUp", "p": 0.5})
    for key in [(0, 1, 2), (3, 4, 5)]:
        torch.manual_seed(11)
        one = mix(*batch(), key)
        after = torch.rand(3)
        torch.manual_seed(12)
        two = mix(*batch(), key)
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
        torch.manual_seed(11)
        assert torch.equal(torch.rand(3), after), "the global generator is put back"
    first, *others = [mix(*batch(), key)[1] for key in [(0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 3)]]
    assert all(not torch.equal(first, other) for other in others)


def test_probabilities():
    """Which of both a batch got shows: CutMix keeps whole numbers, MixUp none of them."""
    mix = make({"name": "CutMix", "p": 0.2}, {"name": "MixUp", "p": 0.5})
    kinds = {"plain": 0, "cut": 0, "up": 0}
    for index in range(1000):
        images, soft = mix(*batch(4, 16), (0, 1, index))
        assert soft.dtype == torch.float32
        whole = torch.equal(images, images.round())
        kinds["plain" if torch.equal(images, batch()[0]) else "cut" if whole else "up"] += 1
    assert 460 < kinds["up"] < 540
    assert 150 < kinds["cut"] < 230  # some boxes are empty
    assert 270 < kinds["plain"] < 350


def test_a_mix_may_end_after_some_epochs():
    mix = make({"name": "MixUp", "epochs": 145})
    assert not torch.equal(mix(*batch(), (0, 145, 0))[0], batch()[0])
    images, soft = mix(*batch(), (0, 146, 0))
    assert torch.equal(images, batch()[0])
    assert torch.equal(soft, torch.eye(4, K))


def test_collate():
    items = [(torch.full((1, 2, 2), float(label)), label) for label in range(3)]
    images, labels = image_collate(items)
    assert images.shape == (3, 1, 2, 2)
    assert labels.tolist() == [0, 1, 2]
    assert labels.dtype == torch.int64
    images, labels = image_collate(Batch(items, (0, 1, 2)), BatchMix([{"name": "MixUp"}], K))
    assert labels.shape == (3, K)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"p": 1.5}, "p = 1.5, allowed: 0..1"),
        ({"p": "often"}, "p = 'often'"),
        ({"alpha": -1}, "alpha = -1, allowed: more than 0"),
        ({"epochs": 0}, "epochs = 0, allowed: whole numbers from 1"),
        ({"epochs": 1.5}, "epochs = 1.5"),
        ({"alpha": True}, "alpha = True"),
    ],
)
def test_wrong_arguments(table, told):
    with pytest.raises(RecipeError) as caught:
        make({"name": "CutMix", **table})
    assert told in str(caught.value)


def test_probabilities_of_more_than_all():
    with pytest.raises(RecipeError, match="p of CutMix and MixUp add up to 2, allowed is 1"):
        make({"name": "CutMix"}, {"name": "MixUp"})
    assert make({"name": "CutMix", "p": 0.5}, {"name": "MixUp", "p": 0.5})
    assert make() is None
