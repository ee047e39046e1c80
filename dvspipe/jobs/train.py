"""`dvspipe train`: a recipe -> a run folder. The rooms meet here; the loop itself is in `learn/`."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dvspipe.errors import DatasetError, RunError, UsageError
from dvspipe.jobs.data import open_data
from dvspipe.jobs.launch import check_same_data, terminable
from dvspipe.jobs.live_fitting import fit_live
from dvspipe.jobs.memory_plan import plan_training
from dvspipe.jobs.resuming import about, folder_to_resume, remove_unfinished, state_to_resume
from dvspipe.jobs.runs import (
    BEST,
    LAST,
    LAST_WEIGHTS,
    METRICS,
    RUN,
    command,
    git_state,
    load_run,
    machine,
    network_of,
    new_folder,
    read_history,
    save_run_weights,
    write_json,
)
from dvspipe.jobs.teaching import check_same_teacher, open_teacher
from dvspipe.jobs.tensorboard import board_of
from dvspipe.jobs.training import Training
from dvspipe.jobs.versions import versions
from dvspipe.learn.batches import check_batch
from dvspipe.learn.checkpoint import fit_weights, save_state, write_whole
from dvspipe.learn.engine import WAIT_S, everywhere, lost_processes, start_engine
from dvspipe.learn.evaluation import untrained_activity
from dvspipe.learn.loop import Epoch, Trainer, TrainPlan
from dvspipe.learn.world import World, this_world
from dvspipe.recipes import Recipe, load_recipe
from dvspipe.show.progress import Report, progress, say
from dvspipe.snn.layers.row import recompute_layers

LOST_ONE = "another process of this training ended or cannot be reached"


def train(
    pipeline: str,
    overrides: list[str],
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    live: bool = True,
    wait_s: float = WAIT_S,
) -> dict[str, Any]:
    """Trains a recipe and returns `run, val_accuracy, epochs, seconds`; `quiet` says nothing meanwhile.

    With `live`, a network that runs bin by bin is fitted then: when to decide, on the recordings held out for validation.
    Started by torchrun or srun, all processes train one network; the first one writes, the others return nothing.
    `wait_s` bounds how long one waits for another.

    Ctrl-C leaves a run that evaluates and resumes. Raises RecipeError, DatasetError, RunError.
    """
    recipe, world = load_recipe(pipeline, overrides), this_world()
    check_batch(recipe.train.batch, world, recipe.train.accumulate)
    name, quiet = Path(pipeline).stem, quiet or not world.writes
    fabric = start_engine(recipe.train.precision, world, wait_s) if world.size > 1 else None
    with lost_processes(LOST_ONE) if fabric is not None else nullcontext():
        folder = folder_to_resume(name, out, recipe) if resume else None
        with fabric.rank_zero_first(local=True) if fabric is not None else nullcontext():
            data = open_data(recipe)  # what has to be made for it, the first makes
            training = data.training()
        check_same_data(everywhere(data.fingerprint, world))
        torch.manual_seed(recipe.train.seed)
        network = network_of(recipe, len(data.classes), data.sensor_size, data.channels)
        check_output(network, recipe)
        plan_training(network, recipe, world, quiet)
        recompute_layers(network, recipe.train.checkpointing == "layers")
        if recipe.train.start is not None and not resume:
            start_from(network, recipe, Path(recipe.train.start))
        training, teacher, taught_by = open_teacher(recipe, network, data, training)
        trainer = Trainer(network, training.train, training.val, _plan(recipe), fabric, world, teacher)
        facts = {
            "name": name,
            "classes": data.classes,
            "sensor_size": list(data.sensor_size),
            "channels": data.channels,
            "data": {"dataset": recipe.dataset, "fingerprint": data.fingerprint},
            **taught_by,
        }
        if folder is None:
            folder = _begin(trainer, network, recipe, facts, training, out)
        else:
            check_same_teacher(folder, taught_by)
            _go_on(trainer, folder, recipe, facts)
        keep = KeepBest(folder, network, recipe, facts, trainer.done)
        if not quiet:
            say(f"run folder {folder}")
        result = _fit(trainer, keep, _again(pipeline, overrides, folder, world), quiet)
        if fabric is not None:
            torch.distributed.destroy_process_group()
    if live and world.writes and recipe.frames is not None and network.live:
        _fit_decisions(folder, quiet)
    return result if world.writes else {}


def _begin(
    trainer: Trainer, network: nn.Module, recipe: Recipe, facts: dict[str, Any], training: Training, out: Path | None
) -> Path:
    """A new run folder. Untrained weights and a state come first, so that an interrupt at any time leaves a run that
    works.
    """
    nasar = untrained_activity(network, trainer.val)
    folder = new_folder(facts["name"], out) if trainer.world.writes else Path()
    folder = trainer.fabric.broadcast(folder)
    state = trainer.state() | {"about": about(recipe, facts)}
    if trainer.world.writes:
        save_state(folder / LAST, state)
        save_run_weights(folder, network, recipe, facts)
        _record_start(folder, recipe, facts, training, nasar)
    return folder


def _go_on(trainer: Trainer, folder: Path, recipe: Recipe, facts: dict[str, Any]) -> None:
    """Continues the run in a folder at its newest state."""
    state, notes = state_to_resume(folder, recipe, facts)
    trainer.restore(state, folder / LAST)
    if trainer.world.writes:
        remove_unfinished(folder)
        for note in notes:
            say(note)


def _again(pipeline: str, overrides: list[str], folder: Path, world: World) -> str:
    """The command that continues a run."""
    sets = [word for each in overrides for word in ("--set", each)]
    many = ["--devices", str(world.size)] if world.size > 1 and world.nodes == 1 else []
    command = shlex.join(["dvspipe", "train", pipeline, *sets, *many, "--out", str(folder), "--resume"])
    return command if world.nodes == 1 else f"{command} (with torchrun or srun, as it was started)"


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
    left = f"The run in {keep.folder} can be evaluated, and continued from its last checkpoint with: {again}"
    try:
        with progress(f"train {keep.facts['name']}", quiet) as report, lost_processes(LOST_ONE, left), terminable():
            trainer.fit(keep, _step_reporter(report, epochs, steps, keep), keep.checkpoint)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{trainer.done} epochs are finished. {left}") from None
    seconds = time.perf_counter() - start
    return {"run": str(keep.folder), "val_accuracy": keep.best_accuracy, "epochs": trainer.done, "seconds": seconds}


class KeepBest:
    """After every epoch: one line of metrics, the resume state, and the weights when validation was better. Of several
    processes all keep count, and one writes.
    """

    def __init__(self, folder: Path, network: nn.Module, recipe: Recipe, facts: dict[str, Any], done: int) -> None:
        self.folder, self.network, self.recipe, self.facts = folder, network, recipe, facts
        self.history = [row for row in read_history(folder) if row["epoch"] <= done]
        ranks = [self._rank(row) for row in self.history]
        self.best = max(ranks, default=None)
        self.board = board_of(folder, recipe, done)

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
        better = self.best is None or self._rank(row) > self.best
        if better:
            self.best = self._rank(row)
        self.history.append(row)
        if trainer.world.writes:
            if better:
                save_run_weights(self.folder, self.network, self.recipe, self.facts)
            text = "".join(json.dumps(each) + "\n" for each in self.history)
            write_whole(self.folder / METRICS, lambda target: target.write_text(text, encoding="utf-8"))
            if self.board is not None:
                self.board.add(row)
            if epoch.epoch == trainer.plan.epochs:
                save_run_weights(self.folder, self.network, self.recipe, self.facts, LAST_WEIGHTS)
        # The resume state comes last: a kill in between repeats this epoch, and `done` above drops its first line.
        self.checkpoint(trainer)

    def checkpoint(self, trainer: Trainer) -> None:
        """Where --resume goes on, at any step."""
        state = trainer.state() | {"about": about(self.recipe, self.facts)}
        if trainer.world.writes:
            save_state(self.folder / LAST, state, self.recipe.train.keep_checkpoints)


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
            "versions": versions(),
            "seed": recipe.train.seed,
            "recipe": json.loads(recipe.model_dump_json()),
            "val_subjects": training.subjects,
            "nasar_untrained": nasar,
            "segments": training.counts,
            **facts,
        },
    )


def _step_reporter(report: Report, epochs: int, steps: int, keep: KeepBest) -> Callable[[int, int, float], None]:
    def on_step(epoch: int, step: int, loss: float) -> None:
        note = f"epoch {epoch}/{epochs}  loss {loss:.4f}  val {keep.val_accuracy:.1%}"
        report((epoch - 1) * steps + step, epochs * steps, note)

    return on_step
