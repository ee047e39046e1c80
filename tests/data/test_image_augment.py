"""torchvision's transforms by name: all run, results keep size, type and range, faults are told at once."""

import pytest
import torch
from torchvision.transforms import v2

from dvspipe.data.images.augment import ON_PIXELS, ON_VALUES, Cutout, ImageAugmentation
from dvspipe.errors import RecipeError

SIZE = (12, 10)
NEEDED = {"RandomRotation": {"degrees": [0, 25]}, "Cutout": {"length": 5}}


def image(channels=3, size=SIZE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (channels, size[1], size[0]), dtype=torch.uint8, generator=generator)


def through(augmentation, given):
    return augmentation.values(augmentation.pixels(given).to(torch.float32) / 255)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [*ON_PIXELS, *ON_VALUES])
def test_every_transform_keeps_size_range_and_input(name, channels):
    augmentation = ImageAugmentation([{"name": name, **NEEDED.get(name, {})}], SIZE, channels)
    for seed in range(20):
        torch.manual_seed(seed)
        given = image(channels)
        before = given.clone()
        result = through(augmentation, given)
        assert result.shape == (channels, 10, 12)
        assert result.dtype == torch.float32
        assert float(result.min()) >= 0 and float(result.max()) <= 1
        assert torch.equal(given, before)


def test_each_transform_does_something():
    for name in [*ON_PIXELS, *ON_VALUES]:
        more = {"padding": 2} if name == "RandomCrop" else {}
        more |= {"brightness": 0.5} if name == "ColorJitter" else {}
        augmentation = ImageAugmentation([{"name": name, **NEEDED.get(name, {}), **more}], SIZE, 3)
        torch.manual_seed(0)
        results = torch.stack([through(augmentation, image()) for _ in range(30)])
        assert len(torch.unique(results, dim=0)) > 1, name


def test_crop_and_flip_are_torchvisions():
    tables = [{"name": "RandomCrop", "padding": 4}, {"name": "RandomHorizontalFlip"}]
    theirs = v2.Compose([v2.RandomCrop((10, 12), padding=4), v2.RandomHorizontalFlip()])
    ours = ImageAugmentation(tables, SIZE, 3)
    for seed in range(10):
        torch.manual_seed(seed)
        expected = theirs(image())
        torch.manual_seed(seed)
        assert torch.equal(ours.pixels(image()), expected)


def test_words_become_torchvisions_values():
    tables = [
        {"name": "AutoAugment", "policy": "cifar10", "interpolation": "bilinear"},
        {"name": "RandAugment", "num_ops": 1, "magnitude": 9},
    ]
    first, second = ImageAugmentation(tables, (32, 32), 3)._on_pixels
    assert first.policy is v2.AutoAugmentPolicy.CIFAR10
    assert first.interpolation is v2.InterpolationMode.BILINEAR
    assert (second.num_ops, second.magnitude) == (1, 9)


def test_holes_come_after_everything_on_pixels():
    """Whatever their place in the recipe: a colour change after the hole would paint it."""
    tables = [{"name": "Cutout", "length": 4}, {"name": "ColorJitter", "brightness": [1.5, 1.5]}]
    augmentation = ImageAugmentation(tables, SIZE, 3)
    assert len(augmentation._on_pixels) == len(augmentation._on_values) == 1
    assert float(through(augmentation, torch.full((3, 10, 12), 200, dtype=torch.uint8)).min()) == 0


@pytest.mark.parametrize("length", [1, 4, 5, 40])
def test_cutout_is_one_square_cut_at_the_edges(length):
    seen = set()
    for seed in range(300):
        torch.manual_seed(seed)
        hole = Cutout(length)(torch.ones(3, 10, 12)) == 0
        assert torch.equal(hole[0], hole[1])
        rows, columns = hole[0].any(1).nonzero(), hole[0].any(0).nonzero()
        height, width = len(rows), len(columns)
        assert int(hole[0].sum()) == height * width, "a rectangle"
        assert 1 <= height <= min(length, 10)
        assert 1 <= width <= min(length, 12)
        seen.add((int(rows[0]), int(columns[0]), height, width))
    whole = {(height, width) for _, _, height, width in seen}
    assert (min(length, 10), min(length, 12)) in whole
    assert len(whole) == 1 if length in (1, 40) else len(whole) > 1, "cut at the edges"


def test_which_crop_makes_the_size():
    def crop(*names):
        return ImageAugmentation([{"name": name} for name in names], SIZE, 3).crop

    assert crop() is None
    assert crop("RandomHorizontalFlip", "RandomCrop") == "RandomCrop"
    assert crop("RandomResizedCrop") == "RandomResizedCrop"
    assert ImageAugmentation([{"name": "RandomResizedCrop"}], SIZE, 3).pixels(image(size=(50, 40))).shape == (3, 10, 12)
    for size in ([10, 12], (10, 12)):
        ImageAugmentation([{"name": "RandomCrop", "size": size}], SIZE, 3)
    ImageAugmentation([{"name": "RandomCrop", "size": 32}], (32, 32), 3)


def test_all_faults_at_once():
    tables = [
        {"name": "RandomCorp"},
        {"padding": 4},
        {"name": "RandomCrop", "pading": 4},
        {"name": "RandomRotation"},
        {"name": "RandomRotation", "degrees": 5, "expand": True},
        {"name": "RandomHorizontalFlip", "p": 2},
        {"name": "AutoAugment", "policy": "cifar"},
        {"name": "ColorJitter", "hue": 0.9},
        {"name": "RandomErasing", "value": "random"},
        {"name": "RandomResizedCrop", "size": [8, 8]},
        {"name": "Cutout", "length": 0},
        {"name": "CutMix", "alpha": 0},
        {"name": "MixUp", "apha": 1},
    ]
    with pytest.raises(RecipeError) as caught:
        ImageAugmentation(tables, SIZE, 3)
    expected = [
        "RandomCrop and RandomResizedCrop: one of them",
        "unknown transform 'RandomCorp' (did you mean 'RandomCrop'?)",
        "unknown transform None",
        "RandomCrop: unknown argument 'pading' (did you mean 'padding'?)",
        "RandomRotation: argument 'degrees' is missing",
        "RandomRotation: unknown argument 'expand'",
        "RandomHorizontalFlip: ",
        "AutoAugment: 'cifar' is not a valid",
        "ColorJitter: ",
        "RandomErasing: value = 'random'",
        "RandomResizedCrop: size = [8, 8], the network sees 12x10",
        "Cutout: length = 0",
        "CutMix: alpha = 0, allowed: more than 0",
        "MixUp: unknown argument 'apha' (did you mean 'alpha'?)",
    ]
    for part, fault in zip(expected, caught.value.faults):
        assert fault.startswith(part), (part, fault)
    assert len(caught.value.faults) == len(expected)


def test_faults_that_show_only_in_use():
    with pytest.raises(RecipeError, match="RandomCrop"):
        ImageAugmentation([{"name": "RandomCrop", "padding": -6}], SIZE, 3)
    with pytest.raises(RecipeError, match="RandomErasing"):
        ImageAugmentation([{"name": "RandomErasing", "p": 1, "value": [0.1, 0.2]}], SIZE, 3)


def test_looking_at_a_recipe_draws_nothing():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    ImageAugmentation([{"name": "RandAugment"}, {"name": "Cutout", "length": 3}], SIZE, 3)
    assert torch.equal(torch.rand(4), expected)
