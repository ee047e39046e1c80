"""What a loader gives depends on (seed, epoch, index) alone: no number of workers, no order and no state of a global
generator changes a bit, and no two workers repeat one another.
"""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dvspipe.data.augment import Augmentation
from dvspipe.data.clips import ClipDataset
from dvspipe.events import Events
from dvspipe.frames import collate
from dvspipe.recordings.archive import Archive, ArchiveWriter, Segment

SIZE = (32, 24)
CHAIN = [
    {"name": "RandomFlipLR"},
    {"name": "DropEvent", "p": 0.2},
    {"name": "DropEventByTime"},
    {"name": "DropEventByArea"},
    {"name": "RandomDropPixel", "p": 0.1},
    {"name": "SpatialJitter", "var_x": 2, "var_y": 2},
    {"name": "TimeJitter", "std": 300},
    {"name": "TimeSkew", "coefficient": [0.9, 1.1]},
    {"name": "UniformNoise", "n": 50},
]
OPTIONS = {"random_start": {"random_start": True}, "around": {"around_us": (-20_000, 30_000)}}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Twelve windows of one recording; every window holds the very same events, so that only the draws differ."""
    path, rng = tmp_path_factory.mktemp("workers") / "set.h5", np.random.default_rng(0)
    t = np.concatenate([[0], np.sort(rng.integers(0, 100_000, 2_998)), [99_999]])
    x, y, p = rng.integers(0, 32, 3_000), rng.integers(0, 24, 3_000), rng.random(3_000) < 0.5
    once = [Events.of(t + 100_000 * k, x, y, p, SIZE) for k in range(12)]
    with ArchiveWriter(path, SIZE, ["same"], {}) as writer:
        writer.add("r", once, [Segment("r", 0, 0, "train", 100_000 * k, 100_000 * (k + 1)) for k in range(12)])
    return Archive(path)


def dataset(archive, **options):
    augment = Augmentation(CHAIN, SIZE)
    return ClipDataset(archive.path, archive.segments, 5_000, 10, seed=3, augment=augment, **options)


def stir(seed):
    """Every global generator somewhere else."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def epochs(clips, workers, batch=5):
    """Frames and labels of two epochs, batch by batch, in a shuffled order that is the same every time."""
    order = torch.utils.data.RandomSampler(clips, generator=torch.Generator().manual_seed(9))
    loader = DataLoader(
        clips, batch, sampler=order, collate_fn=collate, num_workers=workers, persistent_workers=workers > 0
    )
    found = []
    for epoch in (1, 2):
        clips.set_epoch(epoch)
        found += list(loader)
    return found


@pytest.mark.parametrize("option", OPTIONS)
def test_no_worker_one_and_three_give_the_same_bits(archive, option):
    stir(1)
    expected = epochs(dataset(archive, **OPTIONS[option]), 0)
    for workers in (1, 3):
        stir(workers + 1)
        found = epochs(dataset(archive, **OPTIONS[option]), workers)
        assert len(found) == len(expected) == 6
        for (frames, labels), (again, same) in zip(expected, found):
            assert frames.equal(again)
            assert labels.equal(same)


def test_workers_do_not_repeat_one_another(archive):
    """All windows hold the same events: clips can only differ by what was drawn for them."""
    clips = dataset(archive)  # every clip begins where its window begins
    drawn = torch.cat([frames for frames, _ in epochs(clips, 3, batch=2)], dim=1).transpose(0, 1).flatten(1)
    assert len(drawn) == 24
    assert len(torch.unique(drawn, dim=0)) == 24


def test_a_sample_is_the_same_wherever_it_stands_in_the_batch(archive):
    clips = dataset(archive, random_start=True)
    clips.set_epoch(4)
    alone = [clips[index][0] for index in range(len(clips))]
    stir(8)
    for index in reversed(range(len(clips))):
        np.testing.assert_array_equal(clips[index][0], alone[index])
