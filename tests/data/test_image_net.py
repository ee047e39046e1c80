"""ImageNet's folders: validation images in folders or flat, with labels from whatever people have beside them."""

import tarfile

import numpy as np
import pytest
from PIL import Image

from dvspipe.data.images.index import index_images
from dvspipe.errors import DatasetError
from dvspipe.recipes import Card

WNIDS = ["n01440764", "n01443537", "n02099601"]
TRUTH = [WNIDS[2], WNIDS[0], WNIDS[1], WNIDS[0]]  # of the four validation images, in the order of their names
VAL = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, 5)]
DEVKIT = "ILSVRC2012_devkit_t12"


def make_card(classes=3):
    images = {"channels": 3, "mean": [0.5] * 3, "std": [0.2] * 3, "resize": 40}
    return Card(title="Net", kind="imagenet", licence="none", sensor_size=(32, 32), classes=classes, images=images)


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (50, 40)).save(path, "JPEG")


@pytest.fixture(params=["", "ILSVRC/Data/CLS-LOC"])
def flat(tmp_path, request):
    """(DIR, the folder that holds train/ and a flat val/)."""
    base = tmp_path / request.param
    for wnid in WNIDS:
        for number in range(2):
            draw(base / "train" / wnid / f"{wnid}_{number}.JPEG")
    for name in VAL:
        draw(base / "val" / name)
    return tmp_path, base


def labels(index):
    return {name.split("/")[-1]: wnid for wnid, names in index.files["test"].items() for name in names}


def devkit(folder):
    """ILSVRC's own numbers are not the alphabetical order, and inner nodes have numbers too."""
    from scipy.io import savemat

    order = [WNIDS[1], WNIDS[2], WNIDS[0], "n00000000"]
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    synsets = np.array([(place + 1, wnid, "a fish", 0) for place, wnid in enumerate(order)], dtype=fields)
    (folder / "data").mkdir(parents=True)
    savemat(folder / "data" / "meta.mat", {"synsets": synsets})
    numbers = "".join(f"{order.index(wnid) + 1}\n" for wnid in TRUTH)
    (folder / "data" / "ILSVRC2012_validation_ground_truth.txt").write_text(numbers)


def add_labels(kind, root, base):
    if kind == "meta.bin":
        import torch

        torch.save((dict.fromkeys(WNIDS, ("a", "b")), TRUTH), root / "meta.bin")
    elif kind == DEVKIT:
        devkit(root / DEVKIT)
    elif kind == f"{DEVKIT}.tar.gz":
        devkit(root / "made" / DEVKIT)
        with tarfile.open(root / kind, "w:gz") as kit:
            kit.add(root / "made" / DEVKIT, DEVKIT)
    elif kind == "LOC_val_solution.csv":
        rows = [f"{name.split('.')[0]},{wnid} 1 2 30 40 {wnid} 5 6 7 8\n" for name, wnid in zip(VAL, TRUTH)]
        (root / kind).write_text("ImageId,PredictionString\n" + "".join(reversed(rows)))
        (root / "LOC_sample_submission.csv").write_text(
            "ImageId,PredictionString\nILSVRC2012_test_00000001,n01440764 1\n"
        )
    elif kind == "val.txt":
        rows = [f"{name} {WNIDS.index(wnid)}\n" for name, wnid in zip(VAL, TRUTH)]
        (base / kind).write_text("".join(rows))
    elif kind == "synset_labels.txt":
        (base / "val" / kind).write_text("\n".join(TRUTH) + "\n\n")


SOURCES = ["meta.bin", DEVKIT, f"{DEVKIT}.tar.gz", "LOC_val_solution.csv", "val.txt", "synset_labels.txt"]


@pytest.mark.parametrize("kind", SOURCES)
def test_labels_of_a_flat_val(flat, kind):
    root, base = flat
    add_labels(kind, root, base)
    index = index_images(make_card(), root)
    assert index.classes == WNIDS
    assert index.totals() == {"train": 6, "test": 4}
    assert labels(index) == dict(zip(VAL, TRUTH))
    assert any(f"val/ from {kind}" in note for note in index.notes)
    assert all((root / name).is_file() for names in index.files["test"].values() for name in names)


def test_val_in_folders_needs_no_labels(flat):
    root, base = flat
    for name, wnid in zip(VAL, TRUTH):
        (base / "val" / wnid).mkdir(exist_ok=True)
        (base / "val" / name).rename(base / "val" / wnid / name)
    assert labels(index_images(make_card(), root)) == dict(zip(VAL, TRUTH))


def test_numbers_keep_their_labels_when_images_are_missing(flat):
    """Label i of the list is that of image number i, however many there are."""
    root, base = flat
    add_labels("meta.bin", root, base)
    (base / "val" / VAL[1]).unlink()
    assert labels(index_images(make_card(), root)) == {name: wnid for name, wnid in zip(VAL, TRUTH) if name != VAL[1]}


def test_without_labels_it_says_what_they_may_be(flat):
    root, _ = flat
    (root / "readme.txt").write_text("n01440764 is a tench\n\n")
    with pytest.raises(DatasetError) as caught:
        index_images(make_card(), root)
    for word in ("4 images without folders", "meta.bin", DEVKIT, "LOC_val_solution.csv", "n01751748"):
        assert word in str(caught.value)


def test_an_image_without_label_is_named(flat):
    root, _ = flat
    rows = [f"{name} {wnid}\n" for name, wnid in zip(VAL, TRUTH)]
    (root / "val.txt").write_text("".join(rows[:3]))
    with pytest.raises(DatasetError, match=f"val/{VAL[3]}: val.txt has no label for it"):
        index_images(make_card(), root)
    assert index_images(make_card(), root, partial=True).totals() == {"train": 6, "test": 3}


@pytest.mark.parametrize("name", ["meta.bin", f"{DEVKIT}.tar.gz"])
def test_damaged_labels(flat, name):
    root, _ = flat
    (root / name).write_bytes(b"cut short")
    with pytest.raises(DatasetError, match=f"{name}: cannot be read as"):
        index_images(make_card(), root)


def test_labels_of_another_number_of_images(flat):
    root, base = flat
    for number, name in enumerate(VAL):
        (base / "val" / name).rename(base / "val" / f"photo{'x' * number}.JPEG")
    (root / "synsets.txt").write_text("\n".join(TRUTH[:3]))
    with pytest.raises(DatasetError, match=r"synsets\.txt: labels of 3 images, val/ holds 4"):
        index_images(make_card(), root)
    (root / "synsets.txt").write_text("\n".join(TRUTH))
    found = labels(index_images(make_card(), root))
    assert [found[name] for name in sorted(found)] == TRUTH, "names without numbers go by their order"


def test_a_folder_too_few_would_shift_every_label(flat):
    root, base = flat
    add_labels("val.txt", root, base)
    with pytest.raises(DatasetError, match=r"3 class folders .*the card says 4"):
        index_images(make_card(4), root, partial=True)


@pytest.mark.parametrize("missing", ["train", "val"])
def test_a_missing_folder(flat, missing):
    root, base = flat
    (base / missing).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=r"no such folder\. Expected is DIR/train"):
        index_images(make_card(), root)
