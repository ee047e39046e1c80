"""tonic's own dataset classes over folders in the exact layout they expect, built byte by byte; nothing is downloaded."""

import time
import typing
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest

from dvspipe.cards import TonicSettings
from dvspipe.data.prepare import prepare
from dvspipe.data.splits import split_walks
from dvspipe.data.tonic_sets import HELP, read_tonic_set
from dvspipe.errors import DatasetError
from dvspipe.recipes import load_card
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Archive, Segment

DIGITS = [str(digit) for digit in range(10)]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments, **settings):
        raise AssertionError("tonic tried to download")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr("tonic.dataset.Dataset.download", refuse)


def card(name, classes, size=(34, 34), test_share=None, **more):
    settings = SimpleNamespace(name=name, test_share=test_share)
    fields = {"title": name, "kind": "tonic", "licence": "none", "md5": {}, "counts": {}, "folder": None, **more}
    return SimpleNamespace(sensor_size=size, classes=list(classes), tonic=settings, **fields)


def rows(seed, n=30, size=(34, 34), step=900):
    """t, x, y, p [n] with times from 0 to about 0.03 s."""
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.integers(1, step, n))
    return t, rng.integers(0, size[0], n), rng.integers(0, size[1], n), rng.integers(0, 2, n)


def bin_bytes(t, x, y, p):
    """40-bit records; the clock runs over once, in the middle, as a record with y = 240 says."""
    middle, data = len(t) // 2, b""
    for index, (when, *place, on) in enumerate(zip(*(column.tolist() for column in (t, x, y, p)))):
        if index == middle:
            data += bytes([0, 240, 0, 0, 0])
        word = on << 23 | (when - 8192 * (index >= middle))
        data += bytes(place) + word.to_bytes(3, "big")
    return data


def late(seed, **how):
    """Rows whose second half begins after one overflow of the clock."""
    t, *rest = rows(seed, **how)
    return t + 8192 * (np.arange(len(t)) >= len(t) // 2), *rest


def nmnist(folder, per_class=3, splits=("Train", "Test")):
    """The set's folder, and {recording: rows}."""
    held = {}
    for split in splits:
        for digit in DIGITS:
            place = folder / "NMNIST" / split / digit
            place.mkdir(parents=True)
            for number in reversed(range(per_class)):
                name = f"{split}/{digit}/{number * 9:05d}"
                held[name] = late(len(held))
                (folder / "NMNIST" / f"{name}.bin").write_bytes(bin_bytes(*held[name]))
    return held


def check(path, held):
    """Every recording of the archive holds exactly the rows it was made of."""
    with Archive(path) as archive:
        assert sorted(archive.recordings) == sorted(held)
        assert len(archive.segments) == len(held)
        for segment in archive.segments:
            events = archive.events(segment.recording, segment.start_us, segment.stop_us)
            for found, expected in zip((events.t, events.x, events.y, events.p), held[segment.recording]):
                np.testing.assert_array_equal(found, expected)
        return archive.segments


def test_nmnist_without_its_zip_files(tmp_path):
    held = nmnist(tmp_path)
    calls = []
    result = prepare(card("NMNIST", DIGITS), tmp_path, tmp_path / "out.h5", lambda *call: calls.append(call))
    segments = check(tmp_path / "out.h5", held)
    numbers = ("00000", "00009", "00018")
    order = [f"{split}/{digit}/{number}" for split in ("Train", "Test") for digit in DIGITS for number in numbers]
    assert [each.recording for each in segments] == order
    assert all(each.recording.lower().startswith(each.split) for each in segments)
    assert all(each.recording.split("/")[1] == str(each.label) for each in segments)
    assert (result["layout"], result["notes"], result["events"]) == ("tonic", [], 60 * 30)
    assert result["checks"] == {"md5": {}, "totals": {"train": 30, "test": 30}, "expected": {}, "complete": False}
    assert calls[-1] == (60, 60, "Test/9/00018")


def test_tonics_reading_of_nmnist_is_ours(tmp_path):
    """Two makes of a reader of the 40-bit records, over overflows."""
    held = nmnist(tmp_path, per_class=1)
    for name, expected in held.items():
        events = open_recording(tmp_path / "NMNIST" / f"{name}.bin").load()
        for found, column in zip((events.t, events.x, events.y, events.p), expected):
            np.testing.assert_array_equal(found, column)


def test_the_real_digit_in_every_place(tmp_path, recordings_dir):
    """The published file and prefixes of it as 40 samples; read by tonic, compared with our reader of the format."""
    whole = (recordings_dir / "nmnist_sample.bin").read_bytes()
    nmnist(tmp_path, per_class=2)
    for index, path in enumerate(sorted((tmp_path / "NMNIST").rglob("*.bin"))):
        path.write_bytes(whole[: len(whole) - 5 * 100 * index])
    prepare(card("NMNIST", DIGITS), tmp_path, tmp_path / "out.h5")
    expected = open_recording(recordings_dir / "nmnist_sample.bin").load()
    with Archive(tmp_path / "out.h5") as archive:
        counts = []
        for segment in archive.segments:
            events = archive.events(segment.recording, segment.start_us, segment.stop_us)
            counts.append(len(events))
            for name in "txyp":
                np.testing.assert_array_equal(getattr(events, name), getattr(expected, name)[: len(events)])
    assert sorted(counts) == [4325 - 100 * index for index in reversed(range(40))]


@pytest.fixture(scope="module")
def aedat4_bytes(tmp_path_factory):
    """A function from rows to the bytes of an AEDAT 4 file of one packet."""
    import faery
    from faery import aedat

    def node(name, nodes=(), **values):
        kinds = {str: "string", int: "int"}
        attributes = {key: aedat.DescriptionAttribute(kinds[type(value)], value) for key, value in values.items()}
        return aedat.DescriptionNode(name, f"/mainloop/Recorder/{name}/", attributes, list(nodes))

    path = tmp_path_factory.mktemp("aedat4") / "made.aedat4"

    def build(t, x, y, p):
        info = node("info", sizeX=128, sizeY=128, source="made")
        stream = node("0", [info], compression="LZ4", originalOutputName="events", typeIdentifier="EVTS")
        events = np.zeros(len(t), faery.EVENTS_DTYPE)
        events["t"], events["x"], events["y"], events["on"] = t, x, y, p
        with aedat.Encoder(path, [node("outInfo", [stream])], aedat.LZ4_DEFAULT) as encoder:
            encoder.write(0, events)
        return path.read_bytes()

    return build


def cifar10dvs(folder, aedat4_bytes, per_class=11):
    held = {}
    for label, name in enumerate(load_card("cifar10-dvs").classes):
        place = folder / "CIFAR10DVS" / name
        place.mkdir(parents=True)
        for number in reversed(range(per_class)):
            recording = f"{name}/cifar10_{name}_{number}"
            held[recording] = rows(100 * label + number, size=(128, 128))
            (folder / "CIFAR10DVS" / f"{recording}.aedat4").write_bytes(aedat4_bytes(*held[recording]))
    return held


def test_cifar10dvs_tests_the_last_files_by_their_numbers(tmp_path, aedat4_bytes):
    held = cifar10dvs(tmp_path, aedat4_bytes)
    (tmp_path / "CIFAR10DVS" / "__MACOSX" / "cat").mkdir(parents=True)
    (tmp_path / "CIFAR10DVS" / "__MACOSX" / "cat" / "._cifar10_cat_0.aedat4").write_bytes(b"?")
    made = load_card("cifar10-dvs")
    result = prepare(made, tmp_path, tmp_path / "out.h5", partial=True)
    segments = check(tmp_path / "out.h5", held)
    tests = {each.recording for each in segments if each.split == "test"}
    assert tests == {f"{name}/cifar10_{name}_10" for name in made.classes}  # 10 is behind 9, not behind 1
    assert all(each.recording.startswith(made.classes[each.label]) for each in segments)
    assert [note.split(":")[0] for note in result["notes"]] == ["train", "test"]
    with pytest.raises(
        DatasetError, match=r"train: 100 samples, expected 9,000: not extracted to the end.*\n.*test: 10"
    ):
        read_tonic_set(tmp_path, made)


def test_a_cut_sample_is_named_and_left_out(tmp_path, aedat4_bytes):
    cifar10dvs(tmp_path, aedat4_bytes, per_class=3)
    path = tmp_path / "CIFAR10DVS" / "dog" / "cifar10_dog_1.aedat4"
    path.write_bytes(path.read_bytes()[:-500])
    made = load_card("cifar10-dvs").model_copy(update={"counts": {}})
    with pytest.raises(DatasetError, match=r"labels and events do not fit\n.*cifar10_dog_1.aedat4: truncated"):
        prepare(made, tmp_path, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
    result = prepare(made, tmp_path, tmp_path / "out.h5", partial=True)
    assert result["checks"]["totals"] == {"train": 19, "test": 10}
    assert [note for note in result["notes"] if "cifar10_dog_1" in note]


def test_caltech_labels_are_the_cards_classes(tmp_path):
    held = {}
    for name in ("wheel", "crab", "BACKGROUND_Google"):
        place = tmp_path / "NCALTECH101" / "Caltech101" / name
        place.mkdir(parents=True)
        for number in range(4):
            t, x, y, p = rows(len(held), size=(200, 170), n=60)
            x, y = x - x.min(), y - y.min()  # tonic moves every sample to the corner
            held[f"Caltech101/{name}/image_{number:04d}"] = (t, x, y, p)
            (place / f"image_{number:04d}.bin").write_bytes(bin_bytes(t + 8192 * (np.arange(60) >= 30), x, y, p))
    made = card("NCALTECH101", ["crab", "wheel"], (240, 180), test_share=0.25)
    result = prepare(made, tmp_path, tmp_path / "out.h5")
    assert result["notes"] == ["class BACKGROUND_Google: 4 samples left out, the card does not name it"]
    assert result["counts"] == {"train": {"crab": 3, "wheel": 3}, "test": {"crab": 1, "wheel": 1}}
    made.sensor_size = (100, 100)
    with pytest.raises(DatasetError, match="the card's sensor is 100x100"):
        prepare(made, tmp_path, tmp_path / "out.h5")


def test_asl_columns_and_its_picture_upside_down(tmp_path):
    from scipy.io import savemat

    held = {}
    for letter in "ab":
        (tmp_path / "ASLDVS" / letter).mkdir(parents=True)
        for number in range(2):
            t, x, y, p = rows(len(held), size=(240, 180))
            held[f"{letter}/{letter}_{number}"] = t, x, y, p
            columns = {"ts": t, "x": x, "y": 179 - y, "pol": p}
            path = tmp_path / "ASLDVS" / letter / f"{letter}_{number}.mat"
            savemat(path, {name: column[:, None] for name, column in columns.items()})
    prepare(card("ASLDVS", "ab", (240, 180), test_share=0.5), tmp_path, tmp_path / "out.h5")
    assert [each.label for each in check(tmp_path / "out.h5", held)] == [0, 1, 0, 1]


def test_poker_is_loaded_by_tonic_at_once(tmp_path):
    made = []
    for split in ("pips_train", "pips_test"):
        for suit in ("cl", "di", "he", "sp"):
            (tmp_path / "POKERDVS" / split / suit).mkdir(parents=True)
            for number in range(2):
                made.append(rows(len(made), size=(35, 35)))
                np.save(tmp_path / "POKERDVS" / split / suit / f"{number}.npy", np.stack(made[-1], 1))
    prepare(card("POKERDVS", ["cl", "he", "di", "sp"], (35, 35)), tmp_path, tmp_path / "out.h5")
    with Archive(tmp_path / "out.h5") as archive:
        found = [archive.events(each.recording, each.start_us, each.stop_us) for each in archive.segments]
        assert [each.label for each in archive.segments] == [0, 0, 1, 1, 2, 2, 3, 3] * 2
    assert sorted(each.t.tolist() for each in found) == sorted(each[0].tolist() for each in made)


def test_gestures_of_tonic_are_those_of_the_gesture_card(tmp_path, gestures):
    gestures.tonic(tmp_path / "DVSGesture")
    made = card("DVSGesture", gestures.classes, (128, 128))
    prepare(made, tmp_path, tmp_path / "tonic.h5")
    made.kind, made.tonic = "gesture", None
    prepare(made, tmp_path, tmp_path / "gesture.h5", partial=True)
    with Archive(tmp_path / "tonic.h5") as one, Archive(tmp_path / "gesture.h5") as other:
        assert len(one.segments) == len(other.segments) == 33
        for mine, theirs in zip(one.segments, other.segments):
            assert mine[1:4] == theirs[1:4]
            found, expected = one.events(mine.recording, 0, 10**9), other.events(theirs.recording, 0, 10**9)
            for column in "txyp":
                np.testing.assert_array_equal(getattr(found, column), getattr(expected, column))


@pytest.mark.parametrize("name", HELP)
def test_an_empty_folder_says_what_belongs_there(tmp_path, name):
    import tonic

    kind = getattr(tonic.datasets, name)
    size = kind.sensor_size[:2] if kind.sensor_size else (240, 180)
    share = None if name in ("NMNIST", "POKERDVS", "DVSGesture") else 0.1
    with pytest.raises(DatasetError, match=rf"train: 0 samples.*\n(.*\n)*Get .*http.*{tmp_path}/{name}/") as caught:
        read_tonic_set(tmp_path, card(name, DIGITS, size, share), partial=True)
    archive = getattr(kind, "filename", None) or kind.train_filename
    assert archive.partition("-archive")[0] in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_half_a_set_is_refused_and_taken_when_asked(tmp_path):
    nmnist(tmp_path, splits=("Train",))
    made = card("NMNIST", DIGITS, counts={"tonic": {"train": 60_000, "test": 10_000}})
    with pytest.raises(DatasetError, match=r"2 faults\n  - train: 30 samples, expected 60,000.*\n  - test: 0 samples"):
        read_tonic_set(tmp_path, made)
    result = prepare(made, tmp_path, tmp_path / "out.h5", partial=True)
    assert result["checks"]["totals"] == {"train": 30}
    assert len(result["notes"]) == 2


def test_every_sample_that_cannot_be_read_is_named(tmp_path):
    nmnist(tmp_path)
    folder = tmp_path / "NMNIST" / "Train"
    (folder / "3" / "00000.bin").write_bytes(b"")
    (folder / "4" / "00000.bin").write_bytes(bin_bytes(*late(0))[:-1])
    (folder / "5" / "00000.bin").write_bytes(bin_bytes(*late(0, size=(80, 34))))
    with pytest.raises(DatasetError) as caught:
        prepare(card("NMNIST", DIGITS), tmp_path, tmp_path / "out.h5")
    for words in ("Train/3/00000: no event", "Train/4/00000: cannot be read", "Train/5/00000: pixels x"):
        assert words in str(caught.value)
    assert prepare(card("NMNIST", DIGITS), tmp_path, tmp_path / "out.h5", partial=True)["checks"]["totals"] == {
        "train": 27,
        "test": 30,
    }


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (card("NMNIST", DIGITS, (32, 32)), r"sensor_size = \[32, 32\], tonic says \[34, 34\]"),
        (card("NMNIST", DIGITS, test_share=0.1), "has its own test split"),
        (card("CIFAR10DVS", DIGITS, (128, 128)), "has no test split. Set test_share"),
        (card("SHD", DIGITS), r"no table \[tonic\] with a name. Known: NMNIST"),
    ],
)
def test_a_card_that_does_not_fit_the_class(tmp_path, made, words):
    with pytest.raises(DatasetError, match=words):
        read_tonic_set(tmp_path, made)


def test_a_folder_with_a_strange_name(tmp_path):
    nmnist(tmp_path)
    (tmp_path / "NMNIST" / "Train" / "more").mkdir()
    (tmp_path / "NMNIST" / "Train" / "more" / "1.bin").write_bytes(b"12345")
    with pytest.raises(DatasetError, match=r"tonic cannot read the folder .*'e'"):
        read_tonic_set(tmp_path, card("NMNIST", DIGITS))


def test_the_cards_agree_with_tonic():
    from tonic.datasets import CIFAR10DVS, NMNIST

    assert set(HELP) == set(typing.get_args(TonicSettings.model_fields["name"].annotation))
    digits, pictures = load_card("nmnist"), load_card("cifar10-dvs")
    assert digits.md5 == {NMNIST.train_filename: NMNIST.train_md5, NMNIST.test_filename: NMNIST.test_md5}
    assert pictures.md5 == {CIFAR10DVS.filename: CIFAR10DVS.file_md5}
    assert CIFAR10DVS.url in pictures.source
    assert {name: label for label, name in enumerate(pictures.classes)} == CIFAR10DVS.classes
    assert [f"{digit} - {name}" for digit, name in enumerate(digits.classes)] == NMNIST.classes


def test_checksums_are_looked_for_in_tonics_folder_only(tmp_path):
    nmnist(tmp_path)
    (tmp_path / "train.zip").write_bytes(b"somebody else's")
    made = card("NMNIST", DIGITS, md5={"train.zip": "20959b8e626244a1b502305a9e6e2031"})
    assert prepare(made, tmp_path, tmp_path / "out.h5")["checks"]["md5"] == {}
    (tmp_path / "NMNIST" / "train.zip").write_bytes(b"cut")
    with pytest.raises(DatasetError, match=r"train\.zip: md5"):
        prepare(made, tmp_path, tmp_path / "out.h5")


def test_sixty_thousand_samples_are_split_in_seconds():
    samples = [Segment(f"Train/{n % 10}/{n:05d}", n % 10, 0, "train", 0, 9) for n in range(60_000)]
    samples += [Segment(f"Test/{n}", n, 0, "test", 0, 9) for n in range(10)]
    start = time.perf_counter()
    splits = split_walks(samples, 0.1, 0)
    assert time.perf_counter() - start < 3
    assert (len(splits.train), len(splits.val), len(splits.test)) == (54_000, 6_000, 10)
