"""Whose samples are whose: every sample once, in torch's own order, whatever the processes, parts and resume point."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from dvspipe.errors import UsageError
from dvspipe.learn.batches import Batches, Shares, epoch_order, epoch_seed
from dvspipe.learn.random_state import random_state, set_random_state
from dvspipe.learn.world import ALONE, World, this_world


def shares(rank, size, accumulate, count, batch, drop_last=False, skip=0):
    made = Shares(count, batch, 5, drop_last, World(rank, size, size, "torchrun"), accumulate)
    made.begin(2, skip)
    return list(zip(made, made.counts()))


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 4),
    accumulate=st.integers(1, 3),
    times=st.integers(1, 3),
    count=st.integers(1, 60),
    drop_last=st.booleans(),
    data=st.data(),
)
def test_processes_share_every_batch(size, accumulate, times, count, drop_last, data):
    batch = size * accumulate * times
    batches = count // batch if drop_last else -(-count // batch)
    skip = data.draw(st.integers(0, batches))
    ranks = [shares(rank, size, accumulate, count, batch, drop_last, skip) for rank in range(size)]
    assert {len(each) for each in ranks} == {(batches - skip) * accumulate}  # nobody waits for anybody
    order = epoch_order(count, 5, 2)
    for number in range(batches - skip):
        start = (skip + number) * batch
        wanted, found = order[start : start + batch], []
        for rank in ranks:
            for part in range(accumulate):
                samples, (own, total, first, last) = rank[number * accumulate + part]
                assert len(samples) == max(own, 1)
                assert total == len(wanted)
                assert (first, last) == (part == 0, part == accumulate - 1)
                found += samples[:own]
        assert found == wanted


@pytest.mark.parametrize(("seed", "epoch"), [(0, 1), (3, 7)])
def test_the_order_and_the_draws_are_those_of_a_shuffling_loader(seed, epoch):
    data = TensorDataset(torch.arange(23), torch.arange(23))
    plain = DataLoader(data, batch_size=4, shuffle=True)
    torch.manual_seed(epoch_seed(seed, epoch))
    wanted = torch.cat([each for each, _ in plain])
    wanted_draw = torch.rand(3)
    for workers in (0, 1):
        torch.manual_seed(epoch_seed(seed, epoch))
        ours = Batches(DataLoader(data, batch_size=4, shuffle=True, num_workers=workers), seed, lambda each: each)
        found = torch.cat([part.frames for part in ours.begin(epoch)])
        assert torch.equal(found, wanted)
        assert torch.equal(torch.rand(3), wanted_draw)


def test_a_loader_that_does_not_shuffle_keeps_its_order():
    data = TensorDataset(torch.arange(10), torch.arange(10))
    ours = Batches(DataLoader(data, batch_size=4), 0, lambda each: each)
    assert torch.cat([frames for frames, _ in ours]).tolist() == list(range(10))
    assert len(ours) == 3


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(UsageError, match=r"train.batch = 10 .* 4 processes .* multiple of 4"):
        Shares(100, 10, 0, False, World(0, 4, 4, "torchrun"), 1)


def test_every_generator_goes_on_where_it_was():
    def draw():
        return [torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random(), random.gauss(0, 1)]  # noqa: NPY002

    draw()
    state = random_state()
    wanted = [draw() for _ in range(3)]
    torch.manual_seed(1)
    draw()
    set_random_state(state)
    assert [draw() for _ in range(3)] == wanted


def test_worlds():
    assert this_world({}) == ALONE
    started = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
    assert this_world(started) == World(3, 8, 4, "torchrun")
    assert this_world(started).nodes == 2
    assert not this_world(started).writes
    slurm = {"SLURM_STEP_NUM_TASKS": "16", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "0"}
    assert this_world(slurm) == World(0, 16, 8, "slurm")
    assert this_world({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}) == ALONE  # sbatch without srun: one process
    with pytest.raises(UsageError, match="every machine needs as many"):
        this_world({"RANK": "0", "WORLD_SIZE": "5", "LOCAL_WORLD_SIZE": "2"})
    with pytest.raises(UsageError, match="WORLD_SIZE = 'two'"):
        this_world({"RANK": "0", "WORLD_SIZE": "two"})
