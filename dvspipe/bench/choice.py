"""Which tables there are, in the README's order. A table's module is imported only when it is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Table
from dvspipe.errors import UsageError, nearest

ALL = "all"


@dataclass(frozen=True, slots=True)
class Choice:
    """A table: its one sentence, and whether `all --quick` leaves it out because it takes long."""

    sentence: str
    long: bool = False


TABLES: dict[str, Choice] = {
    "events_to_frames": Choice("Events to frames, against tonic's ToFrame and a plain copy of the columns."),
    "decode": Choice("A recording's bytes to event columns, against numpy."),
    "loader": Choice("Training clips a second, against tonic's DiskCachedDataset."),
    "lif": Choice("One layer of neurons, forward and forward + backward, against Norse, SpikingJelly and snnTorch."),
    "attention": Choice("Attention, ReLU and neurons together, against SpikingJelly's own attention and plain torch."),
    "training": Choice("A training step of the three-conv Gesture network, and the convolutions alone as its floor."),
    "memory": Choice("Peak memory of that training step, each variant in a fresh process."),
    "inference": Choice("A whole clip through that network without gradients."),
    "live": Choice("One bin in, one answer out, batch 1: p50 and p99 of a step."),
    "demo": Choice("Wall time of `dvspipe demo` in a fresh process.", long=True),
    "accuracy": Choice(
        "One recipe trained with the fast kernels and with the reference: accuracy does not move.", long=True
    ),
}


def chosen(name: str, quick: bool = False) -> list[str]:
    """The tables that `name` means: one, or "all". Raises `UsageError` for an unknown one."""
    if name == ALL:
        return [each for each, choice in TABLES.items() if not (quick and choice.long)]
    spelled = name.replace("-", "_")
    if spelled not in TABLES:
        known = [ALL, *TABLES]
        raise UsageError(f"unknown bench table '{name}'{nearest(name, known)}: known are {', '.join(known)}")
    return [spelled]


def run_table(name: str, settings: BenchSettings) -> Table:
    """Measures one table of `TABLES`, on `settings.threads` threads of torch, which our kernels follow."""
    with _threads(settings.threads):
        table: Table = import_module(f"dvspipe.bench.{name}").run(settings)
    return table


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
