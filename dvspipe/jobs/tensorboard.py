"""TensorBoard's event files beside a run's own metrics, for who wants to watch there: the extra `tensorboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvspipe.errors import UsageError
from dvspipe.learn.world import this_world
from dvspipe.recipes import Recipe

FOLDER = "tensorboard"


def board_of(folder: Path, recipe: Recipe, done: int) -> Board | None:
    """Where the recipe asks for one, in the process that writes."""
    return Board(folder, done) if recipe.train.tensorboard and this_world().writes else None


class Board:
    """RUN/tensorboard. What an interrupted run had written behind epoch `done` is dropped from view.

    Raises UsageError where tensorboard is not installed.
    """

    def __init__(self, folder: Path, done: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                f"train.tensorboard = true, but tensorboard cannot be imported ({error}): pip install 'dvspipe[tensorboard]',"
                " or leave it false; metrics.jsonl holds the same numbers"
            ) from error
        self.writer = SummaryWriter(str(folder / FOLDER), purge_step=done + 1 if done else None)

    def add(self, row: dict[str, Any]) -> None:
        """One epoch, a line of metrics.jsonl; on disk on return."""
        for name, value in row.items():
            if name != "epoch" and value is not None:
                part, _, rest = name.partition("_")
                self.writer.add_scalar(f"{part}/{rest}" if part in ("train", "val") else name, value, row["epoch"])
        self.writer.flush()
