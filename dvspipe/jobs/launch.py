"""Several processes for one training: `--devices N` hands over to torchrun, and checks what torchrun or SLURM started;
and how one of them is ended from outside.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from dvspipe.errors import DatasetError, UsageError
from dvspipe.learn.world import World, this_world


def torchrun(devices: int, arguments: Sequence[str]) -> list[str]:
    """The command that runs `dvspipe ARGUMENTS` in `devices` processes on this machine, on a free port."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(devices)]
    return [*start, "-m", "dvspipe", *arguments]


def ensure_processes(devices: int | None, nodes: int | None, environment: Mapping[str, str] = os.environ) -> None:
    """Sees to it that as many processes train as `--devices` (per machine) and `--nodes` say; does not return where it
    has to start them: torchrun takes this process's place.

    Raises UsageError where they were started, but others; and for several machines, each of which has to be told.
    """
    world = this_world(environment)
    if world.launcher != "none":
        return _check(world, devices, nodes)
    if (nodes or 1) > 1:
        raise UsageError(
            f"--nodes {nodes}: a program cannot start itself on other machines. On each of them run: torchrun --nnodes "
            f"{nodes} --nproc-per-node {devices or 1} --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m dvspipe train ... "
            "(HOST: the first of them); or use srun, see README."
        )
    if (devices or 1) > 1:
        _replace(torchrun(devices or 1, sys.argv[1:]), devices or 1)
    return None


def _check(world: World, devices: int | None, nodes: int | None) -> None:
    for name, asked, found in (("--devices", devices, world.local), ("--nodes", nodes, world.nodes)):
        if asked is not None and asked != found:
            raise UsageError(
                f"{name} {asked}, but {world.launcher} started {world.size} processes, {world.local} on each of "
                f"{world.nodes} machines. Leave {name} out, or start as many."
            )


def _replace(command: Sequence[str], processes: int) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], list(command))


def check_same_data(fingerprints: Sequence[str]) -> None:
    """`fingerprints` of the data that every process found. Raises DatasetError where they are not of one dataset."""
    others = {rank: found for rank, found in enumerate(fingerprints) if found != fingerprints[0]}
    if others:
        raise DatasetError(
            f"processes have different data: rank 0 fingerprint {fingerprints[0]}, others {others}. Prepare the dataset on "
            "every machine alike, or set DVSPIPE_DATA to a folder that all see."
        )


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM (a scheduler's end of time, torchrun when another process died) ends a training as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
