"""When a checkpoint is due: every so many seconds or steps. With several processes they agree."""

from __future__ import annotations

import time

import torch

from dvspipe.learn.world import World

ASKED = 8  # steps between two looks of all processes at the first one's clock


class Due:
    """Call it after every step of an epoch with the step's number; tell it when a state was `saved()`."""

    def __init__(self, seconds: float, steps: int | None, world: World, device: torch.device) -> None:
        self.seconds, self.steps, self.world, self.device = seconds, steps, world, device
        self.last = time.perf_counter()

    def __call__(self, step: int) -> bool:
        """Whether it is time."""
        if self.steps is not None and step % self.steps == 0:
            return True
        late = time.perf_counter() - self.last >= self.seconds
        if self.world.size == 1:
            return late
        if step % ASKED:
            return False
        said = torch.tensor(int(late), device=self.device)
        torch.distributed.broadcast(said, 0)
        return bool(said)

    def saved(self) -> None:
        """The clock starts anew."""
        self.last = time.perf_counter()
