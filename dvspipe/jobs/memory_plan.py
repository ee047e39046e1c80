"""What a training step will need, held against what is free before the first one, so that none dies half way."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dvspipe.encoders.image_network import ImageNetwork
from dvspipe.errors import UsageError
from dvspipe.jobs.runs import network_of
from dvspipe.learn.free_memory import free_bytes
from dvspipe.learn.memory import KEPT_GROWTH, give_back_freed_memory
from dvspipe.learn.precision import fabric_precision
from dvspipe.learn.world import World
from dvspipe.recipes import Recipe, load_card
from dvspipe.show.progress import say
from dvspipe.snn.counting import training_memory_bytes
from dvspipe.snn.networks import Network

GIB = 2**30
MARGIN = 1.15  # the plan is right to so much


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """`step_bytes` is the peak of a training step with `batch` samples of `steps` bins in memory at once; `free_bytes` what
    this machine has, None where it does not tell. `largest_batch` is what would fit, 0 where nothing does.
    """

    batch: int
    steps: int
    step_bytes: int
    free_bytes: int | None
    largest_batch: int

    @property
    def fits(self) -> bool:
        """Whether it does, with a margin; unknown counts as yes."""
        return self.free_bytes is None or MARGIN * self.step_bytes <= self.free_bytes

    @property
    def tight(self) -> bool:
        """Whether there is not enough for a process that keeps what it has freed."""
        return self.free_bytes is not None and KEPT_GROWTH * self.step_bytes > self.free_bytes

    def __str__(self) -> str:
        free = "an unknown amount" if self.free_bytes is None else f"{self.free_bytes / GIB:.2f} GiB"
        return (
            f"a training step needs about {self.step_bytes / GIB:.2f} GiB at B={self.batch}, T={self.steps}; "
            f"this machine has {free} free"
        )


def plan_of(recipe: Recipe, parts: int = 1) -> MemoryPlan:
    """The plan of a recipe: its batch is taken in `parts`, over processes or one after another. Builds the network without
    values. Raises as `network_of`.
    """
    card = load_card(recipe.dataset)
    with torch.device("meta"):  # shapes without values: nothing is drawn, nothing is held
        network = network_of(recipe, len(card.classes), card.sensor_size, card.images.channels if card.images else 2)
    return plan_memory(network, recipe, parts)


def plan_training(network: Network | ImageNetwork, recipe: Recipe, world: World, quiet: bool) -> None:
    """Says the plan of this process, of `world`; raises UsageError where it does not fit (`check_memory`). Where it only just
    fits, freed memory is given back to the system instead of kept for the next step.
    """
    plan = plan_memory(network, recipe, recipe.train.accumulate * world.size, world.local)
    check_memory(plan, recipe)
    if plan.tight and not torch.cuda.is_available():
        give_back_freed_memory()
    if not quiet:
        say(f"{plan}{': just enough, so freed memory is given back, which is slower' if plan.tight else ''}")


def plan_memory(network: Network | ImageNetwork, recipe: Recipe, parts: int = 1, processes: int = 1) -> MemoryPlan:
    """As `plan_of`, of a network that is there; on a CPU, `processes` share what is free. A GPU has one."""
    on_gpu = torch.cuda.is_available()
    batch, free = max(1, recipe.train.batch // parts), free_bytes("cuda" if on_gpu else "cpu")
    free = free if free is None or on_gpu else free // processes
    needed = step_bytes(network, recipe, batch)
    return MemoryPlan(batch, recipe.steps, needed, free, _largest(network, recipe, free, batch))


def step_bytes(network: Network | ImageNetwork, recipe: Recipe, batch: int) -> int:
    """Peak of one training step with `batch` samples at once."""
    width = 2 if fabric_precision(recipe.train.precision) == "bf16-mixed" else 4
    repeats = isinstance(network, ImageNetwork) and network.encoder.repeats
    inner = network.network if isinstance(network, ImageNetwork) else network
    fused = not torch.cuda.is_available() and recipe.snn.kernels == "auto"
    recompute = recipe.train.checkpointing == "layers"
    return training_memory_bytes(inner, recipe.steps, batch, width, repeats, fused, recompute)


def check_memory(plan: MemoryPlan, recipe: Recipe) -> None:
    """Raises UsageError for a training that would not fit, with the batch that would. A smaller batch is another
    experiment, so it is the user who takes it; `train.accumulate` is the same one in less memory.
    """
    if recipe.train.memory == "ignore" or plan.fits:
        return
    todo = "Not even one sample fits: take fewer bins, a smaller network or a larger machine"
    if plan.largest_batch:
        parts = next(each for each in _divisors(plan.batch) if plan.batch // each <= plan.largest_batch)
        todo = (
            f"--set train.accumulate={recipe.train.accumulate * parts} takes the same batch in parts, --set "
            f"train.batch={recipe.train.batch // plan.batch * plan.largest_batch} a smaller one"
        )
    raise UsageError(f"{plan}. {todo}; --set train.memory=ignore tries all the same.")


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def _largest(network: Network | ImageNetwork, recipe: Recipe, free: int | None, batch: int) -> int:
    """The largest batch up to the recipe's that fits."""
    if free is None:
        return batch
    low, high = 0, batch
    while low < high:
        middle = (low + high + 1) // 2
        fits = MARGIN * step_bytes(network, recipe, middle) <= free
        low, high = (middle, high) if fits else (low, middle - 1)
    return low
