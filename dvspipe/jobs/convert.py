"""`dvspipe convert IN OUT`: any recording into another format, or into a video, in constant memory; labels go along."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvspipe.errors import DatasetError, UsageError
from dvspipe.events import Events
from dvspipe.events.ordering import in_order
from dvspipe.jobs.event_video import film_events
from dvspipe.jobs.inspect import damage_as_dict
from dvspipe.recipes import load_card
from dvspipe.recordings import Recording, open_recording
from dvspipe.recordings.archive import Archive, Segment
from dvspipe.recordings.labels import label_file, read_labels
from dvspipe.recordings.recording import OnDamage
from dvspipe.recordings.video_writer import KINDS as VIDEOS
from dvspipe.recordings.writer import Labels
from dvspipe.recordings.writing import known_writers, write_recording
from dvspipe.show.progress import Report, progress

LABELLED_CLASSES = "gesture"  # the card whose classes label files count


def convert(
    source: Path,
    out: Path,
    on_damage: OnDamage = "skip",
    overwrite: bool = False,
    sort: bool = False,
    labels: bool = True,
    fps: float | None = None,
    speed: float | None = None,
    convention: str | None = None,
) -> dict[str, Any]:
    """Converts a recording (`archive.h5#name` for one of several) into the format that `out`'s suffix names.

    `sort` puts events in order of time first, for formats that want it. `labels` takes labels along: they are read from
    `<name>_labels.csv` or an archive. `fps` and `speed` are for videos. Returns `in, out, format_in, format_out, events,
    sensor_size, t_first_us, t_last_us, damage, labels, seconds, events_per_s`.

    Raises UsageError for an unknown suffix, for `out` = `source` and for an `out` that is there already (without
    `overwrite`), RecordingError for what the format cannot hold, DatasetError for labels that do not fit.
    """
    form = _format_of(out, fps, speed)
    recording = open_recording(source, on_damage, convention)
    held, fault = _labels(recording) if labels else (None, None)
    kept = held is not None and len(held.classes) <= _most_classes(form)
    _refuse_clash(recording.path, out, overwrite, kept)
    tally, started = Tally(), time.perf_counter()
    with progress(f"convert {source.name}") as report:
        chunks: Iterable[Events] = tally.of(recording, report)
        chunks = in_order(chunks) if sort else chunks
        if form in VIDEOS:
            film_events(out, chunks, recording.sensor_size, fps, 1.0 if speed is None else speed)
        else:
            write_recording(out, chunks, recording.sensor_size, held if kept else None)
    seconds = time.perf_counter() - started
    return {
        "in": _absolute(source),
        "out": _absolute(out),
        "format_in": recording.format,
        "format_out": form.lstrip(".") if form in VIDEOS else known_writers()[form].name,
        "events": tally.events,
        "sensor_size": list(recording.sensor_size),
        "t_first_us": tally.times[0] if tally.times else None,
        "t_last_us": tally.times[1] if tally.times else None,
        "damage": damage_as_dict(recording.damage),
        "labels": _fate(held, kept, fault, form),
        "seconds": seconds,
        "events_per_s": tally.events / seconds,
    }


@dataclass
class Tally:
    """Counts what passes: events, and their earliest and latest time."""

    events: int = 0
    times: list[int] = field(default_factory=list)

    def of(self, recording: Recording, report: Report) -> Iterator[Events]:
        """The recording's chunks, counted and shown; how many there will be, only an archive knows beforehand."""
        total = recording.details.get("events")
        for events in recording:
            if len(events):
                self.events += len(events)
                self.times = [min([int(events.t.min()), *self.times]), max([int(events.t.max()), *self.times])]
                report(self.events, total, f"{self.events / 1e6:,.1f} M events")
            yield events


def _format_of(out: Path, fps: float | None, speed: float | None) -> str:
    """The suffix of `out`. Raises UsageError where nothing is written so, or where options do not go with it."""
    suffix = out.suffix.lower()
    if suffix not in known_writers() and suffix not in VIDEOS:
        known = [*(f"{each} ({writer.name})" for each, writer in known_writers().items()), *VIDEOS]
        raise UsageError(f"{out}: cannot write {suffix or 'a file without suffix'!r}. Known: {', '.join(known)}.")
    if suffix not in VIDEOS and (fps is not None or speed is not None):
        raise UsageError(f"{out}: --fps and --speed are for videos ({', '.join(VIDEOS)}). Leave them out.")
    return suffix


def _most_classes(form: str) -> int:
    return 0 if form in VIDEOS else known_writers()[form].most_classes


def _refuse_clash(source: Path, out: Path, overwrite: bool, labelled: bool) -> None:
    """Raises UsageError where writing would destroy the input, or a file that nobody gave leave to overwrite."""
    if out.exists() and out.samefile(source):
        raise UsageError(f"{out}: is the input itself. Choose another file to write to.")
    beside = label_file(out)
    written = [out, beside] if labelled and out.suffix.lower() == ".aedat" and beside != label_file(source) else [out]
    there = [each for each in written if each.exists()]
    if there and not overwrite:
        raise UsageError(f"{there[0]}: exists already. Give --overwrite to replace it, or choose another file.")


def _labels(recording: Recording) -> tuple[Labels | None, str | None]:
    """The recording's labelled windows, and what is wrong with a label file that cannot be read."""
    if recording.format == "archive":
        with Archive(recording.path) as archive:
            segments = [each for each in archive.segments if each.recording == recording.details["recording"]]
            return (Labels(archive.classes, segments) if segments else None), None
    beside = label_file(recording.path)
    if not beside.is_file():
        return None, None
    try:
        windows = read_labels(beside)
    except DatasetError as error:
        return None, str(error)
    segments = [Segment(recording.path.stem, label, 0, "train", start, stop) for label, start, stop in windows]
    return Labels(list(load_card(LABELLED_CLASSES).classes), segments), None


def _fate(held: Labels | None, kept: bool, fault: str | None, form: str) -> dict[str, Any] | None:
    """What became of the labels; None where there were none."""
    if fault is not None:
        return {"windows": 0, "kept": False, "why": fault}
    if held is None:
        return None
    most = _most_classes(form)
    why = f"{form} holds no labels" if not most else f"{len(held.classes)} classes, {form} holds {most}"
    return {"windows": len(held.segments), "kept": kept, "why": None if kept else why}


def _absolute(path: Path) -> str:
    return str(path.absolute())
