"""Images of an index: the pixels of the files, once decoded kept; CIFAR's pickles and scikit-learn's digits."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dvspipe.data.images import image_set
from dvspipe.data.images.dataset import ImageDataset
from dvspipe.data.images.image_set import InFiles, Names, open_images
from dvspipe.data.images.index import index_images
from dvspipe.data.images.mix import image_collate
from dvspipe.errors import DatasetError
from dvspipe.recipes import Card, load_card


def make_card(kind="image-folder", classes=("a", "b"), size=(6, 5), channels=3):
    images = {"channels": channels, "mean": [0.5] * channels, "std": [0.2] * channels}
    listed = classes if isinstance(classes, int) else list(classes)
    return Card(title="Mine", kind=kind, licence="mine", sensor_size=size, classes=listed, images=images)


@pytest.fixture
def folder(tmp_path):
    """train and test with images of 6x5 whose red is 10 * label + number."""
    for split, count in (("train", 3), ("test", 2)):
        for label, name in enumerate("ab"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.random.default_rng(number).integers(0, 256, (5, 6, 3), np.uint8)
                pixels[..., 0] = 10 * label + number
                Image.fromarray(pixels).save(tmp_path / split / name / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("kept", [2**30, 0])
def test_images_and_labels_in_the_index_order(folder, monkeypatch, kept):
    monkeypatch.setattr(image_set, "KEPT_BYTES", kept)
    images = open_images(make_card(), index_images(make_card(), folder))
    assert len(images) == 10
    assert images.count("test") == 4
    assert images.labels("train").tolist() == [0, 0, 0, 1, 1, 1]
    assert images.labels("train").dtype == np.int64
    for _ in range(2):
        reds = [int(images.read("train", place)[0, 0, 0]) for place in range(6)]
        assert reds == [0, 1, 2, 10, 11, 12]
    image = images.read("test", 3)
    assert image.dtype == torch.uint8
    assert image.shape == (3, 5, 6)
    with Image.open(folder / "test" / "b" / "1.png") as file:
        np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(file))


def test_small_sets_are_decoded_once(folder, monkeypatch):
    """Of one size and of several: the files may go once every image was read."""
    for several in (False, True):
        if several:
            Image.new("RGB", (9, 9)).save(folder / "train" / "a" / "0.png")
        images = open_images(make_card(), index_images(make_card(), folder))
        before = [images.read("train", place).clone() for place in range(6)]
        monkeypatch.setattr(InFiles, "_decode", None)
        assert all(torch.equal(images.read("train", place), each) for place, each in enumerate(before))
        monkeypatch.undo()


def test_processes_share_what_was_decoded(folder):
    """What a forked loader process decodes, its parent need not."""
    import multiprocessing

    images = open_images(make_card(), index_images(make_card(), folder))
    child = multiprocessing.get_context("fork").Process(target=images.read, args=("train", 4))
    child.start()
    child.join(30)
    assert images._pixels["train"]._shared.known.tolist() == [0, 0, 0, 0, 1, 0]
    (folder / "train" / "b" / "1.png").unlink()
    assert int(images.read("train", 4)[0, 0, 0]) == 11


def test_a_pickled_set_reads_anew(folder):
    """Spawned processes get one."""
    images = open_images(make_card(), index_images(make_card(), folder))
    images.read("train", 0)
    text = pickle.dumps(images)
    assert len(text) < 4_000
    again = pickle.loads(text)
    assert not again._pixels["train"]._shared.known.any()
    assert torch.equal(again.read("train", 4), images.read("train", 4))


def test_a_file_that_fails_later_is_named_and_the_run_goes_on(folder):
    images = open_images(make_card(), index_images(make_card(), folder))
    (folder / "train" / "b" / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"train/b/1\.png: it could be read when.*--resume"):
        images.read("train", 4)
    Image.new("RGB", (7, 5)).save(folder / "train" / "b" / "1.png")
    with pytest.raises(DatasetError, match=r"1\.png.*now of 7x5 pixels.*--resume"):
        images.read("train", 4)
    Image.new("RGB", (6, 5)).save(folder / "train" / "b" / "1.png")
    assert int(images.read("train", 4).max()) == 0


def test_digits():
    from sklearn.datasets import load_digits

    card = load_card("digits")
    index = index_images(card, None)
    assert index.totals() == {"train": 1438, "test": 359}
    assert index.size == (8, 8)
    assert index.fingerprint == index_images(card, None).fingerprint
    every = np.bincount(load_digits().target)
    assert [index.counts["test"][name] for name in card.classes] == np.rint(every * 0.2).astype(int).tolist()
    images = open_images(card, index)
    pixels = np.stack([images.read("train", place) for place in range(images.count("train"))])
    assert pixels.shape == (1438, 1, 8, 8)
    assert np.unique(np.rint(pixels * (16 / 255))).tolist() == list(range(17))
    assert abs(pixels.mean() / 255 - card.images.mean[0]) < 2e-3
    assert abs(pixels.std() / 255 - card.images.std[0]) < 2e-3


def test_digits_in_colour():
    card = make_card("digits", 10, (8, 8))
    image = open_images(card, index_images(card, None)).read("test", 0)
    assert image.shape == (3, 8, 8)
    assert torch.equal(image[0], image[2])


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR-10's files with 4 images each, whose red is the image's number and green its label. torchvision reads only
    files of known MD5: the table of sums, not the check, is changed here.
    """
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for place, name in enumerate(names):
        pixels = np.zeros((4, 3, 32, 32), np.uint8)
        labels = [(place + number) % 10 for number in range(4)]
        pixels[:, 0], pixels[:, 1] = place * 4 + np.arange(4)[:, None, None], np.array(labels)[:, None, None]
        (folder / name).write_bytes(pickle.dumps({"data": pixels.reshape(4, -1), "labels": labels}, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": load_card("cifar10").classes}))
    sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in [*names, "batches.meta"]}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in names[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    return tmp_path


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py"])
def test_cifar(cifar, inside):
    card = load_card("cifar10")
    index = index_images(card, cifar / inside)
    assert index.totals() == {"train": 20, "test": 4}
    assert (index.root, index.size, index.files) == (str(cifar), (32, 32), {})
    images = open_images(card, index)
    assert images.labels("test").tolist() == [5, 6, 7, 8]
    for place in range(20):
        red, green, blue = images.read("train", place)
        assert (int(red[3, 4]), int(blue.max())) == (place, 0)
        assert int(green[31, 31]) == images.labels("train")[place]


def test_cifar_in_grey_is_as_pil_has_it(cifar):
    card = make_card("cifar10", 10, (32, 32), channels=1)
    grey = open_images(card, index_images(card, cifar)).read("train", 19)
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[..., 0], colours[..., 1] = 19, 7
    np.testing.assert_array_equal(grey[0], np.asarray(Image.fromarray(colours).convert("L")))


def test_cifar_of_a_damaged_or_missing_file(cifar):
    folder = cifar / "cifar-10-batches-py"
    (folder / "data_batch_2").write_bytes(b"not the published file")
    (folder / "test_batch").unlink()
    with pytest.raises(DatasetError) as caught:
        index_images(load_card("cifar10"), cifar)
    assert "data_batch_2: not as published (MD5); test_batch: missing" in str(caught.value)
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in str(caught.value)


def test_the_real_sums_refuse_made_up_pickles(tmp_path):
    """Nothing is unpickled that is not CIFAR."""
    (tmp_path / "cifar-10-batches-py").mkdir()
    for name in ("data_batch_1", "batches.meta"):
        (tmp_path / "cifar-10-batches-py" / name).write_bytes(pickle.dumps({"data": 1}))
    with pytest.raises(DatasetError, match=r"data_batch_1: not as published.*batches\.meta: not as published"):
        index_images(load_card("cifar10"), tmp_path)
    with pytest.raises(DatasetError, match=r"cifar-100-python.*--from DIR"):
        index_images(load_card("cifar100"), None)


def test_cifar_of_other_classes(cifar):
    with pytest.raises(DatasetError, match="its classes are airplane, automobile"):
        index_images(make_card("cifar10", "abcdefghij", (32, 32)), cifar)
    assert index_images(make_card("cifar10", 10, (32, 32)), cifar).classes[0] == "airplane"


def test_names_are_a_sequence_without_an_object_each():
    words = ["train/a/0.png", "", "test/ä/雪.jpg", "c\udcff.png"]
    names = Names(words)
    assert list(names) == words and len(names) == 4 and names[-1] == words[-1] and names[1:3] == words[1:3]
    assert pickle.loads(pickle.dumps(names))[2] == words[2]
    assert not list(Names([]))
    with pytest.raises(IndexError):
        names[4]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted by Linux's /proc")
@pytest.mark.parametrize("workers", [0, 2])
def test_memory_and_open_files_stay_flat_over_many_files(tmp_path, monkeypatch, workers):
    """A set too large to keep, reduced: 400 images of several sizes, two epochs; nothing stays behind a batch."""
    for label, name in enumerate("ab"):
        for split, count in (("train", 180), ("test", 20)):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                picture = Image.new("RGB", (300 + number % 7, 300), (40 * label, number, 0))
                picture.save(tmp_path / split / name / f"{number}.jpg")
    monkeypatch.setattr(image_set, "KEPT_ALONE_BYTES", 2**20)
    dataset = ImageDataset(open_images(make_card(), index_images(make_card(), tmp_path)), "train", None, (6, 5), 8)
    loader = DataLoader(dataset, batch_size=20, num_workers=workers, collate_fn=image_collate)
    most, sizes = 0, []
    for _ in range(2):
        batches = iter(loader)
        for _ in batches:
            family = [os.getpid(), *(worker.pid for worker in getattr(batches, "_workers", []))]
            most = max(most, *(open_files(each) for each in family))
            sizes.append(sum(map(own_bytes, family)))
    decoded = 360 * 3 * 300 * 300  # what keeping all of it would take, in every process
    assert max(sizes) - min(sizes[2:]) < decoded / 4
    assert most < open_files(os.getpid()) + 30


def open_files(process):
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def own_bytes(process):
    """Memory that is this process's alone."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty:", "Private_Clean:"))) * 1024
