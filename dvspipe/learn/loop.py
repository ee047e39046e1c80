"""The training loop: epochs over clips, selection on a validation split, a usable run at every moment.

Runs on Lightning Fabric, so that the same loop serves a laptop and many GPUs. Knows neither recipes nor files of its own:
`on_epoch` receives every finished epoch and decides what to keep.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dvspipe.decision.readout import READOUTS
from dvspipe.learn.losses import Activity, hard, make_loss
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.learn.optimisers import make_optimiser
from dvspipe.learn.precision import fabric_precision
from dvspipe.learn.schedules import Schedule


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


class Trainer:
    """Trains one network. `state()` and `restore()` make a run continue at the epoch after the last finished one."""

    def __init__(self, network: nn.Module, train: DataLoader, val: DataLoader, plan: TrainPlan) -> None:
        from lightning_fabric import Fabric  # seconds to import, and evaluation and live do without it

        keep_freed_memory()
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces its precision on stderr
        self.plan, self.done = plan, 0
        self.fabric = Fabric(accelerator="auto", devices=1, precision=fabric_precision(plan.precision))
        optimiser = make_optimiser(plan.optimiser, network, plan.lr, plan.weight_decay, plan.momentum)
        self.network, self.optimiser = self.fabric.setup(network, optimiser)
        self.train, self.val = self.fabric.setup_dataloaders(train, val)
        self.schedule = Schedule(plan.schedule, self.optimiser.optimizer, plan.lr, plan.epochs * max(1, len(train)))
        self.loss, self.readout = (
            make_loss(plan.loss, plan.label_smoothing, plan.evidence_steps),
            READOUTS[plan.readout],
        )

    def fit(self, on_epoch: OnEpoch, on_step: OnStep = lambda epoch, step, loss: None) -> None:
        """Runs the epochs that are left. `on_step(epoch, step, loss)` is for progress only."""
        for number in range(self.done + 1, self.plan.epochs + 1):
            start, lr = time.perf_counter(), float(self.optimiser.param_groups[0]["lr"])
            train_loss, train_accuracy = self._train_epoch(number, on_step)
            val_loss, val_accuracy = self._validate()
            self.schedule.epoch(train_loss)
            self.done = number
            seconds = time.perf_counter() - start
            on_epoch(Epoch(number, train_loss, train_accuracy, val_loss, val_accuracy, lr, seconds), self)

    def _train_epoch(self, number: int, on_step: OnStep) -> tuple[float, float]:
        # Seeded by epoch, so a resumed run shuffles and augments as the uninterrupted one would have.
        torch.manual_seed(self.plan.seed * 100_003 + number)
        self.train.dataset.set_epoch(number)
        self.network.train()
        sums = _Sums(self.readout)
        for step, (frames, label) in enumerate(self.train):
            loss, out = self._loss(frames, label)
            self.optimiser.zero_grad(set_to_none=True)
            self.fabric.backward(loss)
            self.optimiser.step()
            self.schedule.step()
            sums.add(loss, out, label)
            on_step(number, step + 1, float(loss.detach()))
        return sums.means()

    def _loss(self, frames: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
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
        sums = _Sums(self.readout)
        for frames, label in self.val:
            out, _ = self.network(frames)
            sums.add(self.loss(out, label), out, label)
        return sums.means()

    def state(self) -> dict[str, Any]:
        """Everything a continued run needs, at an epoch boundary."""
        return {
            "done": self.done,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from `state()`."""
        self.done = int(state["done"])
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])


class _Sums:
    """Loss and accuracy over batches of unequal size."""

    def __init__(self, readout: Callable[[Tensor], Tensor]) -> None:
        self.readout, self.loss, self.correct, self.count = readout, 0.0, 0, 0

    def add(self, loss: Tensor, out: Tensor, label: Tensor) -> None:
        answers = self.readout(out.detach()).argmax(1)
        self.loss += float(loss.detach()) * len(answers)
        self.correct += int((answers == hard(label)).sum())
        self.count += len(answers)

    def means(self) -> tuple[float, float]:
        return self.loss / max(1, self.count), self.correct / max(1, self.count)
