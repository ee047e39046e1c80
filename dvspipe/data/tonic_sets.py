"""tonic's dataset classes, by their name on a card -> labelled recordings, one per sample.

    DIR/<name of the class>/...        DIR is what tonic calls `save_to`: `dvspipe prepare nmnist --from DIR`

tonic knows where files lie, what they are labelled and how most are read. What it would do otherwise is put right here:
it never downloads (tonic would, also where only the archive was deleted after it was extracted); files are in the
order of their names and numbers (several classes take the file system's); a set that was not extracted to its end is
refused (tonic takes 1,000 files of CIFAR10-DVS and 100 of DVS Gesture for all); CIFAR10-DVS is read by our AEDAT 4 reader
(tonic's needs a package that it does not install); columns of shape [N,1] (ASL-DVS) become [N]. Samples are read one
by one, while they are written. Knows nothing about archives. Source: tonic 1.6, tonic/datasets/*.py.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dvspipe.data.source import Card, LabelledRecording, TonicTable, natural, settle
from dvspipe.errors import DamagedRecordingError, DatasetError, RecordingError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Segment

LAYOUT = "tonic"
# Where each set is had and what DIR then holds. tonic's own downloads fail for several (its issues 177, 255, 329).
HELP = {
    "NMNIST": "Get train.zip and test.zip from https://data.mendeley.com/datasets/468j46mzdv and extract both (about"
    " 1.5 GB): DIR/NMNIST/Train/0..9/*.bin (60,000 files) and DIR/NMNIST/Test/0..9/*.bin (10,000).",
    "CIFAR10DVS": "Get CIFAR10DVS.zip with a browser from https://figshare.com/ndownloader/files/38023437, extract it"
    " and the ten zip files in it: DIR/CIFAR10DVS/{airplane..truck}/*.aedat4 (10 x 1,000 files).",
    "NCALTECH101": "Get N-Caltech101-archive.zip from https://data.mendeley.com/datasets/cy6cvx3ryv, extract it and the"
    " Caltech101.zip in it: DIR/NCALTECH101/Caltech101/<class>/*.bin (8,709 files).",
    "POKERDVS": "Get pips_train.tar.gz and pips_test.tar.gz from tonic/datasets/ of"
    " https://github.com/neuromorphs/tonic (the wheel lacks them) and extract both:"
    " DIR/POKERDVS/{pips_train,pips_test}/{cl,he,di,sp}/*.npy.",
    "ASLDVS": "Get ASLDVS.zip from https://www.dropbox.com/sh/ibq0jsicatn7l6r/AACNrNELV56rs1YInMWUs9CAa?dl=1, extract"
    " it and the zip files in it: DIR/ASLDVS/{a..y}/*.mat (100,800 files).",
    "DVSGesture": "Get ibmGestureTrain.tar.gz and ibmGestureTest.tar.gz with a browser from"
    " https://figshare.com/ndownloader/files/38022171 and /38020584 and extract both:"
    " DIR/DVSGesture/{ibmGestureTrain,ibmGestureTest}/userNN_<light>/0..10.npy (1,077 and 264 files).",
}
JUNK = ("__MACOSX", ".")


class Sample(NamedTuple):
    """One sample of one of tonic's datasets, not read yet. `place` is its index there."""

    dataset: Any
    place: int
    name: str
    label: int
    subject: int
    split: str


@dataclass(frozen=True, slots=True)
class Samples(Collection[LabelledRecording]):
    """Labelled recordings that are read one at a time, when iterated. One that cannot be read raises DatasetError when
    its events are asked for, so that it does not hide the others.
    """

    samples: list[Sample]
    sensor_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[LabelledRecording]:
        for sample in self.samples:
            try:
                events = read_sample(sample, self.sensor_size)
            except DatasetError as error:
                yield LabelledRecording(sample.name, _raising(error), [])
                continue
            start, stop = int(events.t.min()), int(events.t.max()) + 1
            segment = Segment(sample.name, sample.label, sample.subject, sample.split, start, stop)
            yield LabelledRecording(sample.name, [events], [segment])

    def __contains__(self, item: object) -> bool:
        return any(item == each for each in self)


@dataclass(frozen=True, slots=True)
class TonicFolder:
    """A `Source` whose recordings are read late."""

    path: Path
    recordings: Samples
    notes: list[str] = field(default_factory=list)
    layout: str = LAYOUT


class _Offline:
    """Mixed in before one of tonic's classes: it takes the files that are there and never downloads."""

    def _check_exists(self) -> bool:
        return True


def read_tonic_set(folder: Path, card: Card, partial: bool = False) -> TonicFolder:
    """The samples of the set that `card.tonic` names, training samples first, in the order of their files' names.

    Labels are tonic's numbers, or the place of tonic's label in `card.classes` where it is text (N-Caltech101); samples
    of classes that the card leaves out are noted. With `partial`, missing samples become a note. Raises DatasetError
    with everything missing or wrong, and where to get the set.
    """
    if card.tonic is None or card.tonic.name not in HELP:
        raise DatasetError(f"{card.title}: its card has no table [tonic] with a name. Known: {', '.join(HELP)}.")
    help_text = HELP[card.tonic.name].replace("DIR/", f"{folder}/")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder. {help_text}")
    left_out: Counter[str] = Counter()
    sets = _datasets(folder, card, help_text)
    samples = [each for split, dataset in sets for each in _listed(dataset, split, card.classes, left_out)]
    if card.tonic.test_share is not None:
        samples = _with_last_for_test(samples, card.tonic.test_share)
    notes = [f"class {name}: {count} samples left out, the card does not name it" for name, count in left_out.items()]
    found = TonicFolder(folder / card.tonic.name, Samples(samples, card.sensor_size), notes)
    return settle(found, _missing(samples, card), help_text, partial)


def _datasets(folder: Path, card: Card, help_text: str) -> list[tuple[str, Any]]:
    """(split, tonic's dataset) for each that there is. Raises DatasetError where card, class and files do not agree."""
    import tonic.datasets

    settings = card.tonic
    assert settings is not None
    kind = getattr(tonic.datasets, settings.name)
    has_split = "train" in inspect.signature(kind).parameters
    _check_card(card, settings, kind, has_split)
    offline = type(settings.name, (_Offline, kind), {})  # the same name: tonic makes a folder's name of it
    try:
        if has_split:
            return [("train", offline(str(folder), train=True)), ("test", offline(str(folder), train=False))]
        return [("train", offline(str(folder)))]
    except (KeyError, ValueError, IndexError, OSError) as error:
        raise DatasetError(
            f"{folder / settings.name}: tonic cannot read the folder ({type(error).__name__}: {error}); a folder in it"
            f" is named otherwise than tonic expects. {help_text}"
        ) from error


def _check_card(card: Card, settings: TonicTable, kind: Any, has_split: bool) -> None:
    size = tuple(kind.sensor_size[:2]) if kind.sensor_size else tuple(card.sensor_size)
    if tuple(card.sensor_size) != size:
        raise DatasetError(f"{card.title}: sensor_size = {list(card.sensor_size)}, tonic says {list(size)}.")
    if has_split and settings.test_share is not None:
        raise DatasetError(f"{card.title}: {settings.name} has its own test split. Remove test_share from [tonic].")
    if not has_split and settings.test_share is None:
        raise DatasetError(f"{card.title}: {settings.name} has no test split. Set test_share = 0.1 in [tonic].")


def _listed(dataset: Any, split: str, classes: list[str], left_out: Counter[str]) -> list[Sample]:
    """Every sample in the order of its file's name; tonic's order where files are already loaded (Poker-DVS)."""
    root, users = Path(dataset.location_on_system), getattr(dataset, "users", None)
    numbers = {name: label for label, name in enumerate(classes)}
    found = []
    for index, (data, target) in enumerate(zip(dataset.data, dataset.targets, strict=True)):
        is_path = isinstance(data, str)
        path = Path(data).relative_to(root).with_suffix("") if is_path else Path(split, str(target), str(index))
        if any(part.startswith(JUNK) for part in path.parts):
            continue
        label = numbers.get(target) if isinstance(target, str) else target
        if label is None or label >= len(classes):
            left_out[str(target)] += 1
        else:
            found.append(Sample(dataset, index, path.as_posix(), label, users[index] if users else 0, split))
    return sorted(found, key=lambda sample: natural(sample.name))


def _with_last_for_test(samples: list[Sample], share: float) -> list[Sample]:
    """The last `share` of every class's files tests (MA-SNN: the last 100 of 1,000), at least one and never all."""
    count = Counter(each.label for each in samples)
    tests = {label: min(max(round(share * total), 1), total - 1) for label, total in count.items()}
    seen: Counter[int] = Counter()
    found = []
    for each in samples:
        seen[each.label] += 1
        is_test = seen[each.label] > count[each.label] - tests[each.label]
        found.append(each._replace(split="test") if is_test else each)
    return sorted(found, key=lambda sample: sample.split != "train")


def _missing(samples: list[Sample], card: Card) -> list[str]:
    """What the set lacks: whole splits, classes, or samples where the card says how many there are."""
    expected, faults = card.counts.get(LAYOUT, {}), []
    for split in ("train", "test"):
        labels = [each.label for each in samples if each.split == split]
        known, found = expected.get(split, len(labels)), set(labels)
        if not labels or len(labels) != known:
            faults.append(
                f"{split}: {len(labels):,} samples, expected {f'{known:,}' if known else 'some'}: not extracted to the end?"
            )
        absent = [name for label, name in enumerate(card.classes) if label not in found]
        if labels and absent:
            faults.append(f"{split}: no sample of {', '.join(absent)}")
    return faults


def read_sample(sample: Sample, sensor_size: tuple[int, int]) -> Events:
    """The events of one sample, t in µs. Raises DatasetError when it cannot be read, is empty or of another sensor."""
    try:
        columns = _columns(sample)
    except DamagedRecordingError as error:
        raise DatasetError(str(error)) from error
    except (RecordingError, OSError, ValueError, IndexError, KeyError) as error:
        raise DatasetError(f"{sample.name}: cannot be read ({error}). Extract it again.") from error
    t, x, y, p = columns
    if not len(t):
        raise DatasetError(f"{sample.name}: no event in it. Extract it again.")
    width, height = sensor_size
    if min(x.min(), y.min()) < 0 or x.max() >= width or y.max() >= height:
        raise DatasetError(
            f"{sample.name}: pixels x {x.min()}..{x.max()}, y {y.min()}..{y.max()}, the card's sensor is"
            f" {width}x{height}. Extract the file again, or correct sensor_size."
        )
    return Events.of(t, x, y, p, sensor_size)


def _columns(sample: Sample) -> list[np.ndarray]:
    """t, x, y, p of a sample, each int64 [N]. Every class has its own order and types of them, so they go by name."""
    import numpy.lib.recfunctions  # noqa: F401  (tonic uses it without importing it)

    data = sample.dataset.data[sample.place]
    if isinstance(data, str) and data.endswith(".aedat4"):
        events = open_recording(data, on_damage="fail").load()
        return [events.t, *(column.astype(np.int64) for column in (events.x, events.y, events.p))]
    table, _ = sample.dataset[sample.place]
    return [np.asarray(table[name]).reshape(-1).astype(np.int64) for name in "txyp"]


def _raising(error: DatasetError) -> Iterator[Events]:
    raise error
    yield
