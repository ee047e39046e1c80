"""`dvspipe evaluate`: the test split of a run, read once, into evaluation.json and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from dvspipe.data.clips import ClipDataset
from dvspipe.errors import DatasetError
from dvspipe.frames import collate
from dvspipe.jobs.archives import find_or_make, fingerprint
from dvspipe.jobs.runs import EVALUATION, Run, load_run, machine, read_history, write_json
from dvspipe.learn.evaluation import evaluate_network
from dvspipe.recipes import load_card
from dvspipe.recordings.archive import Archive
from dvspipe.show.progress import progress, say
from dvspipe.show.report import RunSummary, write_report


def evaluate(path: Path) -> dict[str, Any]:
    """Evaluates RUN on the test split.

    Returns `accuracy, per_class, confusion, nasar, nasar_per_step, spikes_per_sample, energy_uj, energy_ann_uj,
    accuracy_over_time, report` and what they were computed from. Raises RunError or DatasetError when
    run or data are missing or do not fit.
    """
    run = load_run(path)
    result = evaluate_run(run)
    summary = summarise(run, result)
    report = write_report(run.path / "report.html", f"{run.name} on {run.data['dataset']}", [summary], [], notes(run))
    return {"run": str(run.path), **result, "report": str(report)}


def evaluate_run(run: Run, quiet: bool = False) -> dict[str, Any]:
    """The figures alone; also written to RUN/evaluation.json."""
    dataset = test_clips(run)
    loader = DataLoader(dataset, batch_size=run.recipe.train.batch, collate_fn=collate)
    with progress(f"evaluate {run.name}", quiet) as report:
        result = evaluate_network(
            run.model,
            loader,
            run.classes,
            run.recipe.frames.clips,
            run.bin_us,
            lambda done, total: report(done, total, ""),
        )
    result["machine"] = machine()
    write_json(run.path / EVALUATION, result)
    return result


def test_clips(run: Run) -> ClipDataset:
    """The test split that belongs to a run. Raises DatasetError when the data are not those it was trained on."""
    archive = Archive(find_or_make(run.data["dataset"]))
    if archive.classes != run.classes or archive.sensor_size != run.sensor_size:
        raise DatasetError(
            f"{archive.path}: has {len(archive.classes)} classes on {archive.sensor_size}, the run was trained on "
            f"{len(run.classes)} on {run.sensor_size}. Prepare the dataset the run names: {run.data['dataset']}."
        )
    if (here := fingerprint(archive)) != run.data["fingerprint"]:
        say(f"note: the data here have fingerprint {here}, the run was trained on {run.data['fingerprint']}")
    frames = run.recipe.frames
    segments = [segment for segment in archive.segments if segment.split == "test"]
    return ClipDataset(archive.path, segments, frames.bin_us, frames.n_bins, frames.downsample, frames.clips)


def summarise(run: Run, result: dict[str, Any]) -> RunSummary:
    """What the report shows of a run: its figures, its history and one test clip to look at."""
    return RunSummary(
        name=run.name,
        path=str(run.path),
        recipe=json.loads(run.recipe.model_dump_json()),
        evaluation=result,
        history=read_history(run.path),
        clip=_a_clip(run),
        classes=run.classes,
        test_samples=result["samples"],
    )


def _a_clip(run: Run) -> NDArray[np.int32]:
    """One test clip at full resolution."""
    archive = Archive(find_or_make(run.data["dataset"]))
    segment = next(segment for segment in archive.segments if segment.split == "test")
    frames = run.recipe.frames
    return ClipDataset(archive.path, [segment], frames.bin_us, frames.n_bins)[0][0]


def notes(run: Run) -> list[str]:
    """What a reader must know to judge the figures."""
    held_out = (
        f"Checkpoint chosen on {run.recipe.train.val_subjects} validation subjects taken from the training subjects; "
    )
    lines = [held_out + "the test subjects were read once, after training.", "One seed: no statement about spread."]
    if load_card(run.data["dataset"]).kind == "gesture-sim":
        lines.insert(0, "Simulated data: these figures say nothing about the real DVS128 Gesture set.")
    return lines
