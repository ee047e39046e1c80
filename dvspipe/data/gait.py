"""The folder in which DVS128-Gait-Day and -Night exist: 20 people, two sessions, one text file per walk.

    DVS128-Gait-Day/origin/train/<person>/*.txt, DVS128-Gait-Day/origin/test/<person>/*.txt      lines `t x y p`, t in us

The same people walk in both sessions, so the split is by session and a walk is a recording with one label over all of
it. No size and no checksum is published: walks are counted, never expected. Every file is read once before anything is
written, so that everything wrong with a folder is told at once. Knows nothing about archives. Source: Wang et al.,
"EV-Gait: Event-Based Robust Gait Recognition Using Dynamic Vision Sensors", CVPR 2019; layout as read by
zhangxiann/TPAMI_Gait_Identification and BICLab/Attention-SNN (whose 21 outputs are one more than there are people).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dvspipe.data.source import LabelledFolder, LabelledRecording, settle
from dvspipe.errors import DatasetError, DvspipeError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Segment
from dvspipe.recordings.recording import Damage, Recording

SENSOR = (128, 128)
N_PEOPLE = 20
# The training session comes first. Night was delivered under the other names too.
SESSIONS = ({"train": "train", "test": "test"}, {"train": "indoor_night1", "test": "indoor_night2"})
HELP = (
    "Expected is DVS128-Gait-Day/origin/{train,test}/0..19/*.txt (Night the same). Get it from Baidu: Day"
    " https://pan.baidu.com/s/1F3Uo-fVy1S7n5plmEXFl4w (code mk55), Night"
    " https://pan.baidu.com/s/1vijraYQshlURRqF2I1zE8A (code ih83). --partial takes what is there."
)
MEND_LINE = f"Every line must be four integers `t x y p` inside {SENSOR[0]}x{SENSOR[1]}: copy the file again or mend it"
MEND_TIME = "Two recordings in one file, or a clock set back: split the file there"
Walks = dict[int, list[Path]]  # person, as the folder is named -> text files in the order of their names


def read_gait_folder(folder: Path, partial: bool = False) -> LabelledFolder:
    """The walks of a dataset root, of its origin/, or of the folder that holds train/ and test/; always in one order.

    Label and subject are the person 0..19; folders named 1..20 are shifted, and noted. With `partial`, what is missing
    or damaged becomes a note, and a damaged walk is taken up to its damage. Raises DatasetError with every fault at
    once (people missing or too many; file, line and remedy of every damage), and where to get the data.
    """
    place, names = _sessions(folder)
    found = LabelledFolder(place, "gait", [])
    faults: list[str] = []
    if names["train"] != "train":
        found.notes.append(
            f"{names['train']}/ is taken for the training session, {names['test']}/ for the test session"
        )
    sessions = {split: _people(place / name, found.notes, faults) for split, name in names.items()}
    shift = _shift(sessions, found.notes)
    faults += _wrong_people(sessions, names, shift)
    for split, people in sessions.items():
        for person, paths in people.items():
            if 0 <= person - shift < N_PEOPLE:
                walks = (_walk(path, person - shift, split, found.notes, faults) for path in paths)
                found.recordings.extend(walk for walk in walks if walk)
    found.notes.extend(_uneven(found))
    return settle(found, faults, HELP, partial)


def _sessions(folder: Path) -> tuple[Path, dict[str, str]]:
    """The folder that holds the sessions, and their names there. Raises DatasetError when there is none."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder. {HELP}")
    for place in (folder, folder / "origin"):
        for names in SESSIONS:
            if any((place / name).is_dir() for name in names.values()):
                return place, names
    held = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise DatasetError(f"{folder}: neither train/ nor test/ is in it or in its origin/; it holds {held}. {HELP}")


def _people(session: Path, notes: list[str], faults: list[str]) -> Walks:
    """The walks of one session, by person in rising order; none when the session is missing."""
    found: Walks = {}
    for folder in _visible(session):
        if not folder.is_dir():
            continue
        files = [path for path in _visible(folder) if path.is_file()]
        walks = [path for path in files if path.suffix.lower() == ".txt"]
        where = f"{session.name}/{folder.name}/"
        if len(walks) < len(files) or not walks:
            notes.append(f"{where}: {len(walks)} .txt files taken, {len(files) - len(walks)} others left out")
        if not folder.name.isdecimal():
            faults.append(f"{where}: not named by a person's number, 0..{N_PEOPLE - 1}. Move it out of {session.name}/")
        elif int(folder.name) in found:
            faults.append(f"{where}: person {int(folder.name)} is there twice. Join the two folders")
        elif walks:
            found[int(folder.name)] = walks
    return dict(sorted(found.items()))


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, sorted; empty when there is no such folder."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _shift(sessions: dict[str, Walks], notes: list[str]) -> int:
    """1 where the people are numbered 1..20 instead of 0..19. Asked of both sessions together: they must agree."""
    numbers = {person for people in sessions.values() for person in people}
    if 0 in numbers or max(numbers, default=0) != N_PEOPLE:
        return 0
    notes.append(f"folders are named 1..{N_PEOPLE}: folder 1 is label 0 (person 0), folder {N_PEOPLE} is label 19")
    return 1


def _wrong_people(sessions: dict[str, Walks], names: dict[str, str], shift: int) -> list[str]:
    expected = range(shift, N_PEOPLE + shift)
    numbers = sorted({person for people in sessions.values() for person in people})
    extra = [person for person in numbers if person not in expected]
    faults = []
    if extra:
        faults.append(
            f"{len(numbers)} labels ({_listed(numbers)}), allowed are the {N_PEOPLE} people {expected[0]}.."
            f"{expected[-1]}: move {_listed(extra)} away, or rename the folders"
        )
    for split, people in sessions.items():
        missing = [person for person in expected if person not in people]
        if people and missing:
            faults.append(
                f"{names[split]}/: no walk of {_listed(missing)} ({len(missing)} of {N_PEOPLE} people missing)"
            )
        elif not people:
            faults.append(f"{names[split]}/: missing, or without a walk of anybody")
    return faults


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


@dataclass(frozen=True, slots=True)
class Walk:
    """One text file up to its first damage. Iterate for `Events` chunks in the file's order, times never falling."""

    path: Path
    events: int
    damage: Damage | None = None

    def __iter__(self) -> Iterator[Events]:
        left = self.events
        for chunk in _open(self.path):
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


@dataclass(slots=True)
class _Seen:
    """What one reading of a walk found: p = 0 and p = -1 are both OFF."""

    events: int = 0
    on: int = 0
    first_us: int = 0
    last_us: int = 0
    damage: Damage | None = None
    remedy: str = MEND_LINE


def _walk(path: Path, label: int, split: str, notes: list[str], faults: list[str]) -> LabelledRecording | None:
    """The walk of one file up to its damage, which is a fault; None where nothing of it can be taken."""
    name = "/".join(path.parts[-3:])
    try:
        seen = _look(path)
    except DvspipeError as error:
        faults.append(str(error))
        return None
    if seen.damage:
        rest = f"--partial takes the {seen.events} events before it" if seen.events else "no event is before it"
        faults.append(f"{name}: {seen.damage.note}. {seen.remedy}; {rest}")
    elif not seen.events:
        notes.append(f"{name}: no event in it, left out")
    if not seen.events:
        return None
    if seen.on in (0, seen.events):
        notes.append(f"{name}: no {'OFF' if seen.on else 'ON'} event among {seen.events} (p > 0 is ON)")
    segment = Segment(f"{split}/{label}/{path.stem}", label, label, split, seen.first_us, seen.last_us + 1)
    return LabelledRecording(segment.recording, Walk(path, seen.events, seen.damage), [segment])


def _look(path: Path) -> _Seen:
    """Reads a walk up to its first damage. Raises DvspipeError when it is no text of lines `t x y p`."""
    seen = _Seen()
    if not path.stat().st_size:
        return seen
    recording = _open(path)
    for chunk in recording:
        falls = np.flatnonzero(np.diff(chunk.t, prepend=seen.last_us if seen.events else chunk.t[0]) < 0)
        good = chunk[: falls[0]] if len(falls) else chunk
        if len(good):
            seen.first_us = seen.first_us if seen.events else int(good.t[0])
            seen.last_us, seen.on = int(good.t[-1]), seen.on + int(np.count_nonzero(good.p))
            seen.events += len(good)
        if len(falls):
            seen.damage, seen.remedy = _fallen(recording, seen, int(chunk.t[falls[0]])), MEND_TIME
            return seen
    if recording.damage:
        seen.damage = replace(recording.damage, lost_bytes=path.stat().st_size - recording.damage.offset)
    return seen


def _open(path: Path) -> Recording:
    """The text of a walk, read to its first damage. A pixel outside a DVS128 is damage, never a larger camera."""
    recording = open_recording(path, on_damage="stop")
    if recording.format != "text":
        raise DatasetError(f"{path}: is {recording.format}, expected text lines `t x y p`. Move it away.")
    recording.sensor_size = SENSOR
    return recording


def _fallen(recording: Recording, seen: _Seen, t: int) -> Damage:
    """The damage of a time that goes backwards, right after the `seen` events."""
    line, byte = _line_of(recording.path, seen.events + bool(recording.details["start"]))
    lost = recording.path.stat().st_size - byte
    return Damage("corrupt", byte, lost, seen.last_us, f"line {line}: time goes backwards, {seen.last_us} to {t} us")


def _line_of(path: Path, index: int) -> tuple[int, int]:
    """Number (from 1) and first byte of the line that is the `index`-th (from 0) of those that are not empty."""
    byte = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip(b" ,\t\r\n"):
                if index == 0:
                    return number, byte
                index -= 1
            byte += len(line)
    raise DatasetError(f"{path}: changed while it was read. Start again.")


def _uneven(folder: LabelledFolder) -> list[str]:
    """People who walked more or less often than most, per split."""
    notes = []
    for split in folder.totals():
        walks = Counter(segment.label for segment in folder.segments if segment.split == split)
        usual = Counter(walks.values()).most_common(1)[0][0]
        others = ", ".join(f"person {who}: {count}" for who, count in sorted(walks.items()) if count != usual)
        if others:
            notes.append(f"{split}: uneven, {usual} walks of most people, but {others}")
    return notes
