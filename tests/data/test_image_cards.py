"""The cards of images agree with the libraries that read them; a card that contradicts itself is refused."""

import pytest

from dvspipe.errors import RecipeError
from dvspipe.recipes import load_card

NAMES = ["cifar10", "cifar100", "cifar10-images", "imagenet", "digits", "own-images"]
CARD = """
title = "Mine"
kind = "image-folder"
sensor_size = [32, 24]
classes = 2
licence = "mine"
[images]
channels = 3
mean = [0.5, 0.5, 0.5]
std = [0.2, 0.2, 0.2]
"""


@pytest.mark.parametrize("name", NAMES)
def test_cards_of_images(name):
    card = load_card(name)
    assert card.is_images
    assert len(set(card.classes)) == len(card.classes)
    assert len(card.images.mean) == len(card.images.std) == card.images.channels
    assert all(0 < mean < 1 for mean in card.images.mean)
    assert not card.simulated


def test_events_are_no_images():
    assert not load_card("gesture").is_images


def test_sizes_and_numbers_of_classes():
    cards = {name: load_card(name) for name in NAMES}
    assert {name: (card.sensor_size, len(card.classes)) for name, card in cards.items()} == {
        "cifar10": ((32, 32), 10),
        "cifar100": ((32, 32), 100),
        "cifar10-images": ((32, 32), 10),
        "imagenet": ((224, 224), 1000),
        "digits": ((8, 8), 10),
        "own-images": ((64, 64), 2),
    }
    assert cards["cifar10-images"].classes == cards["cifar10"].classes
    assert cards["cifar100"].classes == sorted(cards["cifar100"].classes)


def test_sources_are_torchvisions():
    from torchvision.datasets import CIFAR10, CIFAR100

    assert CIFAR10.url in load_card("cifar10").source
    assert CIFAR100.url in load_card("cifar100").source


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("mean = [0.5, 0.5, 0.5]", "mean = [0.5]", "'images.mean' = [0.5]: value error, one value per channel, here 3"),
        ("std = [0.2, 0.2, 0.2]", "std = [0.2, 0, 0.2]", "allowed is more than 0"),
        ("channels = 3", "channels = 4", "'images.channels' = 4"),
        ("channels = 3", "channels = 3\nresize = 30", "resize = 30 is smaller than the crop of 32x24"),
        ("channels = 3", "channels = 3\ntest_share = 1", "'images.test_share'"),
        ("channels = 3", "channels = 3\nsize = 30", "unknown key 'images.size'"),
        ('kind = "image-folder"', 'kind = "folder"', "a card of kind folder has no table [images]"),
        ('kind = "image-folder"', 'kind = "image-foldr"', "'kind' = 'image-foldr'"),
        (CARD[CARD.index("[images]") :], "", "a card of kind image-folder needs table [images]"),
    ],
)
def test_a_card_that_contradicts_itself(tmp_path, old, new, told):
    path = tmp_path / "mine.toml"
    path.write_text(CARD)
    assert load_card(str(path)).classes == ["class 0", "class 1"]
    assert old in CARD
    path.write_text(CARD.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        load_card(str(path))
    assert told in str(caught.value)
    assert len(caught.value.faults) == 1
