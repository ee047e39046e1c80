"""The engine: Lightning Fabric for one process, or for as many as torchrun or SLURM started, with DDP between them.

Knows the world, not what is trained in it.
"""

from __future__ import annotations

import inspect
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dvspipe.errors import RunError, UsageError
from dvspipe.learn.precision import fabric_precision
from dvspipe.learn.world import ALONE, World

if TYPE_CHECKING:
    from lightning_fabric import Fabric

WAIT_S = 300.0
LOST = ("gloo", "nccl", "peer", "tcpstore", "timed out", "socket")  # what torch says of a process that is gone


def start_engine(precision: str, world: World = ALONE, wait_s: float = WAIT_S) -> Fabric:
    """Fabric with `precision` ("auto", "32", "bf16"); with several processes they have found each other on return.

    `wait_s` bounds every wait for another process. Raises UsageError where a machine has fewer GPUs than processes,
    RunError where a process did not come or the port is taken.
    """
    from lightning_fabric import Fabric  # seconds to import, and evaluation and live do without it
    from lightning_fabric.plugins.environments import LightningEnvironment

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces its precision on stderr
    name = fabric_precision(precision)
    if world.size == 1:
        # Named, so that an allocation of SLURM around a single process is not taken for a world of several.
        return Fabric(accelerator="auto", devices=1, precision=name, plugins=LightningEnvironment())
    _check_gpus(world)
    # Convolutions of one channel have gradients with other strides than weights: they are copied, nobody has to know.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    fabric = Fabric(
        accelerator="auto", devices=world.local, num_nodes=world.nodes, precision=name, strategy=_ddp(world, wait_s)
    )
    with lost_processes(f"{world.size} processes did not find each other within {wait_s:g} s"):
        fabric.launch()
    return fabric


def _ddp(world: World, wait_s: float) -> object:
    from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
    from lightning_fabric.strategies import DDPStrategy

    # Statistics of batch norm are not sent around with every step: on GPUs they are common (SyncBN), else averaged once
    # an epoch. Newer versions of torch have another word for it.
    known = inspect.signature(nn.parallel.DistributedDataParallel.__init__).parameters
    sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    return DDPStrategy(
        cluster_environment=SLURMEnvironment() if world.launcher == "slurm" else TorchElasticEnvironment(),
        timeout=timedelta(seconds=wait_s),
        static_graph=True,
        gradient_as_bucket_view=True,
        find_unused_parameters=False,
        **{sync: False},
    )


def _check_gpus(world: World) -> None:
    gpus = torch.cuda.device_count()
    if 0 < gpus < world.local:
        raise UsageError(
            f"{world.local} processes on a machine with {gpus} GPUs: each needs its own. Start {gpus} per machine, or set "
            "CUDA_VISIBLE_DEVICES= (empty) to train on the CPU."
        )


@contextmanager
def lost_processes(what: str, todo: str = "") -> Iterator[None]:
    """Turns what torch raises when another process is gone, absent or holds the port into a RunError: `what`, the
    reason, `todo`.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        distributed = isinstance(error, torch.distributed.DistError) or any(word in text.lower() for word in LOST)
        if not distributed:
            raise
        if "EADDRINUSE" in text or "address already in use" in text.lower():
            what = "the port where processes meet is taken, perhaps by another training"
            todo = "Give torchrun --standalone (one machine) or another --master-port / --rdzv-endpoint HOST:PORT."
        reason = re.sub(r"^\[[^\]]*\]\s*", "", text.strip()).splitlines()[0].partition(". ")[0][:200]
        raise RunError(f"{what}: {reason}. {todo or 'Look at what the other processes say.'}") from error


def everywhere(value: str, world: World) -> list[str]:
    """What all processes have, by rank; to be called by all."""
    found: list[Any] = [value]
    if world.size > 1:
        found = [None] * world.size
        torch.distributed.all_gather_object(found, value)
    return found


def share_statistics(network: nn.Module) -> list[str]:
    """Batch norms that take their statistics from all processes (SyncBN, on GPUs) in the place of torch's own.

    Only torch's own are replaced: a subclass, such as tdBN, does more than its base, and keeps the statistics of its
    process. Returns the names of those.
    """
    kept = []
    for name, module in list(network.named_modules()):
        if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            above, _, last = name.rpartition(".")
            setattr(network.get_submodule(above), last, nn.SyncBatchNorm.convert_sync_batchnorm(module))
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            kept.append(name)
    return kept


def statistics(network: nn.Module) -> dict[str, torch.Tensor]:
    """The running means and variances of batch norms, by name: what processes may differ in."""
    return {name: each for name, each in network.named_buffers() if name.endswith(("running_mean", "running_var"))}
