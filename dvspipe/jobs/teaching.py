"""The teacher of a training: which run it is, whether it can teach this recipe, and what is shown to both.

A teacher sees its own bins and T. So where events are learned, training loads the *teacher's* clips, and its pupil gets the
first of them, some in a row added up to one of its own; validation and test show a pupil what its own recipe says. Images
are the same for both. The distillation itself is `learn/distilling.py`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from dvspipe.errors import RunError
from dvspipe.jobs.data import Data, open_data
from dvspipe.jobs.image_data import normalises
from dvspipe.jobs.runs import BEST, RUN, Run, load_run, read_record
from dvspipe.jobs.training import Training
from dvspipe.learn.distilling import Teacher
from dvspipe.recipes import Recipe


class Teaching(NamedTuple):
    """What a pupil is trained on, its teacher if it has one, and `{"teacher": who it was}` for run.json, else nothing."""

    training: Training
    teacher: Teacher | None
    record: dict[str, Any]


def open_teacher(recipe: Recipe, network: nn.Module, data: Data, training: Training) -> Teaching:
    """The teacher that a recipe names, if any, for the `network` that is to learn from it; `training` as it is without one.

    Raises RunError for a run that is not there, or cannot teach this recipe: other classes, pixels or polarities, outputs
    that are no scores, or time bins of which the pupil's are no whole sums.
    """
    asked = recipe.train.teacher
    if asked is None:
        return Teaching(training, None, {})
    run = load_run(find_run(asked))
    _check_same_task(run, data)
    _check_scores(run, network)
    group = _group(run, recipe)
    if recipe.frames is not None:
        frames = recipe.frames.model_copy(update={"bin_us": run.bin_us, "n_bins": run.n_bins})
        shown = open_data(recipe.model_copy(update={"frames": frames})).training()
        training = training._replace(train=shown.train)
    settings, steps = recipe.train, None if recipe.frames is None else recipe.frames.n_bins
    teacher = Teacher(run.model, settings.temperature, settings.teacher_weight, group, steps)
    record = {
        "run": str(run.path),
        "name": run.name,
        "steps": run.recipe.steps,
        "fingerprint": hashlib.sha256((run.path / BEST).read_bytes()).hexdigest()[:12],
        "data": run.data,
    }
    return Teaching(training, teacher, {"teacher": record})


def find_run(named: str) -> Path:
    """The run folder of that path or, for the name of a recipe, its newest run in ./runs. Raises RunError."""
    if Path(named).is_dir():
        return Path(named)
    found = sorted(Path("runs").glob(f"{named}-*/{RUN}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RunError(
            f"train.teacher = '{named}': neither a run folder nor a recipe with a run in {Path('runs').absolute()}. Train "
            f"the teacher first (dvspipe train {named}), or name its folder: --set train.teacher=RUN"
        )
    return found[-1].parent


def check_same_teacher(folder: Path, record: dict[str, Any]) -> None:
    """`record` as in `Teaching`. Raises RunError where a run that is to be continued has learned from other weights."""
    now, before = record.get("teacher"), read_record(folder).get("teacher")
    if now and before and before["fingerprint"] != now["fingerprint"]:
        raise RunError(
            f"{folder}: its teacher was {before['name']} with weights {before['fingerprint']}, train.teacher is now "
            f"{now['name']} with {now['fingerprint']}: name the folder of the first, or start a new run"
        )


def _check_same_task(run: Run, data: Data) -> None:
    ours, theirs = ((each.classes, tuple(each.sensor_size), each.channels) for each in (data, run))
    if ours != theirs:
        raise RunError(
            f"{run.path} cannot teach on {data.path}: it answers for {len(run.classes)} classes on {run.sensor_size} pixels "
            f"and {run.channels} channels, here there are {len(data.classes)} on {data.sensor_size} and {data.channels}, "
            "or the classes have other names. Choose a run on the same dataset."
        )


def _check_scores(run: Run, network: nn.Module) -> None:
    for who, spikes in (("the teacher", run.model.spiking_out), ("this recipe's network", bool(network.spiking_out))):
        if spikes:
            raise RunError(
                f"train.teacher = {run.path}: {who} answers in spikes, a teacher's and a pupil's answers must be scores. Use "
                "a network with a real-valued read-out (lenet, a residual network, or snn.head = 'ann')."
            )


def _group(run: Run, recipe: Recipe) -> int:
    """How many of the teacher's bins are one of the pupil's; 1 for images."""
    frames, theirs = recipe.frames, run.recipe.frames
    if (frames is None) != (theirs is None):
        raise RunError(f"{run.path}: a run on images cannot teach events, nor the other way round")
    if frames is None or theirs is None:
        assert recipe.encoder is not None and run.recipe.encoder is not None  # else they had frames
        if normalises(recipe.encoder) != normalises(run.recipe.encoder):
            raise RunError(
                f"{run.path}: one of teacher and pupil takes normalised images, the other pixels in [0,1], and both see the "
                "same: set encoder.normalise alike, or choose encoders of one kind"
            )
        return 1
    group, rest = divmod(frames.bin_us, theirs.bin_us)
    if rest or not group or group * frames.n_bins > theirs.n_bins or frames.downsample != theirs.downsample:
        raise RunError(
            f"{run.path}: a pupil's bin is a whole number of its teacher's, and its clip is no longer. The teacher has "
            f"{theirs.n_bins} bins of {theirs.bin_us} us at downsample {theirs.downsample}, this recipe {frames.n_bins} of "
            f"{frames.bin_us} us at {frames.downsample}."
        )
    return group
