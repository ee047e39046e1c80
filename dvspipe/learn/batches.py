"""Which samples a process takes, batch by batch: an epoch's order, shared among processes, from any step on.

The order depends on (seed, epoch) alone. `Batches` stands around a DataLoader and asks it for nothing that a resumed run
has had already. Knows neither networks nor what a sample is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, Sampler

from dvspipe.errors import UsageError
from dvspipe.learn.world import ALONE, World


class Part(NamedTuple):
    """What goes through the network at once: the `first` or `last` part of a batch, or one between, or both. `own` of its
    samples count: all, or none where it stands in for a share that is empty. `batch` samples have all processes together.
    """

    frames: Tensor
    label: Tensor
    own: int
    batch: int
    first: bool
    last: bool


def epoch_seed(seed: int, epoch: int) -> int:
    """What torch's generator starts an epoch with."""
    return seed * 100_003 + epoch


def epoch_order(count: int, seed: int, epoch: int) -> list[int]:
    """A permutation of `count`, the one that a shuffling DataLoader gives right after `torch.manual_seed(epoch_seed())`."""
    generator = torch.Generator().manual_seed(epoch_seed(seed, epoch))
    _, drawn = (int(torch.empty((), dtype=torch.int64).random_(generator=generator)) for _ in ("loader", "sampler"))
    order: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(drawn)).tolist()
    return order


def check_batch(batch: int, world: World, accumulate: int) -> None:
    """Raises UsageError for a batch that cannot be shared evenly."""
    if batch % (world.size * accumulate):
        raise UsageError(
            f"train.batch = {batch} is the batch of all processes: {world.size} processes with train.accumulate = "
            f"{accumulate} cannot share it evenly. Set train.batch to a multiple of {world.size * accumulate}."
        )


class Shares(Sampler[list[int]]):
    """For a DataLoader's `batch_sampler`: of every batch, this process's samples in `accumulate` parts.

    A batch is cut into size · accumulate runs of neighbours as equal as can be. A last batch with fewer samples than
    runs gives some of them its first sample, which does not count: processes have to keep step.
    """

    def __init__(
        self, count: int, batch: int, seed: int | None, drop_last: bool, world: World, accumulate: int
    ) -> None:
        check_batch(batch, world, accumulate)
        self.count, self.batch, self.seed, self.world, self.accumulate = count, batch, seed, world, accumulate
        self.batches = count // batch if drop_last else -(-count // batch)
        self.epoch, self.skip = 1, 0

    def begin(self, epoch: int, skip: int = 0) -> None:
        """The next iteration is over this epoch's order, without its first `skip` batches."""
        self.epoch, self.skip = epoch, skip

    def __len__(self) -> int:
        return self.batches * self.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(self.count)) if self.seed is None else epoch_order(self.count, self.seed, self.epoch)
        return (
            order[first:stop] or order[start : start + 1]
            for number in range(self.skip, self.batches)
            for start, first, stop in self._runs(number)
        )

    def counts(self) -> Iterator[tuple[int, int, bool, bool]]:
        """(samples that count, samples of the batch, first part?, last part?) of what `__iter__` gives, in its order."""
        for number in range(self.skip, self.batches):
            total = min(self.batch, self.count - number * self.batch)
            for part, (_, first, stop) in enumerate(self._runs(number)):
                yield stop - first, total, part == 0, part == self.accumulate - 1

    def _runs(self, number: int) -> Iterator[tuple[int, int, int]]:
        """(where the batch starts, where a part of ours starts and ends) in the order of the epoch."""
        start = number * self.batch
        total, runs = min(self.batch, self.count - start), self.world.size * self.accumulate
        for part in range(self.accumulate):
            place = self.world.rank * self.accumulate + part
            yield start, start + place * total // runs, start + (place + 1) * total // runs


class Batches:
    """A DataLoader's samples in the shares of one process, moved to where the network is by `move`.

    A loader that shuffles is shuffled by (seed, epoch); all else of it stays: its workers, its collation.
    """

    def __init__(
        self,
        loader: DataLoader,
        seed: int,
        move: Callable[[Any], Any],
        world: World = ALONE,
        accumulate: int = 1,
    ) -> None:
        shuffled = isinstance(loader.sampler, RandomSampler)
        self.shares = Shares(
            len(loader.dataset), loader.batch_size, seed if shuffled else None, loader.drop_last, world, accumulate
        )
        self.dataset, self.move = loader.dataset, move
        kept = ("num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context")
        settings = {name: getattr(loader, name) for name in (*kept, "prefetch_factor", "persistent_workers")}
        self.loader = DataLoader(loader.dataset, batch_sampler=self.shares, **settings)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self.shares.batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(samples, labels) of this process, as of a DataLoader."""
        for part in self.begin(self.shares.epoch):
            yield part.frames, part.label

    def begin(self, epoch: int, skip: int = 0) -> Iterator[Part]:
        """The parts of an epoch after its first `skip` batches. Workers are started here and now, and torch's generator
        is left where a loader without workers leaves it: how many there are must not change what a network draws.
        """
        self.shares.begin(epoch, skip)
        before = torch.get_rng_state()
        samples = iter(self.loader)
        torch.set_rng_state(before)
        for _ in ("workers", "order")[: 1 if self.shares.seed is None else 2]:  # the seeds that a DataLoader draws
            torch.empty((), dtype=torch.int64).random_()
        return self._parts(samples)

    def _parts(self, samples: Iterator[Any]) -> Iterator[Part]:
        for sample, (own, batch, first, last) in zip(samples, self.shares.counts()):
            frames, label = self.move(sample)
            yield Part(frames, label, own, batch, first, last)
