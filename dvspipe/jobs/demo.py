"""`dvspipe demo`: the whole product in one command, on two cores and without a download."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from dvspipe.jobs.archives import find_or_make
from dvspipe.jobs.evaluate import evaluate_run, notes, summarise
from dvspipe.jobs.live import Played, Playing, play
from dvspipe.jobs.real_recordings import recordings_folder
from dvspipe.jobs.runs import Run, load_run, new_folder
from dvspipe.jobs.train import train
from dvspipe.recipes import load_recipe
from dvspipe.recordings.archive import Archive
from dvspipe.show.report import write_report
from dvspipe.show.summary import LiveSummary

PIPELINES = ("demo-none", "demo-masnn")
REAL = (
    "dvs128_garfield.mat",
    "dvxplorer_person.aedat4",
)  # other people's recordings; used where they are, never shipped
REAL_NOTE = [
    "The real recordings show no gestures of these classes: they prove that reading, binning and deciding work on a "
    "camera's own files, not that a decision is right."
]


def demo(out: Path | None = None) -> dict[str, Any]:
    """Simulates gestures, trains `demo-none` and `demo-masnn`, evaluates both on unseen subjects, runs live, reports.

    Returns `runs: [{name, path, accuracy, nasar, spikes_per_sample, energy_uj, params}]`,
    `live: [{source, bins, decisions, p50_ms, p99_ms, dropped_bins}]` and `report`.
    """
    start = time.perf_counter()
    folder = new_folder("demo", out)
    archive = Archive(find_or_make(load_recipe(PIPELINES[0]).dataset))
    runs = [load_run(train(name, [], folder / Path(name).stem)["run"]) for name in PIPELINES]
    evaluations = [evaluate_run(run) for run in runs]
    uncut, real = _uncut(archive), _real()
    played = [(run, uncut) for run in runs] + [(runs[-1], source) for source in real]
    how = Playing(speed=0.0, keep=True)
    sessions = [(run, source, play(source, run, how)) for run, source in played]
    report = write_report(
        folder / "report.html",
        "dvspipe demo: gestures before an event camera",
        [summarise(run, result) for run, result in zip(runs, evaluations)],
        [_live_summary(run, source, played) for run, source, played in sessions],
        notes(runs[0]) + REAL_NOTE * bool(real),
    )
    return {
        "runs": [_run_row(run, result) for run, result in zip(runs, evaluations)],
        "live": [_live_row(run, source, played) for run, source, played in sessions],
        "report": str(report),
        "seconds": time.perf_counter() - start,
    }


def _uncut(archive: Archive) -> Path:
    """One uncut recording of a test subject."""
    name = next(segment.recording for segment in archive.segments if segment.split == "test")
    return Path(f"{archive.path}#{name}")


def _real() -> list[Path]:
    """Real camera recordings, where there are some."""
    return [path for name in REAL if (path := recordings_folder() / name).is_file()]


def title(source: Path) -> str:
    """A source as people call it: the file's name, or the recording's within an archive."""
    return source.name.partition("#")[2] or source.name


def _run_row(run: Run, result: dict[str, Any]) -> dict[str, Any]:
    names = ("accuracy", "interval", "nasar", "spikes_per_sample", "energy_uj", "energy_ann_uj", "params")
    return {"name": run.name, "path": str(run.path), **{name: result[name] for name in names}}


def _live_row(run: Run, source: Path, played: Played) -> dict[str, Any]:
    return {"source": title(source), "run": run.name, **played.result}


def _live_summary(run: Run, source: Path, played: Played) -> LiveSummary:
    found = played.views.summaries(played.result)
    return replace(found[0] if found else LiveSummary("", played.result), source=f"{title(source)}, {run.name}")
