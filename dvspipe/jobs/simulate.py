"""`dvspipe simulate`: a simulated dataset as one archive, or as files in the layout of the real set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvspipe.data.source import count_classes
from dvspipe.errors import DatasetError
from dvspipe.events.statistics import statistics
from dvspipe.files import make_folder
from dvspipe.jobs.archives import archive_path, cores, simulate_archive, simulation
from dvspipe.recipes import Card, load_card
from dvspipe.recordings.archive import Archive, Segment
from dvspipe.show.progress import counting, progress
from dvspipe.simulate.writing import write_folder


def simulate(name: str, out: Path | None = None, form: str = "archive") -> dict[str, Any]:
    """Simulates a card and returns `archive` (None for files), `folder`, `counts` per split and class, `checks`.

    Raises UsageError for a card of recorded data, RecordingError when the disk is full.
    """
    card = load_card(name)
    settings = simulation(name, card)
    default = archive_path(name, card)
    if form == "archive":
        path = (out.absolute() / f"{Path(name).stem}.h5") if out else default
        archive = Archive(simulate_archive(name, card, path))
        summary = _summary(card, archive.segments)
        return {"archive": str(path), "folder": str(path.parent), **summary, "statistics": _statistics(archive)}
    folder = out.absolute() if out else default.with_suffix("")
    trials = settings.trials()
    make_folder(folder, DatasetError)
    with progress(f"simulate {name}") as report:
        write_folder(folder, settings, workers=cores(), done=counting(report, len(trials)))
    segments = [segment for trial in trials for segment in trial.segments()]
    return {"archive": None, "folder": str(folder), **_summary(card, segments)}


def _summary(card: Card, segments: Sequence[Segment]) -> dict[str, Any]:
    found = {split: [each for each in segments if each.split == split] for split in ("train", "test")}
    return {
        "counts": {split: count_classes(held, card.classes) for split, held in found.items()},
        "checks": {"totals": {split: len(held) for split, held in found.items()}},
    }


def _statistics(archive: Archive) -> dict[str, Any]:
    """Rate, polarity, time between events and active area of the first recording, to hold beside a real one's."""
    name = archive.recordings[0]
    return statistics(archive.events(name, 0, archive.span_us(name)[1]))
