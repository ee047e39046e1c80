"""Which of how many processes this is, as torchrun or SLURM tells it. Starts nothing; knows neither networks nor data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dvspipe.errors import UsageError


@dataclass(frozen=True, slots=True)
class World:
    """This process is `rank` of `size`; `local` of them are on this machine. The default is a process alone."""

    rank: int = 0
    size: int = 1
    local: int = 1
    launcher: Literal["none", "torchrun", "slurm"] = "none"

    @property
    def nodes(self) -> int:
        """Machines."""
        return self.size // self.local

    @property
    def writes(self) -> bool:
        """Whether this is the one process that writes files."""
        return self.rank == 0


ALONE = World()


def this_world(environment: Mapping[str, str] = os.environ) -> World:
    """torchrun's variables go first, then those of an `srun` step with several tasks; else a process alone.

    Raises UsageError where the variables make no sense, as a machine with other many processes than the rest.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        size = _number(environment, "WORLD_SIZE")
        local = _number(environment, "LOCAL_WORLD_SIZE") if "LOCAL_WORLD_SIZE" in environment else size
        world = World(_number(environment, "RANK"), size, local, "torchrun")
    elif int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        size, nodes = _number(environment, "SLURM_STEP_NUM_TASKS"), _number(environment, "SLURM_STEP_NUM_NODES")
        world = World(_number(environment, "SLURM_PROCID"), size, size // max(1, nodes), "slurm")
    else:
        return ALONE
    if not (0 <= world.rank < world.size and world.local > 0 and world.size % world.local == 0):
        raise UsageError(
            f"rank {world.rank} of {world.size} processes, {world.local} of them on this machine: every machine needs as "
            "many, and ranks count from 0. Start with torchrun --nnodes N --nproc-per-node M, or srun --ntasks-per-node M."
        )
    return world


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except (KeyError, ValueError):
        raise UsageError(
            f"{name} = {environment.get(name)!r} in the environment: a whole number is needed. Start with torchrun or srun."
        ) from None
