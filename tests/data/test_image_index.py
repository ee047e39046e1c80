"""A folder of images becomes an index: what is found, what is converted, and everything wrong told at once."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from dvspipe.data.images import looking
from dvspipe.data.images.image_index import ImageIndex
from dvspipe.data.images.image_set import open_images
from dvspipe.data.images.index import index_images
from dvspipe.errors import DatasetError
from dvspipe.recipes import Card


def make_card(classes=("cat", "dog"), size=(12, 10), **images):
    images = {
        "channels": 3,
        "mean": [0.5] * images.get("channels", 3),
        "std": [0.2] * images.get("channels", 3),
        **images,
    }
    kind = {"kind": "image-folder", "title": "Mine", "licence": "mine"}
    return Card(**kind, sensor_size=size, classes=classes if isinstance(classes, int) else list(classes), images=images)


def draw(path, size=(12, 10), mode="RGB", seed=0):
    """An image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def by_sha(name):
    return hashlib.sha256(f"0:{name}".encode()).digest()


def names_of(index):
    return sorted(name for classes in index.files.values() for held in classes.values() for name in held)


@pytest.fixture
def pets(tmp_path):
    """DIR/<class>/<image>, ten of each."""
    for name in ("cat", "dog"):
        for number in range(10):
            draw(tmp_path / name / f"{number}.png", seed=number)
    return tmp_path


def test_a_share_of_every_class_tests_and_it_depends_on_names_alone(pets):
    index = index_images(make_card(), pets)
    assert index.counts == {"train": {"cat": 8, "dog": 8}, "test": {"cat": 2, "dog": 2}}
    assert index.size == (12, 10)
    assert index.notes == []
    for name in ("cat", "dog"):
        ranked = sorted(
            (f"{name}/{n}.png" for n in range(10)), key=lambda each: hashlib.sha256(f"0:{each}".encode()).digest()
        )
        assert index.files["test"][name] == sorted(ranked[:2])
        assert sorted(index.files["train"][name] + ranked[:2]) == [f"{name}/{n}.png" for n in range(10)]
    other = index_images(make_card(seed=1), pets)
    assert other.files["test"] != index.files["test"]


def test_json_and_back(pets):
    index = index_images(make_card(), pets)
    assert ImageIndex.from_json(index.to_json()) == index
    assert json.loads(index.to_json())["root"] == str(pets)
    assert index.totals() == {"train": 16, "test": 4}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "dvspipe images 0"}', '{"format": "dvspipe images 1"}'])
def test_what_is_no_index_is_refused(text):
    with pytest.raises(DatasetError, match=r"pets\.images\.json: not an image index.*dvspipe prepare"):
        ImageIndex.from_json(text, "pets.images.json")


def test_the_fingerprint_sees_names_sizes_and_labels(pets):
    first = index_images(make_card(), pets).fingerprint
    assert len(first) == 12
    assert index_images(make_card(), pets).fingerprint == first
    assert index_images(make_card(("dog", "cat")), pets).fingerprint != first
    (pets / "cat" / "3.png").rename(pets / "cat" / "33.png")
    renamed = index_images(make_card(), pets).fingerprint
    assert renamed != first
    draw(pets / "cat" / "33.png", size=(12, 11))
    assert index_images(make_card(), pets).fingerprint != renamed


@pytest.mark.parametrize("test", ["test", "val", "valid"])
def test_folders_for_training_and_testing(tmp_path, test):
    for split, count in (("train", 3), (test, 1)):
        for name in ("cat", "dog"):
            for number in range(count):
                draw(tmp_path / split / name / "deeper" / f"{number}.jpg")
    index = index_images(make_card(), tmp_path)
    assert index.totals() == {"train": 6, "test": 2}
    assert index.files["test"]["dog"] == [f"{test}/dog/deeper/0.jpg"]
    assert index.notes == ([] if test == "test" else [f"{test}/ is taken as the test split"])


def test_train_without_test_is_refused(tmp_path):
    draw(tmp_path / "train" / "cat" / "0.png")
    with pytest.raises(DatasetError, match="train/ is there, but none of test, val"):
        index_images(make_card(), tmp_path)


def test_a_number_of_classes_takes_the_folders_names(pets):
    assert index_images(make_card(2), pets).classes == ["cat", "dog"]
    with pytest.raises(DatasetError, match=r"2 class folders \(cat, dog\), the card says 3"):
        index_images(make_card(3), pets, partial=True)


def broken(folder):
    """One of every fault; returns what must be named."""
    draw(folder / "cat" / "cut.jpg", size=(60, 60))
    whole = (folder / "cat" / "cut.jpg").read_bytes()
    (folder / "cat" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    draw(folder / "cat" / "dot.png", size=(1, 1))
    (folder / "cat" / "text.jpg").write_text("no image")
    (folder / "cat" / "nothing.png").write_bytes(b"")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(folder / "dog" / "float.tif")
    draw(folder / "loose.png")
    draw(folder / "horse" / "0.png")
    return [
        "cat/cut.jpg",
        "cat/dot.png: 1x1",
        "cat/text.jpg",
        "cat/nothing.png",
        "dog/float.tif",
        "loose.png",
        "horse/",
    ]


def test_all_faults_at_once_with_the_files_names(pets):
    named = broken(pets)
    (pets / "bird").mkdir()
    with pytest.raises(DatasetError) as caught:
        index_images(make_card(("cat", "dog", "bird", "cow")), pets)
    message = str(caught.value)
    for name in [*named, "cow/: no such folder", "class bird: 0 usable", "--partial"]:
        assert name in message
    assert "pixels of mode F are not read" in message
    assert message.splitlines()[0] == f"{pets}: 9 faults"


def test_partial_leaves_files_out_with_a_note_each(pets):
    before = index_images(make_card(), pets)
    named = broken(pets)
    index = index_images(make_card(), pets, partial=True)
    assert names_of(index) == names_of(before)
    assert all(any(name in note for note in index.notes) for name in named)


def test_many_faults_are_counted(pets):
    for number in range(30):
        (pets / "cat" / f"bad{number:02}.png").write_bytes(b"x")
    with pytest.raises(DatasetError) as caught:
        index_images(make_card(), pets)
    assert str(caught.value).count("bad") == 20
    assert "and 10 more" in str(caught.value)


def test_one_image_of_a_class_is_too_few(tmp_path):
    for name, count in (("cat", 4), ("dog", 1)):
        for number in range(count):
            draw(tmp_path / name / f"{number}.png")
    with pytest.raises(DatasetError, match="- class dog: 1 usable images, needed are at least three"):
        index_images(make_card(), tmp_path)


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_no_folder(tmp_path, folder):
    with pytest.raises(DatasetError, match=r"no such folder.*--from DIR"):
        index_images(make_card(), folder and tmp_path / folder)


def test_nothing_left_is_refused_with_partial_too(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    with pytest.raises(DatasetError, match="0 usable"):
        index_images(make_card(), tmp_path, partial=True)


def test_conversions_and_sizes_are_counted_and_the_first_named(pets):
    draw(pets / "cat" / "a.jpg", mode="CMYK")
    draw(pets / "cat" / "b.jpg", mode="CMYK")
    draw(pets / "dog" / "g.png", mode="L", size=(20, 20))
    (pets / "dog" / "notes.txt").write_text("no image")
    notes = index_images(make_card(), pets).notes
    assert "2 images: CMYK to RGB (first cat/a.jpg)" in notes
    assert "1 images: grey to RGB (first dog/g.png)" in notes
    assert any("1 images: not of 12x10 pixels: stretched" in note and "dog/g.png" in note for note in notes)
    assert any("1 files that are no images left out (first dog/notes.txt)" in note for note in notes)
    cropped = index_images(make_card(resize=16), pets)
    assert cropped.size is None
    assert any("shorter side resized to 16, the middle 12x10" in note for note in cropped.notes)


def test_large_sets_are_looked_at_by_their_headers(pets, monkeypatch):
    draw(pets / "cat" / "cut.jpg", size=(60, 60))
    whole = (pets / "cat" / "cut.jpg").read_bytes()
    (pets / "cat" / "cut.jpg").write_bytes(whole[: len(whole) - 200])
    with pytest.raises(DatasetError, match=r"cut\.jpg"):
        index_images(make_card(), pets)
    monkeypatch.setattr(looking, "DECODED_BELOW", 21)
    index = index_images(make_card(), pets)
    assert any("only headers were read, because there are 21 images" in note for note in index.notes)
    assert index.pixels == 20 * 120 + 3600


def test_progress_is_told(pets, monkeypatch):
    monkeypatch.setattr(looking, "CHUNK", 6)
    told = []
    index_images(make_card(), pets, report=lambda done, total, note: told.append((done, total)))
    assert told == [(6, 20), (12, 20), (18, 20), (20, 20)]


def test_an_index_of_another_card_is_refused(pets):
    index = index_images(make_card(), pets)
    for other in (make_card(("cat", "cow")), make_card(3)):
        with pytest.raises(DatasetError, match="indexed with another card"):
            open_images(other, index)
    assert open_images(make_card(2), index).classes == ["cat", "dog"]
    with pytest.raises(DatasetError, match="another card"):
        open_images(make_card(), dataclasses.replace(index, kind="imagenet"))


def test_what_is_left_out_takes_no_class_its_test_images(pets):
    """Faulty files could all be those that would have tested."""
    for name in index_images(make_card(), pets).files["test"]["cat"]:
        (pets / name).write_bytes(b"x")
    index = index_images(make_card(), pets, partial=True)
    assert index.counts["test"] == {"cat": 2, "dog": 2}
    assert index.counts["train"] == {"cat": 6, "dog": 8}


def test_a_split_of_another_size_than_published(pets):
    card = make_card()
    card.counts["folder"] = {"train": 16, "test": 4}
    for split in ("train", "test"):
        (pets / split).mkdir()
    for name in ("cat", "dog"):
        (pets / name).rename(pets / "train" / name)
        draw(pets / "test" / name / "0.png")
    with pytest.raises(DatasetError) as caught:
        index_images(card, pets)
    assert "train: 20 images, published are 16" in str(caught.value)
    assert "test: 2 images, published are 4" in str(caught.value)
    assert index_images(card, pets, partial=True).totals() == {"train": 20, "test": 2}
