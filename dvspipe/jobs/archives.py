"""Where the archive of a dataset lies on this machine, and what to do when it is not there yet."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dvspipe.errors import DatasetError, UsageError
from dvspipe.files import make_folder
from dvspipe.recipes import Card, data_dir, load_card
from dvspipe.recordings.archive import Archive
from dvspipe.show.progress import counting, progress
from dvspipe.simulate.gait_sim import GaitSim
from dvspipe.simulate.gesture_sim import GestureSim
from dvspipe.simulate.writing import SimulatedSet, write_archive


def find_or_make(name: str) -> Path:
    """The archive of a dataset card. Simulated sets are made on first use, with a progress bar.

    Raises DatasetError that says how to get a set that cannot be made.
    """
    card = load_card(name)
    path = archive_path(name, card)
    if path.is_file():
        return _of_this_card(path, name, card)
    if card.simulation is None:
        sources = "\n".join(f"  {each}" for each in card.source)
        raise DatasetError(
            f"{card.title} is not prepared here ({path} does not exist). Download it ({card.licence}) from\n{sources}\n"
            f"and run: dvspipe prepare {name} --from FOLDER"
        )
    return simulate_archive(name, card, path)


def _of_this_card(path: Path, name: str, card: Card) -> Path:
    """Two cards of one name share an archive's name, and a card may be edited: what lies there must be of this one."""
    archive = Archive(path)
    if archive.classes != card.classes or archive.sensor_size != card.sensor_size:
        raise DatasetError(
            f"{path}: prepared from another card, with {len(archive.classes)} classes on {archive.sensor_size}; the card "
            f"{name} has {len(card.classes)} on {card.sensor_size}. Prepare it again, or rename the card's file."
        )
    return path


def archive_path(name: str, card: Card) -> Path:
    """$DVSPIPE_DATA/<name>.h5; simulated sets carry a hash of what made them, so that no stale one is ever read."""
    stem = Path(name).stem
    if card.simulation is None:
        return data_dir() / f"{stem}.h5"
    made_by = f"{simulation(name, card).version}:{card.kind}:{card.simulation.model_dump_json()}"
    return data_dir() / f"{stem}-{short_hash(made_by)}.h5"


def index_path(name: str) -> Path:
    """$DVSPIPE_DATA/<name>.images.json: where `prepare` writes where the images of a set lie."""
    return data_dir() / f"{Path(name).stem}.images.json"


def fingerprint(archive: Archive) -> str:
    """Twelve hex digits over what an archive holds: recordings, their events and times, labelled windows, classes.

    Two archives of one dataset agree wherever they were made; it is no checksum of every event.
    """
    rows = [(name, archive.count(name), *archive.span_us(name)) for name in archive.recordings]
    return short_hash(repr((rows, archive.segments, archive.classes, archive.sensor_size)))


def short_hash(text: str) -> str:
    """Twelve hex digits of SHA-256: enough to tell settings apart, short enough for a file's name."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def simulation(name: str, card: Card) -> SimulatedSet:
    """What the simulator makes of a card. Raises UsageError for a card of recorded data."""
    if card.simulation is None:
        raise UsageError(
            f"dataset '{name}' is recorded, not simulated: use dvspipe prepare {name} --from FOLDER. (A simulated one is "
            "of kind gesture-sim with a table [simulate], or of kind gait-sim with [walks].)"
        )
    settings = card.simulation.model_dump()
    if card.kind == "gait-sim":
        return GaitSim(**settings)
    return GestureSim(**settings, gestures=range(len(card.classes)))


def simulate_archive(name: str, card: Card, path: Path) -> Path:
    """Simulates a card into one archive, on all cores."""
    settings = simulation(name, card)
    make_folder(path.parent, DatasetError)
    with progress(f"simulate {name}") as report:
        write_archive(path, settings, workers=cores(), done=counting(report, len(settings.trials())))
    return path


def cores() -> int:
    """Cores this process may use (fewer than the machine has under taskset, SLURM or a container)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
