"""`dvspipe train`: a recipe -> a run folder. The rooms meet here; the loop itself is in `learn/`."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dvspipe.errors import DatasetError, RunError, UsageError
from dvspipe.jobs.data import open_data
from dvspipe.jobs.live_fitting import fit_live
from dvspipe.jobs.runs import (
    BEST,
    LAST,
    METRICS,
    RUN,
    command,
    git_state,
    load_run,
    machine,
    network_of,
    new_folder,
    read_history,
    read_record,
    save_run_weights,
    write_json,
)
from dvspipe.jobs.training import Training
from dvspipe.learn.checkpoint import fit_weights, load_state, save_state, write_whole
from dvspipe.learn.evaluation import untrained_activity
from dvspipe.learn.loop import Epoch, Trainer, TrainPlan
from dvspipe.recipes import Recipe, load_recipe, recipe_from_json
from dvspipe.show.progress import Report, progress, say


def train(
    pipeline: str,
    overrides: list[str],
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    live: bool = True,
) -> dict[str, Any]:
    """Trains a recipe and returns `run, val_accuracy, epochs, seconds`; `quiet` says nothing meanwhile.

    With `live`, a network that runs bin by bin is fitted then: when to decide, on the recordings held out for validation.

    Ctrl-C leaves a run that evaluates and resumes. Raises RecipeError, DatasetError, RunError.
    """
    recipe = load_recipe(pipeline, overrides)
    name = Path(pipeline).stem
    folder = _folder_to_resume(name, out, recipe) if resume else None
    data = open_data(recipe)
    training = data.training()
    torch.manual_seed(recipe.train.seed)
    network = network_of(recipe, len(data.classes), data.sensor_size, data.channels)
    check_output(network, recipe)
    if recipe.train.start is not None and not resume:
        start_from(network, recipe, Path(recipe.train.start))
    trainer = Trainer(network, training.train, training.val, _plan(recipe))
    facts = {
        "name": name,
        "classes": data.classes,
        "sensor_size": list(data.sensor_size),
        "channels": data.channels,
        "data": {"dataset": recipe.dataset, "fingerprint": data.fingerprint},
    }
    if folder is None:
        nasar = untrained_activity(network, trainer.val)
        folder = new_folder(name, out)
        # Untrained weights and a state come first, so that an interrupt at any time leaves a run that works.
        save_state(folder / LAST, trainer.state())
        save_run_weights(folder, network, recipe, facts)
        _record_start(folder, recipe, facts, training, nasar)
    else:
        trainer.restore(load_state(folder / LAST))
    keep = KeepBest(folder, network, recipe, facts, trainer.done)
    sets = [word for each in overrides for word in ("--set", each)]
    again = shlex.join(["dvspipe", "train", pipeline, *sets, "--out", str(folder), "--resume"])
    if not quiet:
        say(f"run folder {folder}")
    result = _fit(trainer, keep, again, quiet)
    if live and recipe.frames is not None and network.live:
        _fit_decisions(folder, quiet)
    return result


def _fit_decisions(folder: Path, quiet: bool) -> None:
    """RUN/live.json, where there is something to fit on; [live] of the recipe serves where there is not."""
    try:
        fit_live(load_run(folder), quiet)
    except DatasetError as error:
        if not quiet:
            say(f"decisions as the recipe says: {error}")


def check_output(network: nn.Module, recipe: Recipe) -> None:
    """Raises UsageError where first spikes are asked of a network whose outputs are scores."""
    if "first-spike" in (recipe.train.loss, recipe.snn.readout) and not network.spiking_out:
        raise UsageError(
            f"first-spike needs outputs that spike, network '{recipe.snn.network}' gives scores: set snn.spiking_out = true, "
            "or choose another train.loss and snn.readout"
        )


def start_from(network: nn.Module, recipe: Recipe, folder: Path) -> None:
    """Gives a network the weights of a run: T = 4 continued from T = 1, another dataset with as many classes.

    Raises RunError when they do not fit, and says where T is the reason.
    """
    before = load_run(folder)
    try:
        fit_weights(network, before.model.state_dict(), folder / BEST)
    except RunError as error:
        then = before.recipe.steps
        if then == recipe.steps:
            raise
        key = "frames.n_bins" if recipe.frames is not None else "encoder.steps"
        raise RunError(
            f"{error} The run has T = {then}, this recipe {recipe.steps}: the weights of temporal attention, of GAC and of "
            f"neurons or norms per step belong to one T. Set {key}={then}, or use attention without time (CSA) or "
            "placement 'causal' in both."
        ) from error


def _fit(trainer: Trainer, keep: KeepBest, again: str, quiet: bool) -> dict[str, Any]:
    start, epochs, steps = time.perf_counter(), trainer.plan.epochs, len(trainer.train)
    try:
        with progress(f"train {keep.facts['name']}", quiet) as report:
            trainer.fit(keep, _step_reporter(report, epochs, steps, keep))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The run in {keep.folder} holds the best of {trainer.done} finished epochs and can be evaluated. "
            f"Continue with: {again}"
        ) from None
    seconds = time.perf_counter() - start
    return {"run": str(keep.folder), "val_accuracy": keep.best_accuracy, "epochs": trainer.done, "seconds": seconds}


class KeepBest:
    """After every epoch: one line of metrics, the resume state, and the weights when validation was better."""

    def __init__(self, folder: Path, network: nn.Module, recipe: Recipe, facts: dict[str, Any], done: int) -> None:
        self.folder, self.network, self.recipe, self.facts = folder, network, recipe, facts
        self.history = [row for row in read_history(folder) if row["epoch"] <= done]
        ranks = [self._rank(row) for row in self.history]
        self.best = max(ranks, default=None)

    @staticmethod
    def _rank(row: dict[str, Any]) -> tuple[float, float]:
        return row["val_accuracy"], -row["val_loss"]  # ties go to the lower loss

    @property
    def best_accuracy(self) -> float | None:
        """Validation accuracy of the kept weights; None before the first epoch."""
        return self.best[0] if self.best else None

    @property
    def val_accuracy(self) -> float:
        """Of the last epoch, for progress; 0 before the first."""
        return float(self.history[-1]["val_accuracy"]) if self.history else 0.0

    def __call__(self, epoch: Epoch, trainer: Trainer) -> None:
        row = epoch.row()
        if self.best is None or self._rank(row) > self.best:
            save_run_weights(self.folder, self.network, self.recipe, self.facts)
            self.best = self._rank(row)
        # The resume state comes last: a kill in between repeats this epoch, and `done` below drops its first line.
        self.history.append(row)
        text = "".join(json.dumps(each) + "\n" for each in self.history)
        write_whole(self.folder / METRICS, lambda target: target.write_text(text, encoding="utf-8"))
        save_state(self.folder / LAST, trainer.state())


def _plan(recipe: Recipe) -> TrainPlan:
    names = [field.name for field in fields(TrainPlan) if field.name not in ("readout", "evidence_steps")]
    settings = {name: getattr(recipe.train, name) for name in names} | {"readout": recipe.snn.readout}
    if recipe.frames is not None:
        settings["evidence_steps"] = recipe.train.evidence_ms * 1000 / recipe.frames.bin_us
    return TrainPlan(**settings)


def _record_start(folder: Path, recipe: Recipe, facts: dict[str, Any], training: Training, nasar: float) -> None:
    write_json(
        folder / RUN,
        {
            "command": command(),
            "started": time.strftime("%Y-%m-%d %H:%M:%S"),
            "git": git_state(),
            "machine": machine(),
            "recipe": json.loads(recipe.model_dump_json()),
            "val_subjects": training.subjects,
            "nasar_untrained": nasar,
            "segments": training.counts,
            **facts,
        },
    )


def _folder_to_resume(name: str, out: Path | None, recipe: Recipe) -> Path:
    """The run to continue; refuses one whose recipe differs, because its numbers would be of two experiments."""
    folder = out.absolute() if out else _newest(name)
    path = folder / RUN
    if not path.is_file():
        raise RunError(f"{folder}: no run to resume there. Start without --resume.")
    before = recipe_from_json(json.dumps(read_record(folder)["recipe"]), str(path))
    old, new = _flat(before.model_dump()), _flat(recipe.model_dump())
    differ = [f"{key}: run has {old.get(key)!r}, asked for {new.get(key)!r}" for key in new if old.get(key) != new[key]]
    if differ:
        raise RunError(f"{folder}: cannot resume with another recipe; {'; '.join(differ)}. Start a new run instead.")
    return folder


def _newest(name: str) -> Path:
    found = sorted(Path("runs").glob(f"{name}-*/{RUN}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RunError(
            f"no run of '{name}' in {Path('runs').absolute()}. Start without --resume, or name it with --out."
        )
    return found[-1].parent.absolute()


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _step_reporter(report: Report, epochs: int, steps: int, keep: KeepBest) -> Callable[[int, int, float], None]:
    def on_step(epoch: int, step: int, loss: float) -> None:
        note = f"epoch {epoch}/{epochs}  loss {loss:.4f}  val {keep.val_accuracy:.1%}"
        report((epoch - 1) * steps + step, epochs * steps, note)

    return on_step
