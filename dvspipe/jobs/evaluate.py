"""`dvspipe evaluate`: the test split of a run, read once, into evaluation.json and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dvspipe.encoders.image_network import ImageNetwork
from dvspipe.errors import RunError
from dvspipe.jobs.data import check_trained_on
from dvspipe.jobs.elsewhere import data_of, differences
from dvspipe.jobs.looking import look
from dvspipe.jobs.looking_at_images import look_at_image
from dvspipe.jobs.runs import EVALUATION, Run, load_run, machine, read_history, write_json
from dvspipe.learn.evaluation import evaluate_network
from dvspipe.learn.image_evaluation import evaluate_images
from dvspipe.recipes import TrainSettings, load_card
from dvspipe.show.progress import progress, say
from dvspipe.show.report import RunSummary, write_report


def evaluate(path: Path, beside: Path | None = None) -> dict[str, Any]:
    """Evaluates RUN on the test split; with `beside` a second run too, shown in the same report and compared in figures.

    Returns `accuracy, per_class, confusion, nasar, nasar_per_step, spikes_per_sample, energy_uj, energy_ann_uj,
    accuracy_over_time, report`, what they were computed from, and with `beside` its figures beside ours. Raises
    RunError or DatasetError when run or data are missing or do not fit.
    """
    run = load_run(path)
    other = load_run(beside) if beside else None
    if other:
        check_same_data(run, other)
    result = evaluate_run(run)
    if other:
        theirs = evaluate_run(other)
        result["beside"] = compared(result, theirs, str(other.path))
        shown = [summarise(other, theirs), summarise(run, result)]
    else:
        shown = [summarise(run, result)]
    title = f"{run.name} on {run.data['dataset']}" + (f", beside {other.name}" if other else "")
    report = write_report(run.path / "report.html", title, shown, [], notes(run, other))
    return {"run": str(run.path), **result, "report": str(report)}


def check_same_data(run: Run, other: Run) -> None:
    """Raises RunError for two runs whose figures cannot stand side by side."""
    for word, ours, theirs in (
        ("classes", run.classes, other.classes),
        ("sensor", list(run.sensor_size), list(other.sensor_size)),
        ("dataset fingerprint", run.data["fingerprint"], other.data["fingerprint"]),
    ):
        if ours != theirs:
            raise RunError(
                f"{other.path}: cannot stand beside {run.path}, for it was trained on another dataset "
                f"({other.data['dataset']}, not {run.data['dataset']}): {word} {theirs} instead of {ours}. "
                "Give a run on the same data, or train one: dvspipe train RECIPE --set dataset=..."
            )


def compared(ours: dict[str, Any], theirs: dict[str, Any], run: str) -> dict[str, Any]:
    """The other's figures and what we save against it: `energy_ratio` is its energy / ours (r_EE when it is the twin
    without attention), `spikes_saved` a share; None where nothing was spent.
    """
    energy, spikes = ours["energy_uj"], theirs["spikes_per_sample"]
    return {
        "run": run,
        **{name: theirs[name] for name in ("accuracy", "spikes_per_sample", "energy_uj")},
        "energy_ratio": theirs["energy_uj"] / energy if energy else None,
        "spikes_saved": 1 - ours["spikes_per_sample"] / spikes if spikes else None,
    }


def evaluate_run(run: Run, quiet: bool = False) -> dict[str, Any]:
    """The figures alone; also written to RUN/evaluation.json."""
    data = data_of(run)
    check_trained_on(data, run)
    differs = differences(run, data)
    if not quiet:
        for line in differs:
            say(f"differs: {line}")
    loader, readout = data.testing(), run.recipe.snn.readout
    with progress(f"evaluate {run.name}", quiet) as report:

        def on_batch(done: int, total: int) -> None:
            report(done, total, "")

        if isinstance(run.model, ImageNetwork):
            result = evaluate_images(run.model, loader, run.classes, readout, on_batch)
        else:
            clips = run.frames.clips
            result = evaluate_network(run.model, loader, run.classes, clips, run.bin_us, readout, on_batch)
    result |= {"machine": machine(), "differs": differs}
    write_json(run.path / EVALUATION, result)
    return result


def summarise(run: Run, result: dict[str, Any]) -> RunSummary:
    """What the report shows of a run: its figures, its history and one test sample, from outside and from inside."""
    clip, image = None, None
    if isinstance(run.model, ImageNetwork):
        image, answer, inside = look_at_image(run)
    else:
        clip, answer, inside = look(run)
    return RunSummary(
        name=run.name,
        path=str(run.path),
        recipe=json.loads(run.recipe.model_dump_json()),
        evaluation=result | {"clip": answer},
        history=read_history(run.path),
        clip=clip,
        classes=run.classes,
        test_samples=result["samples"],
        inside=inside,
        image=image,
    )


def notes(run: Run, other: Run | None = None) -> list[str]:
    """What a reader must know to judge the figures."""
    lines = [selection(run.recipe.train), "One seed: no statement about spread."]
    if other is not None and (said := selection(other.recipe.train)) != lines[0]:
        lines.insert(1, f"{other.name}: {said}")
    if load_card(run.data["dataset"]).simulated:
        lines.insert(0, "Simulated data: these figures say nothing about the recorded sets they imitate.")
    return lines


def selection(settings: TrainSettings) -> str:
    """How the checkpoint was chosen, in a sentence."""
    if settings.protocol == "published":
        return (
            "Published protocol: the checkpoint is the best epoch on the test split itself, as in the papers' code. "
            "The accuracy is therefore too high for new data, and not comparable with a validated one."
        )
    if settings.val_share is not None:
        held = f"{settings.val_share:.0%} of every class's training samples"
    else:
        held = f"{settings.val_subjects} validation subjects taken from the training subjects"
    return f"Checkpoint chosen on {held}; the test split was read once, after training."
