"""Clips: which part of a segment they hold, that only (seed, epoch, index) decides, and workers agree."""

import logging
import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

from dvspipe.data.augment import Augmentation
from dvspipe.data.clips import ClipDataset
from dvspipe.data.prepare import prepare
from dvspipe.errors import DatasetError
from dvspipe.frames import collate, to_frames
from dvspipe.recordings.archive import Archive

BIN_US = 5_000  # a segment lasts 100 ms


@pytest.fixture(scope="module")
def archive(tmp_path_factory, gestures, card):
    place = tmp_path_factory.mktemp("clips")
    prepare(card, gestures.ibm(place / "DvsGesture", n=100), place / "gesture.h5")
    return Archive(place / "gesture.h5")


def clips(archive, n_bins=8, **options):
    return ClipDataset(archive.path, archive.segments, BIN_US, n_bins, **options)


def items(dataset):
    return [dataset[index] for index in range(len(dataset))]


def equal(one, two):
    return all(np.array_equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(one, two, strict=True))


def test_one_evaluation_clip_is_the_segments_beginning(archive):
    dataset = clips(archive, downsample=4)
    assert len(dataset) == len(archive.segments)
    for segment, (frames, label) in zip(archive.segments, items(dataset)):
        assert frames.shape == (8, 2, 32, 32)
        assert frames.dtype == np.int32
        assert label == segment.label
        events = archive.events(segment.recording, segment.start_us, segment.start_us + 8 * BIN_US)
        expected, _ = to_frames(events, BIN_US, t0_us=segment.start_us, n_bins=8, downsample=4)
        np.testing.assert_array_equal(frames, expected)
        assert frames.sum() == len(events) > 0


def test_evaluation_clips_cover_the_segment_evenly(archive):
    dataset = clips(archive, n_bins=8, clips_per_segment=3)
    assert len(dataset) == 3 * len(archive.segments)
    segment = archive.segments[4]
    starts = [segment.start_us, segment.start_us + 30_000, segment.start_us + 60_000]
    assert starts[-1] + dataset.clip_us == segment.stop_us
    for clip, start in enumerate(starts):
        frames, label = dataset[3 * 4 + clip]
        events = archive.events(segment.recording, start, start + dataset.clip_us)
        np.testing.assert_array_equal(frames, to_frames(events, BIN_US, t0_us=start, n_bins=8)[0])
        assert label == segment.label


def test_random_starts_stay_inside_and_change_by_epoch(archive):
    dataset = clips(archive, random_start=True, seed=3)
    first = items(dataset)
    for segment, (frames, _) in zip(archive.segments, first):
        columns = np.unique(np.nonzero(frames)[3])
        assert columns.tolist() == [10 * segment.label]  # nothing of a neighbouring gesture
        assert 38 <= frames.sum() <= 42  # full of events: the clip lies wholly inside
    dataset.set_epoch(1)
    second = items(dataset)
    assert not equal(first, second)
    dataset.set_epoch(0)
    assert equal(items(dataset), first)
    assert not equal(items(clips(archive, random_start=True, seed=4)), first)
    reversed_order = [dataset[index] for index in reversed(range(len(dataset)))][::-1]
    assert equal(reversed_order, first)


def test_short_segments_are_padded_with_empty_bins_and_told_once(archive, caplog):
    with caplog.at_level(logging.WARNING, "dvspipe.data"):
        dataset = clips(archive, n_bins=30, random_start=True)
        frames, _ = dataset[0]
        dataset[1]
    assert dataset.padded == len(archive.segments)
    assert len(caplog.records) == 1
    assert "36 of 36 segments are shorter than a clip of 0.150 s" in caplog.text
    assert frames.shape[0] == 30
    assert frames[:20].sum() == 100
    assert frames[20:].sum() == 0  # the next gesture begins 20 ms after this one and must not be seen
    assert clips(archive, n_bins=20).padded == 0


@pytest.mark.parametrize("cache_bytes", [0, 3 * 100 * 13, 3 * 100 * 13 + 1, 10**9])
def test_the_cache_changes_nothing_and_keeps_its_bound(archive, cache_bytes):
    expected = items(clips(archive, random_start=True))
    dataset = clips(archive, random_start=True, cache_bytes=cache_bytes)
    assert equal(items(dataset), expected)
    assert equal(items(dataset), expected)
    held = sum(len(events) * 13 for events, _ in dataset._cache.values())
    assert held <= cache_bytes
    assert len(dataset._cache) == min(36, cache_bytes // 1300)


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_gives_time_first_batches_and_workers_see_the_epoch(archive, workers):
    augment = Augmentation([{"name": "DropEvent", "p": 0.3}], (128, 128))
    dataset = clips(archive, random_start=True, augment=augment, downsample=4)
    loader = DataLoader(dataset, 5, collate_fn=collate, num_workers=workers, persistent_workers=workers > 0)
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        frames = [batch for batch, _ in loader]
        assert frames[0].shape == (8, 5, 2, 32, 32)
        again = np.stack([frames for frames, _ in items(dataset)], 1)
        np.testing.assert_array_equal(np.concatenate([each.numpy() for each in frames], 1), again)


def test_a_dataset_can_be_sent_to_another_process(archive):
    dataset = clips(archive, random_start=True, seed=2)
    expected = items(dataset)
    assert equal(items(pickle.loads(pickle.dumps(dataset))), expected)


def test_index_beyond_the_end(archive):
    dataset = clips(archive)
    with pytest.raises(IndexError):
        dataset[len(dataset)]
    assert equal([dataset[-1]], [dataset[len(dataset) - 1]])


@pytest.mark.parametrize("options", [{"seed": -1}, {"clips_per_segment": 0}])
def test_bad_settings_are_refused(archive, options):
    with pytest.raises(DatasetError, match="allowed"):
        clips(archive, **options)


def test_no_segments(archive):
    with pytest.raises(DatasetError, match="no segments"):
        ClipDataset(archive.path, [], BIN_US, 8)
