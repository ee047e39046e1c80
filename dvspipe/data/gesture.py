"""The two folders in which DVS128 Gesture exists: IBM's (AEDAT 3.1, label files) and tonic's (one .npy per gesture).

    DvsGesture/userNN_<light>.aedat, userNN_<light>_labels.csv, trials_to_train.txt, trials_to_test.txt
    DVSGesture/ibmGestureTrain/userNN_<light>/<label>.npy, DVSGesture/ibmGestureTest/...

Their samples are not the same: IBM has 1,176 + 288 labelled windows (arm roll twice per recording), tonic 1,077 +
264, so accuracies measured on one do not compare with the other. Everything wrong with a folder is told at once.
Knows nothing about archives. Source: Amir et al., "A Low Power, Fully Event-Based Gesture Recognition System", CVPR
2017.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from dvspipe.data.source import LabelledFolder, LabelledRecording, settle
from dvspipe.errors import DatasetError, DvspipeError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Segment
from dvspipe.recordings.labels import read_labels
from dvspipe.recordings.recording import CHUNK_EVENTS

SENSOR = (128, 128)
N_CLASSES = 11
LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
TONIC_FOLDERS = {"train": "ibmGestureTrain", "test": "ibmGestureTest"}
RECORDINGS = {"train": 98, "test": 24}
TONIC_COUNTS = {"train": 1077, "test": 264}

IBM_HELP = (
    "Get DvsGesture.tar.gz from https://ibm.ent.box.com/s/3hiq58ww1pbbjrinh367ykfdf60xsfm8/folder/50167556794"
    " and extract all of it."
)
TONIC_HELP = (
    "Get both archives with a browser and extract them into DVSGesture/: https://figshare.com/ndownloader/files/38022171"
    " (ibmGestureTrain.tar.gz), https://figshare.com/ndownloader/files/38020584 (ibmGestureTest.tar.gz)."
)


def read_gesture_folder(folder: Path, partial: bool = False) -> LabelledFolder:
    """The recordings of a folder of either layout, found in it or in its DvsGesture/ or DVSGesture/.

    With `partial` what is missing becomes a note. Raises DatasetError with everything missing or wrong, and where to
    get it.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder. {IBM_HELP}")
    for place in (folder, folder / "DvsGesture", folder / "DVSGesture"):
        if any((place / name).exists() for name in LISTS.values()) or any(place.glob("user*_labels.csv")):
            return read_ibm_folder(place, partial)
        if any((place / name).is_dir() for name in TONIC_FOLDERS.values()):
            return read_tonic_folder(place, partial)
    packed = sorted(path.name for path in folder.rglob("*.tar.gz"))
    found = (
        f"It holds {', '.join(packed)}, not extracted yet (tar xzf)."
        if packed
        else f"IBM's: {IBM_HELP}\ntonic's: {TONIC_HELP}"
    )
    raise DatasetError(f"{folder}: neither {LISTS['train']} nor {TONIC_FOLDERS['train']}/ is in it. {found}")


def read_ibm_folder(folder: Path, partial: bool = False) -> LabelledFolder:
    """IBM's layout; also what `dvspipe simulate` writes. Sensor time, every label row by itself.

    Two of IBM's label files are odd and noted: windows of user22_led overlap, user26_fluorescent repeats labels.
    """
    found = LabelledFolder(folder, "ibm", [])
    listed, faults = _listed(folder)
    for split, name in listed:
        try:
            found.recordings.append(_ibm_recording(folder / name, split, found.notes))
        except DvspipeError as error:
            faults.append(str(error))
    named = {name for _, name in listed}
    found.notes.extend(
        f"{path.name}: in neither list, left out" for path in sorted(folder.glob("*.aedat")) if path.name not in named
    )
    return settle(found, faults + _shared_subjects(found), IBM_HELP, partial)


def _listed(folder: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """(split, file name) in the order of the two lists, and what is wrong with them."""
    listed: list[tuple[str, str]] = []
    faults: list[str] = []
    for split, name in LISTS.items():
        path = folder / name
        if not path.is_file():
            faults.append(
                f"{name} is missing: it names the {split}ing recordings" if split == "train" else f"{name} is missing"
            )
            continue
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        listed += [(split, line) for line in dict.fromkeys(lines)]
        faults += [f"{name} names {line} {count} times" for line, count in Counter(lines).items() if count > 1]
    return listed, faults


def _ibm_recording(path: Path, split: str, notes: list[str]) -> LabelledRecording:
    """Raises DvspipeError when the recording or its labels are missing or wrong."""
    subject, _ = subject_and_light(path.stem)
    labels = path.with_name(f"{path.stem}_labels.csv")
    missing = [each.name for each in (path, labels) if not each.is_file()]
    if missing:
        raise DatasetError(f"{' and '.join(missing)} missing ({split})")
    rows = read_labels(labels, N_CLASSES)
    if not rows:
        raise DatasetError(f"{labels.name}: holds no label")
    notes += [f"{labels.name}: {oddity}" for oddity in _oddities(rows)]
    segments = [Segment(path.stem, label, subject, split, start, stop) for label, start, stop in rows]
    return LabelledRecording(path.stem, open_recording(path), segments)


def _oddities(rows: list[tuple[int, int, int]]) -> list[str]:
    """Allowed and handled, because every window is cut by itself."""
    ordered = sorted(rows, key=lambda row: row[1])
    overlaps = [(one, two) for one, two in pairwise(ordered) if two[1] < one[2]]
    found = [
        f"windows of classes {one[0] + 1} and {two[0] + 1} overlap by {one[2] - two[1]} us" for one, two in overlaps
    ]
    repeated = sorted(label + 1 for label, count in Counter(row[0] for row in rows).items() if count > 2)
    return found + ([f"classes {repeated} are there more than twice"] if repeated else [])


def _shared_subjects(folder: LabelledFolder) -> list[str]:
    splits: dict[int, set[str]] = {}
    for segment in folder.segments:
        splits.setdefault(segment.subject, set()).add(segment.split)
    shared = sorted(subject for subject, found in splits.items() if len(found) > 1)
    return [f"subjects {shared} are in train and test: the split must be by subject"] if shared else []


def subject_and_light(stem: str) -> tuple[int, str]:
    """ "user01_fluorescent_led" -> (1, "fluorescent_led"): split at the first underscore only. Raises DatasetError."""
    match = re.fullmatch(r"user(\d+)_(.+)", stem)
    if not match:
        raise DatasetError(f"'{stem}' is not named userNN_<light>")
    return int(match[1]), match[2]


@dataclass(frozen=True, slots=True)
class TonicFile:
    """One gesture as tonic keeps it: rows x, y, p, t in ms. Iterate for `Events` chunks with t in µs, in the file's
    order.
    """

    path: Path

    def rows(self) -> np.ndarray:
        """[N,4], mapped, not read. Raises DatasetError when the file is no such table."""
        try:
            table = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise DatasetError(f"{self._name}: cannot be read ({error})") from error
        if table.ndim != 2 or table.shape[1] != 4 or len(table) == 0:
            raise DatasetError(f"{self._name}: shape {table.shape}, expected [N,4] of x, y, p, t with N > 0")
        return table

    def __iter__(self) -> Iterator[Events]:
        rows = self.rows()
        for start in range(0, len(rows), CHUNK_EVENTS):
            x, y, p, t = np.asarray(rows[start : start + CHUNK_EVENTS]).T
            if min(x.min(), y.min()) < 0 or max(x.max(), y.max()) >= SENSOR[0]:
                raise DatasetError(
                    f"{self._name}: pixels outside {SENSOR[0]}x{SENSOR[1]}. Is the column order x, y, p, t?"
                )
            yield Events.of((t * 1000).astype(np.int64), x, y, p, SENSOR)

    @property
    def _name(self) -> str:
        return "/".join(self.path.parts[-3:])


def read_tonic_folder(folder: Path, partial: bool = False) -> LabelledFolder:
    """tonic's layout: times have a precision of 1 ms. Sorted here, because tonic leaves the order to the file system.

    Complete means the counts that tonic's archives hold (tonic itself takes 100 files for complete): one training
    folder of the 98 lacks one gesture.
    """
    found, faults = LabelledFolder(folder, "tonic", []), []
    for split, name in TONIC_FOLDERS.items():
        users = sorted(path for path in (folder / name).glob("user*") if path.is_dir())
        files = 0
        gaps: list[str] = []
        for user in users:
            labels, wrong = _tonic_labels(user)
            faults += wrong
            files += len(labels)
            gaps += [f"{name}/{user.name}: no {label}.npy" for label in range(N_CLASSES) if label not in labels]
            for label in labels:
                try:
                    found.recordings.append(_tonic_recording(user, label, split))
                except DatasetError as error:
                    faults.append(str(error))
        if files != TONIC_COUNTS[split]:
            faults.append(
                f"{name}/: {len(users)} of {RECORDINGS[split]} user folders, {files} of {TONIC_COUNTS[split]} gestures"
            )
            faults += gaps
    return settle(found, faults + _shared_subjects(found), TONIC_HELP, partial)


def _tonic_labels(user: Path) -> tuple[list[int], list[str]]:
    stems = sorted(path.stem for path in user.glob("*.npy"))
    labels = sorted(int(stem) for stem in stems if stem.isdecimal() and int(stem) < N_CLASSES)
    wrong = [
        f"{user.name}/{stem}.npy: not named by a class 0..{N_CLASSES - 1}"
        for stem in stems
        if not stem.isdecimal() or int(stem) >= N_CLASSES
    ]
    return labels, wrong


def _tonic_recording(user: Path, label: int, split: str) -> LabelledRecording:
    file = TonicFile(user / f"{label}.npy")
    subject, _ = subject_and_light(user.name)
    ends = file.rows()[[0, -1], 3]
    # A time of k ms stands for the whole millisecond.
    segment = Segment(f"{user.name}-{label}", label, subject, split, int(ends[0] * 1000), int(ends[1] * 1000) + 1000)
    return LabelledRecording(segment.recording, file, [segment])
