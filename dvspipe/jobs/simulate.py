"""`dvspipe simulate`: a simulated dataset as one archive, or as AEDAT 3.1 files in the layout of DVS128 Gesture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dvspipe.events.statistics import statistics
from dvspipe.jobs.archives import archive_path, cores, make_folder, simulate_archive, simulation
from dvspipe.recipes import Card, load_card
from dvspipe.recordings.archive import Archive, Segment
from dvspipe.show.progress import progress
from dvspipe.simulate.gesture_sim import write_folder


def simulate(name: str, out: Path | None = None, form: str = "archive") -> dict[str, Any]:
    """Simulates a card and returns `archive` (None for AEDAT files), `folder`, `counts` per split and class, `checks`.

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
    make_folder(folder)
    with progress(f"simulate {name}") as report:
        finished: list[object] = []

        def count(trial: object) -> None:
            finished.append(trial)
            report(len(finished), len(trials), getattr(trial, "name", ""))

        write_folder(folder, settings, workers=cores(), done=count)
    segments = [segment for trial in trials for segment in trial.segments()]
    return {"archive": None, "folder": str(folder), **_summary(card, segments)}


def _summary(card: Card, segments: Iterable[Segment]) -> dict[str, Any]:
    held = list(segments)
    counts = {
        split: count_classes(card.classes, [each for each in held if each.split == split])
        for split in ("train", "test")
    }
    return {"counts": counts, "checks": {"totals": {split: sum(found.values()) for split, found in counts.items()}}}


def _statistics(archive: Archive) -> dict[str, Any]:
    """Rate, polarity, time between events and active area of the first recording, to hold beside a real one's."""
    name = archive.recordings[0]
    return statistics(archive.events(name, 0, archive.span_us(name)[1]))


def count_classes(classes: list[str], segments: Iterable[Segment]) -> dict[str, int]:
    """Labelled windows per class name, every class named."""
    found = Counter(segment.label for segment in segments)
    return {name: found[label] for label, name in enumerate(classes)}
