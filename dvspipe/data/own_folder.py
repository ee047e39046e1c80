"""Own recordings: one folder per class, files of any readable format, cut into labelled windows.

    DIR/<class>/<recording>                      split = "file"
    DIR/<class>/<session>/<recording>            split = "session": a session of one name is one session in every class

Every file is read once before anything is written: its time and its pixels must be known, and everything wrong with a
folder is told at once. Windows follow one another from a recording's first event. What tests is whole files or whole
sessions, never a part of one. Knows nothing about archives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from dvspipe.data.source import Card, FolderTable, LabelledFolder, LabelledRecording, natural, settle
from dvspipe.errors import DatasetError, DvspipeError
from dvspipe.events import Events
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Segment
from dvspipe.recordings.recording import Damage, Recording

US_PER_MS = 1000
HELP = (
    "Expected is one folder per class of the card, DIR/<class>/<recording> (split = 'file') or"
    " DIR/<class>/<session>/<recording> (split = 'session'). --partial takes what is there."
)


@dataclass(frozen=True, slots=True)
class Resized:
    """A recording up to its first damage, its events said to be of the card's sensor."""

    recording: Recording
    sensor_size: tuple[int, int]

    @property
    def damage(self) -> Damage | None:
        """Known once the recording has been read."""
        return self.recording.damage

    def __iter__(self) -> Iterator[Events]:
        for chunk in self.recording:
            yield replace(chunk, sensor_size=self.sensor_size)


class Take(NamedTuple):
    """One readable file: its class, what is kept together with it, and its windows [start_us, stop_us)."""

    name: str
    label: int
    unit: str
    events: Resized
    windows: list[tuple[int, int]]
    rest_us: int


def read_own_folder(folder: Path, card: Card, partial: bool = False) -> LabelledFolder:
    """The windows of every recording, by class in the card's order, then by name.

    Which files or sessions test depends on their names, `test_share` and `seed` of `card.folder` alone, by SHA-256;
    every class has at least one that tests and one that trains. `subject` is the session's number in the order of the
    names, so that `val_subjects` holds out whole sessions; 0 with split = "file". A damaged recording is taken up to
    its damage. With `partial`, faults become notes. Raises DatasetError with every fault at once.
    """
    if card.folder is None:
        raise DatasetError(f"{card.title}: its card has no table [folder].")
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder. {HELP}")
    found = LabelledFolder(folder, "folder", [])
    faults = _wrong_classes(folder, card.classes)
    takes: list[Take] = []
    for label, name in enumerate(card.classes):
        for path, unit in _files(folder / name, card.folder.split, faults):
            take = _look(path, path.relative_to(folder).as_posix(), label, unit, card, found.notes, faults)
            takes += [take] if take else []
    tests = _tests(takes, card, card.folder, faults)
    found.recordings.extend(_labelled(takes, tests, card.folder.split))
    found.notes.extend(_rests(takes, card.folder.window_ms))
    return settle(found, faults, HELP, partial)


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, in the order of names and numbers; empty when there is no such folder."""
    return sorted((path for path in folder.glob("*") if path.name[0] != "."), key=lambda path: natural(path.name))


def _wrong_classes(folder: Path, classes: list[str]) -> list[str]:
    here = [path.name for path in _visible(folder) if path.is_dir()]
    missing, unknown = [name for name in classes if name not in here], [name for name in here if name not in classes]
    if not missing and not unknown:
        return []
    return [
        f"folders without a class in the card: {', '.join(unknown) or 'none'}; classes without a folder:"
        f" {', '.join(missing) or 'none'}. Rename the folders, or correct `classes` in the card"
    ]


def _files(folder: Path, split: str, faults: list[str]) -> list[tuple[Path, str]]:
    """(file, unit) of a class; the unit is what is kept together: the session's name, or the file's with its class."""
    found = _visible(folder)
    folders = [path for path in found if path.is_dir()]
    files = [path for path in found if not path.is_dir()]
    if split == "file":
        if folders:
            faults.append(f"{folder.name}/: holds folders ({folders[0].name}). For sessions set split = 'session'")
        return [(path, f"{folder.name}/{path.name}") for path in files]
    if files:
        faults.append(f"{folder.name}/: {files[0].name} lies in no session folder (split = 'session')")
    return [(path, session.name) for session in folders for path in _visible(session)]


def _look(path: Path, name: str, label: int, unit: str, card: Card, notes: list[str], faults: list[str]) -> Take | None:
    """Reads a file once; None, with a note or a fault, where nothing of it can be used."""
    try:
        recording = open_recording(path, on_damage="stop")
        # Formats without a camera's name guess the smallest that fits: a guess must not turn good pixels into damage.
        recording.sensor_size = _larger(recording.sensor_size, card.sensor_size)
        first, last, width, height = _extent(recording)
    except DvspipeError as error:
        faults.append(str(error))
        return None
    if width > card.sensor_size[0] or height > card.sensor_size[1]:
        faults.append(
            f"{name}: its events reach to {width}x{height} pixels, the card says {_by(card.sensor_size)} (sensor_size)."
            f" Set sensor_size = [{recording.sensor_size[0]}, {recording.sensor_size[1]}], or crop the recording"
        )
        return None
    if last < first:
        notes.append(f"{name}: no event in it, left out")
        return None
    assert card.folder is not None
    windows, rest_us = _windows(first, last + 1, card.folder.window_ms)
    if not windows:
        notes.append(f"{name}: {rest_us / US_PER_MS:g} ms, shorter than a window, left out")
        return None
    return Take(name, label, unit, Resized(recording, card.sensor_size), windows, rest_us)


def _extent(recording: Recording) -> tuple[int, int, int, int]:
    """First and last time, and the smallest (W, H) that holds every event; 0, -1, 0, 0 of no events."""
    first, last, width, height = 0, -1, 0, 0
    for chunk in recording:
        low, high = int(chunk.t.min()), int(chunk.t.max())
        first, last = (min(first, low), max(last, high)) if width else (low, high)
        width, height = max(width, int(chunk.x.max()) + 1), max(height, int(chunk.y.max()) + 1)
    return first, last, width, height


def _larger(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return max(one[0], other[0]), max(one[1], other[1])


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _windows(start_us: int, stop_us: int, window_ms: float | None) -> tuple[list[tuple[int, int]], int]:
    """Consecutive windows, and the time left behind the last whole one."""
    if window_ms is None:
        return [(start_us, stop_us)], 0
    width = max(round(window_ms * US_PER_MS), 1)
    count, rest_us = divmod(stop_us - start_us, width)
    return [(start_us + k * width, start_us + (k + 1) * width) for k in range(count)], rest_us


def _rests(takes: list[Take], window_ms: float | None) -> list[str]:
    cut = [take.rest_us for take in takes if take.rest_us]
    return (
        [f"{len(cut)} last parts shorter than {window_ms:g} ms dropped, {sum(cut) / 1e6:.3f} s in all"] if cut else []
    )


def _tests(takes: list[Take], card: Card, settings: FolderTable, faults: list[str]) -> set[str]:
    """The files or sessions that test; a fault for every class that cannot have one for training and one for testing."""
    units = {name: {take.unit for take in takes if take.label == label} for label, name in enumerate(card.classes)}
    if settings.split == "session":
        tests = held_for_test(units, settings.test_share, settings.seed)
    else:
        tests = {each for name, held in units.items() for each in held_for_test({name: held}, *_how(settings))}
    for name, held in units.items():
        if held and not (held & tests and held - tests):
            what = f"{settings.split}{'' if len(held) == 1 else 's'}"
            faults.append(
                f"{name}/: {len(held)} readable {what} ({', '.join(sorted(held)[:4])}), needed are one to train and"
                f" one to test{', also beside the other classes' if len(held) > 1 else ''}. Record another {settings.split}"
            )
        elif not held:
            faults.append(f"{name}/: no readable recording")
    return tests


def _how(settings: FolderTable) -> tuple[float, int]:
    return settings.test_share, settings.seed


def held_for_test(units: Mapping[str, set[str]], share: float, seed: int) -> set[str]:
    """About `share` of all units, so that every class, where that is possible, has some inside and some outside.

    In the order of SHA-256 of "seed:unit", as in `splits`: a unit is taken while the share is not reached or a class of
    its own has none, unless a class would be left without training data.
    """
    everything = set[str]().union(*units.values())
    wanted, taken = max(round(share * len(everything)), 1), set[str]()
    for unit in sorted(everything, key=lambda each: hashlib.sha256(f"{seed}:{each}".encode()).hexdigest()):
        holders = [held for held in units.values() if unit in held]
        is_needed = len(taken) < wanted or any(not held & taken for held in holders)
        if is_needed and all(held - taken - {unit} for held in holders):
            taken.add(unit)
    return taken


def _labelled(takes: list[Take], tests: set[str], split: str) -> Iterator[LabelledRecording]:
    sessions = sorted({take.unit for take in takes}, key=natural)
    for take in takes:
        subject = sessions.index(take.unit) if split == "session" else 0
        place = take.name, take.label, subject, "test" if take.unit in tests else "train"
        yield LabelledRecording(take.name, take.events, [Segment(*place, *window) for window in take.windows])
