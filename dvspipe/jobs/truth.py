"""The true labels of an uncut recording, where it has any: `<name>_labels.csv` beside it, or its archive's segments."""

from __future__ import annotations

from pathlib import Path

from dvspipe.errors import DvspipeError
from dvspipe.recordings import Recording
from dvspipe.recordings.archive import Archive
from dvspipe.recordings.labels import read_labels
from dvspipe.show.moment import Label


def labels_of(recording: Recording, classes: list[str]) -> list[Label]:
    """Labelled windows of a recording in order of time; empty where it has none, or where they cannot be read."""
    try:
        found = _from_csv(recording.path, classes) or _from_archive(recording)
    except DvspipeError:
        return []  # playing does not need them
    return sorted(found, key=lambda label: label.start_us)


def _from_csv(source: Path, classes: list[str]) -> list[Label]:
    beside = source.with_name(f"{source.stem}_labels.csv")
    rows = read_labels(beside) if beside.is_file() else []
    return [Label(classes[index], start, stop) for index, start, stop in rows if index < len(classes)]


def _from_archive(recording: Recording) -> list[Label]:
    if recording.format != "archive":
        return []
    with Archive(recording.path) as archive:
        segments = [each for each in archive.segments if each.recording == recording.details["recording"]]
        return [Label(archive.classes[each.label], each.start_us, each.stop_us) for each in segments]
