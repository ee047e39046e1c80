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
from dvspipe.simulate.gesture_sim import VERSION, GestureSim, write_archive


def find_or_make(name: str) -> Path:
    """The archive of a dataset card. Simulated sets are made on first use, with a progress bar.

    Raises DatasetError that says how to get a set that cannot be made.
    """
    card = load_card(name)
    path = archive_path(name, card)
    if path.is_file():
        return path
    if card.simulate is None:
        sources = "\n".join(f"  {each}" for each in card.source)
        raise DatasetError(
            f"{card.title} is not prepared here ({path} does not exist). Download it ({card.licence}) from\n{sources}\n"
            f"and run: dvspipe prepare {name} --from FOLDER"
        )
    return simulate_archive(name, card, path)


def archive_path(name: str, card: Card) -> Path:
    """$DVSPIPE_DATA/<name>.h5; simulated sets carry a hash of what made them, so that no stale one is ever read."""
    stem = Path(name).stem
    return data_dir() / (f"{stem}.h5" if card.simulate is None else f"{stem}-{_settings_hash(card)}.h5")


def _settings_hash(card: Card) -> str:
    settings = card.simulate.model_dump_json() if card.simulate else ""
    return short_hash(f"{VERSION}:{card.kind}:{settings}")


def fingerprint(archive: Archive) -> str:
    """Twelve hex digits over what an archive holds: recordings, their events and times, labelled windows, classes.

    Two archives of one dataset agree wherever they were made; it is no checksum of every event.
    """
    rows = [(name, archive.count(name), *archive.span_us(name)) for name in archive.recordings]
    return short_hash(repr((rows, archive.segments, archive.classes, archive.sensor_size)))


def short_hash(text: str) -> str:
    """Twelve hex digits of SHA-256: enough to tell settings apart, short enough for a file's name."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def simulation(name: str, card: Card) -> GestureSim:
    """What the simulator needs of a card. Raises UsageError for a card of recorded data."""
    if card.simulate is None:
        raise UsageError(f"dataset '{name}' is recorded, not simulated: use dvspipe prepare {name} --from FOLDER.")
    settings = card.simulate
    return GestureSim(
        subjects=settings.subjects,
        lightings=settings.lightings,
        gestures=range(len(card.classes)),
        gesture_s=settings.gesture_s,
        pause_s=settings.pause_s,
        seed=settings.seed,
    )


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
