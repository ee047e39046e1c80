"""Items of one size and range; what augments depends on (seed, epoch, index) alone; the evaluation geometry."""

import functools
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dvspipe.data.images.augment import ImageAugmentation
from dvspipe.data.images.dataset import ImageDataset, fit, to_values
from dvspipe.data.images.image_set import open_images
from dvspipe.data.images.index import index_images
from dvspipe.data.images.mix import image_collate
from dvspipe.errors import DatasetError
from dvspipe.recipes import Card, load_card

SIZE = (8, 8)
TABLES = [{"name": "RandomCrop", "padding": 2}, {"name": "RandAugment"}, {"name": "Cutout", "length": 3}]


@pytest.fixture(scope="module")
def digits():
    card = load_card("digits")
    return open_images(card, index_images(card, None))


def dataset(digits, tables=TABLES, count=50, **options):
    augment = ImageAugmentation(tables, SIZE, 1) if tables else None
    return ImageDataset(digits, "train", np.arange(count), SIZE, augment=augment, **options)


def loaded(images, workers=0, mix=None, epoch=1, batch=16):
    """Everything of an epoch in a fixed order of indices."""
    images.set_epoch(epoch)
    collate = functools.partial(image_collate, mix=mix)
    loader = DataLoader(images, batch_size=batch, num_workers=workers, collate_fn=collate)
    return [torch.cat(each) for each in zip(*loader)]


def test_items(digits):
    plain = dataset(digits, [])
    assert len(plain) == 50
    image, label = plain[7]
    assert (image.dtype, tuple(image.shape), type(label)) == (torch.float32, (1, 8, 8), int)
    assert torch.equal(image, to_values(digits.read("train", 7)))
    assert label == digits.labels("train")[7] == plain.labels[7]
    assert torch.equal(plain[-1][0], plain[49][0])
    with pytest.raises(IndexError):
        plain[50]


def test_indices_choose(digits):
    chosen = ImageDataset(digits, "test", np.array([30, 4]), SIZE, None)
    assert [chosen[place][1] for place in range(2)] == digits.labels("test")[[30, 4]].tolist()
    assert torch.equal(chosen[1][0], to_values(digits.read("test", 4)))
    assert len(ImageDataset(digits, "test", None, SIZE)) == digits.count("test")
    with pytest.raises(DatasetError, match="no images of the test split"):
        ImageDataset(digits, "test", np.array([], np.int64), SIZE)


def test_normalising_is_the_last_step(digits):
    values = dataset(digits, [])[3][0]
    normal = dataset(digits, [], normalise=([0.3], [0.5]))[3][0]
    torch.testing.assert_close(normal, (values - 0.3) / 0.5)
    holes = dataset(digits, [{"name": "Cutout", "length": 9}], normalise=([0.3], [0.5]))[3][0]
    assert float(holes.min()) == pytest.approx(-0.6)
    assert torch.equal(dataset(digits, [])[3][0], values), "the set itself is not written into"


@pytest.mark.parametrize("workers", [2])
def test_workers_batches_and_order_change_nothing(digits, workers):
    mix = ImageAugmentation([{"name": "CutMix", "p": 0.7}], SIZE, 1).mix(10)
    expected = loaded(dataset(digits), mix=mix)
    for one, two in zip(expected, loaded(dataset(digits), workers, mix)):
        assert torch.equal(one, two)
    for one, two in zip(loaded(dataset(digits)), loaded(dataset(digits), workers, batch=7)):
        assert torch.equal(one, two)
    images = dataset(digits)
    images.set_epoch(1)
    backwards = [images[place][0] for place in reversed(range(50))]
    assert torch.equal(torch.stack(backwards[::-1]), loaded(dataset(digits))[0])


def test_epochs_and_seeds_draw_anew(digits):
    images = dataset(digits)
    first, again, second = (loaded(images, epoch=epoch)[0] for epoch in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, loaded(dataset(digits, seed=1))[0])
    assert len(torch.unique((first[:10] - second[:10]).flatten(1), dim=0)) > 5


def test_workers_that_live_on_see_the_new_epoch(digits):
    images = dataset(digits)
    loader = DataLoader(images, batch_size=25, num_workers=1, persistent_workers=True, collate_fn=image_collate)
    for epoch in (1, 2):
        images.set_epoch(epoch)
        found = torch.cat([batch for batch, _ in loader])
        assert torch.equal(found, loaded(dataset(digits), epoch=epoch)[0])


def test_augmenting_leaves_the_global_generator_alone(digits):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    dataset(digits)[0]
    assert torch.equal(torch.rand(3), expected)


def test_a_dataset_can_be_sent_to_a_spawned_process(digits):
    images = dataset(digits)
    images.set_epoch(3)
    assert torch.equal(pickle.loads(pickle.dumps(images))[4][0], images[4][0])


def ramp(width, height):
    """Red grows with x, green with y."""
    pixels = np.zeros((3, height, width), np.uint8)
    pixels[0], pixels[1] = np.arange(width), np.arange(height)[:, None]
    return torch.from_numpy(pixels)


def test_fit_takes_the_middle_of_the_resized_image():
    image = ramp(100, 60)
    assert torch.equal(fit(image, (20, 20), 60), image[:, 20:40, 40:60])
    half = fit(image, (20, 30), 30)
    assert half.shape == (3, 30, 20)
    assert half.dtype == torch.uint8
    assert abs(int(half[0, 15, 10]) - 50) <= 1
    assert abs(int(half[1, 15, 10]) - 30) <= 1
    assert fit(image, (20, 20), 30, cut=False).shape == (3, 30, 50)
    assert fit(ramp(60, 100), (20, 20), 30, cut=False).shape == (3, 50, 30)


def test_fit_without_resize_stretches():
    image = ramp(100, 60)
    assert fit(image, (100, 60), None) is image
    stretched = fit(image, (50, 60), None)
    assert stretched.shape == (3, 60, 50)
    assert abs(int(stretched[0, 0, 25]) - 50) <= 1
    assert torch.equal(stretched[1, :, 0], image[1, :, 0])


@pytest.fixture
def photos(tmp_path):
    """Four images of 100x60 per class; red is x."""
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.fromarray(ramp(100, 60).permute(1, 2, 0).numpy()).save(tmp_path / name / f"{number}.png")
    images = {"channels": 3, "mean": [0.5] * 3, "std": [0.2] * 3}
    card = Card(title="a", kind="image-folder", licence="", sensor_size=(20, 20), classes=["a", "b"], images=images)
    return open_images(card, index_images(card, tmp_path))


def reach(photos, tables, resize):
    """Lowest and highest x that 60 draws see."""
    augment = ImageAugmentation(tables, (20, 20), 3)
    images = ImageDataset(photos, "train", None, (20, 20), resize, augment=augment)
    seen = []
    for epoch in range(20):
        images.set_epoch(epoch)
        for place in range(3):
            image, _ = images[place]
            assert image.shape == (3, 20, 20)
            seen.append(image[0] * 255)
    return float(torch.stack(seen).min()), float(torch.stack(seen).max())


def test_how_much_a_crop_sees(photos):
    low, high = reach(photos, [{"name": "RandomHorizontalFlip"}], 60)
    assert (low, high) == (40, 59), "the middle, as in evaluation"
    low, high = reach(photos, [{"name": "RandomCrop"}], 60)
    assert low < 10
    assert high > 89
    low, high = reach(photos, [{"name": "RandomResizedCrop", "scale": [0.9, 1.0]}], 20)
    assert low < 25
    assert high > 75, "the image as it is, not the middle"


def test_a_broken_file_ends_an_epoch_with_its_name(photos, tmp_path):
    images = ImageDataset(photos, "train", None, (20, 20))
    for name in "ab":
        for path in (tmp_path / name).iterdir():
            path.write_bytes(b"")
    for workers in (0, 1):
        with pytest.raises(DatasetError, match=r"\.png: it could be read when the set was prepared"):
            list(DataLoader(images, num_workers=workers, collate_fn=image_collate))
