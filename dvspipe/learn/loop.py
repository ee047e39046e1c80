"""The training loop: epochs over clips, selection on a validation split, a usable run at every moment.

Runs on Lightning Fabric, so that the same loop serves a laptop and many GPUs. Knows neither recipes nor files of its own:
`on_epoch` receives every finished epoch and decides what to keep, `on_checkpoint` is called in between.

What a run draws and computes depends on the plan alone: not on workers, not on when it was checkpointed, stopped and
continued. On one machine with one number of threads that holds bit for bit on the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dvspipe.decision.readout import READOUTS
from dvspipe.errors import RunError
from dvspipe.learn.batches import Batches, Part, epoch_seed
from dvspipe.learn.checkpoint import fit_weights
from dvspipe.learn.distilling import Teacher
from dvspipe.learn.due import Due
from dvspipe.learn.engine import share_statistics, start_engine, statistics
from dvspipe.learn.losses import TET_MEAN, TET_SHARE, Activity, make_loss
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.learn.optimisers import make_optimiser
from dvspipe.learn.random_state import random_state, set_random_state
from dvspipe.learn.schedules import Schedule
from dvspipe.learn.sums import Sums
from dvspipe.learn.world import ALONE, World

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FORMAT = 2  # of `state()`; 1 had epoch boundaries alone


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """What the loop needs to know; the recipe's [train] table."""

    epochs: int
    lr: float
    schedule: str
    loss: str
    weight_decay: float
    seed: int
    precision: str
    spike_penalty: float = 0.0
    optimiser: str = "adam"
    momentum: float = 0.9
    label_smoothing: float = 0.0
    readout: str = "mean"
    evidence_steps: float = 6.0
    tet_share: float = TET_SHARE
    tet_mean: float = TET_MEAN
    accumulate: int = 1
    checkpoint_s: float = 300.0
    checkpoint_steps: int | None = None


@dataclass(frozen=True, slots=True)
class Epoch:
    """Measurements of one epoch; one line of metrics.jsonl. `seconds` is wall time of training and validation."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float

    def row(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


OnStep = Callable[[int, int, float], None]
OnEpoch = Callable[[Epoch, "Trainer"], None]
OnCheckpoint = Callable[["Trainer"], None]


@dataclass(slots=True)
class _Now:
    """Where in an epoch a training is: `step` batches in, `lr` at its start, `seconds` spent on it before a resume."""

    lr: float
    sums: Sums
    step: int = 0
    seconds: float = 0.0
    random: dict[str, Any] | None = None


class Trainer:
    """Trains one network. `state()` and `restore()` make a run continue at the very step it was left at."""

    def __init__(
        self,
        network: nn.Module,
        train: DataLoader,
        val: DataLoader,
        plan: TrainPlan,
        fabric: Fabric | None = None,
        world: World = ALONE,
        teacher: Teacher | None = None,
    ) -> None:
        keep_freed_memory()
        self.teacher = teacher
        self.plan, self.world, self.done, self.known = plan, world, 0, False
        self.fabric = fabric or start_engine(plan.precision)
        optimiser = make_optimiser(plan.optimiser, network, plan.lr, plan.weight_decay, plan.momentum)
        if world.size > 1 and self.fabric.device.type == "cuda":
            share_statistics(network)
        self.network, self.optimiser = self.fabric.setup(network, optimiser)
        self.train = Batches(train, plan.seed, self.fabric.to_device, world, plan.accumulate)
        self.val = Batches(val, plan.seed, self.fabric.to_device, world)
        self.schedule = Schedule(
            plan.schedule, self.optimiser.optimizer, plan.lr, plan.epochs * max(1, len(self.train))
        )
        self.loss = make_loss(plan.loss, plan.label_smoothing, plan.evidence_steps, plan.tet_share, plan.tet_mean)
        self.readout = READOUTS[plan.readout]
        self.now = self._start()

    def fit(
        self,
        on_epoch: OnEpoch,
        on_step: OnStep = lambda epoch, step, loss: None,
        on_checkpoint: OnCheckpoint = lambda trainer: None,
    ) -> None:
        """Runs what is left of the epochs. `on_step(epoch, step, loss)` is for progress only; `on_checkpoint(trainer)` is
        for saving `state()`, and must change nothing.
        """
        due = Due(self.plan.checkpoint_s, self.plan.checkpoint_steps, self.world, self.fabric.device)
        for number in range(self.done + 1, self.plan.epochs + 1):
            start = time.perf_counter() - self.now.seconds
            train_loss, train_accuracy = self._train_epoch(number, start, due, on_step, on_checkpoint)
            val_loss, val_accuracy = self._validate()
            self.schedule.epoch(train_loss)
            lr, seconds = self.now.lr, time.perf_counter() - start
            self.done, self.now = number, self._start()
            on_epoch(Epoch(number, train_loss, train_accuracy, val_loss, val_accuracy, lr, seconds), self)
            due.saved()

    def _start(self) -> _Now:
        return _Now(float(self.optimiser.param_groups[0]["lr"]), Sums(self.readout))

    def _train_epoch(
        self, number: int, start: float, due: Due, on_step: OnStep, on_checkpoint: OnCheckpoint
    ) -> tuple[float, float]:
        self.train.dataset.set_epoch(number)
        self.network.train()
        for part in self._parts(number):
            loss = self._learn(part)
            if not part.last:
                continue
            self.now.step += 1
            on_step(number, self.now.step, loss)
            if due(self.now.step):
                self.now.seconds = time.perf_counter() - start
                on_checkpoint(self)
                due.saved()
        if self.world.size > 1:
            self._average_statistics()
        return self.now.sums.means(self.world, self.fabric.device)

    def _parts(self, number: int) -> Iterator[Part]:
        """What is left of an epoch. It is seeded by its number, so that a resumed run shuffles, augments and draws as the
        uninterrupted one would have; processes of one run draw differently.
        """
        torch.manual_seed(epoch_seed(self.plan.seed, number) + 1_000_000_007 * self.world.rank)
        parts = self.train.begin(number, self.now.step)
        if self.now.random is not None:
            set_random_state(self.now.random)
            self.now.random = None
        return parts

    def _learn(self, part: Part) -> float:
        """Gradients of one part; the last part of a batch moves the weights. Returns its loss."""
        if part.first:
            self.optimiser.zero_grad(set_to_none=True)
        # DDP learns the graph from its first backward, which has to be one that processes share.
        with self.fabric.no_backward_sync(self.network, enabled=self.known and not part.last):
            loss, out = self._loss(part.frames, part.label)
            # Processes' gradients are averaged, those of parts add up: so every sample of the batch weighs the same.
            share = part.own * self.world.size / part.batch
            self.fabric.backward(loss if share == 1 else loss * share)
        self.known = True
        if part.last:
            self.optimiser.step()
            self.schedule.step()
        self.now.sums.add(loss, out, part.label, part.own)
        return float(loss.detach())

    def _loss(self, frames: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(what is minimised, outputs). What a teacher adds acts in training alone."""
        if self.teacher is None:
            return self._own_loss(frames, label)
        frames, taught = self.teacher.lesson(frames)
        loss, out = self._own_loss(frames, label)
        return loss + taught(out), out

    def _own_loss(self, frames: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(what is minimised, output spikes). A penalty on spikes acts in training alone: validation measures answers."""
        if not self.plan.spike_penalty:
            out, _ = self.network(frames)
            return self.loss(out, label), out
        activity = Activity()
        out, _ = self.network(frames, probe=activity)
        return self.loss(out, label) + self.plan.spike_penalty * activity.nasar(), out

    @torch.no_grad()
    def _validate(self) -> tuple[float, float]:
        self.network.eval()
        sums = Sums(self.readout)
        for part in self.val.begin(1):
            out, _ = self.network(part.frames)
            sums.add(self.loss(out, part.label), out, part.label, part.own)
        return sums.means(self.world, self.fabric.device)

    @torch.no_grad()
    def _average_statistics(self) -> None:
        """Batch norms of processes that saw different samples (no SyncBN) agree again: all validate one network."""
        for value in statistics(self.network.module).values():
            torch.distributed.all_reduce(value)
            value /= self.world.size

    def state(self) -> dict[str, Any]:
        """Everything a continued run needs, at any step. To be called by all processes; for one of them to write."""
        own = {"random": random_state(), "sums": self.now.sums.values, "statistics": statistics(self.network.module)}
        ranks: list[Any] = [own]
        if self.world.size > 1:
            ranks = [None] * self.world.size
            torch.distributed.all_gather_object(ranks, own)
        return {
            "format": FORMAT,
            "done": self.done,
            "step": self.now.step,
            "lr": self.now.lr,
            "seconds": self.now.seconds,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "ranks": ranks,
        }

    def restore(self, state: dict[str, Any], source: Path) -> None:
        """Continues from `state()`. With another number of processes the random draws of the rest of an epoch are others,
        all else goes on. Raises RunError, naming `source`, for a state of another network or optimiser.
        """
        if state.get("format", 1) > FORMAT:
            raise RunError(
                f"{source}: format {state['format']}, this dvspipe reads up to {FORMAT}. Install a newer one."
            )
        fit_weights(self.network.module, state["network"], source)
        try:
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
        except (ValueError, KeyError) as error:
            raise RunError(f"{source}: the state is of another optimiser or schedule. {error}") from error
        self.done, self.now = int(state["done"]), self._start()
        if state.get("step", 0):
            self._go_on(state)

    def _go_on(self, state: dict[str, Any]) -> None:
        """In the middle of an epoch."""
        self.now.step, self.now.lr, self.now.seconds = state["step"], state["lr"], state["seconds"]
        ranks = state["ranks"]
        if len(ranks) == self.world.size:
            own = ranks[self.world.rank]
            held, self.now.random = own["statistics"], own["random"]
            self.now.sums.values = list(own["sums"])
        else:
            held = {
                name: sum(each["statistics"][name] for each in ranks) / len(ranks) for name in ranks[0]["statistics"]
            }
            if self.world.rank == 0:
                self.now.sums.values = [sum(values) for values in zip(*(each["sums"] for each in ranks))]
        for name, value in statistics(self.network.module).items():
            value.copy_(held[name])
