"""Frames kept in a file: the same batches, never stale, never too many, and damage costs time alone."""

import logging
import os
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from torch.utils.data import DataLoader

from dvspipe.data import frame_cache
from dvspipe.data.augment import Augmentation
from dvspipe.data.clips import ClipDataset, source_hash
from dvspipe.data.frame_cache import CachedClips, cached, packed, pays
from dvspipe.errors import DatasetError
from dvspipe.events import Events
from dvspipe.frames import collate
from dvspipe.recordings.archive import Archive, ArchiveWriter, Segment

BIN_US = 5_000


def write(path, seed=0, n=6_000):
    """Two recordings of 600 ms, three windows each."""
    rng = np.random.default_rng(seed)
    with ArchiveWriter(path, (16, 12), ["a", "b", "c"], {}) as archive:
        for name in ("one", "two"):
            t = np.concatenate([[0], np.sort(rng.integers(0, 600_000, n - 2)), [599_999]])
            events = Events.of(t, rng.integers(0, 16, n), rng.integers(0, 12, n), rng.random(n) < 0.5, (16, 12))
            windows = [Segment(name, k, k, "train", 200_000 * k, 200_000 * (k + 1)) for k in range(3)]
            archive.add(name, [events], windows)
    return Archive(path)


@pytest.fixture
def archive(tmp_path):
    return write(tmp_path / "set.h5")


def clips(archive, **settings):
    return ClipDataset(
        archive.path, archive.segments, **{"bin_us": BIN_US, "n_bins": 8, "clips_per_segment": 2, **settings}
    )


def files(folder):
    return sorted(folder.glob("*"))


def same_items(one, two):
    assert len(one) == len(two)
    for index in range(len(one)):
        np.testing.assert_array_equal(one[index][0], two[index][0])
        assert one[index][1] == two[index][1]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_bit_equal_to_those_binned_anew(archive, tmp_path, workers):
    fresh = clips(archive, downsample=2)
    for _ in ("made", "found"):
        kept = cached(clips(archive, downsample=2), tmp_path / "frames")
        assert isinstance(kept, CachedClips)
        loaders = (DataLoader(each, 5, collate_fn=collate, num_workers=workers) for each in (fresh, kept))
        for (frames, labels), (again, same) in zip(*loaders, strict=True):
            assert frames.equal(again)
            assert labels.equal(same)
    same_items(pickle.loads(pickle.dumps(kept)), fresh)
    assert len(files(tmp_path / "frames")) == 1


def test_everything_that_made_the_frames_is_in_the_name(archive, tmp_path, monkeypatch):
    first = clips(archive)
    made = {tuple(first.made_of())}
    for settings in ({"bin_us": 4_000}, {"n_bins": 9}, {"downsample": 2}, {"clips_per_segment": 3}):
        made.add(tuple(clips(archive, **settings).made_of()))
    made.add(tuple(ClipDataset(archive.path, archive.segments[1:], BIN_US, 8, clips_per_segment=2).made_of()))
    monkeypatch.setattr("dvspipe.data.clips.source_hash", lambda: "another version of the code")
    made.add(tuple(first.made_of()))
    assert len(made) == 7
    assert tuple(clips(Archive(archive.path)).made_of()) in made


def test_source_hash_sees_a_changed_line(monkeypatch, tmp_path):
    before = source_hash()
    (tmp_path / "rule.py").write_text("BIN = 2\n")
    monkeypatch.setattr("dvspipe.frames.__path__", [str(tmp_path)])
    source_hash.cache_clear()
    other = source_hash()
    (tmp_path / "rule.py").write_text("BIN = 3\n")
    source_hash.cache_clear()
    assert len({before, other, source_hash()}) == 3
    source_hash.cache_clear()


def test_an_archive_made_anew_is_not_answered_from_the_old_frames(archive, tmp_path):
    old = cached(clips(archive), tmp_path / "frames")
    anew = write(archive.path, seed=1)
    fresh = clips(anew)
    new = cached(fresh, tmp_path / "frames")
    same_items(new, fresh)
    assert not np.array_equal(new[0][0], old[0][0])
    # Even with every table and the length alike: only the time of writing tells.
    os.utime(archive.path, ns=(0, 0))
    assert clips(Archive(archive.path)).made_of() != fresh.made_of()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: b"no zip at all",
    ],
)
def test_a_damaged_file_is_made_again_and_told(archive, tmp_path, caplog, damage):
    fresh = clips(archive)
    cached(clips(archive), tmp_path / "frames")
    (path,) = files(tmp_path / "frames")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with caplog.at_level(logging.WARNING):
        same_items(cached(clips(archive), tmp_path / "frames"), fresh)
    assert "made again" in caplog.text
    assert path.read_bytes() == whole


def test_a_file_damaged_while_it_is_read_costs_nothing_but_time(archive, tmp_path, caplog):
    kept = cached(clips(archive), tmp_path / "frames")
    with kept.path.open("r+b") as file:
        file.seek(40)
        file.write(b"\xff\xfe\xfd")
    same_items(kept, clips(archive))
    assert "made again" in caplog.text


def test_the_folder_keeps_its_budget_and_the_oldest_go(archive, tmp_path, caplog):
    folder = tmp_path / "frames"
    first = cached(clips(archive), folder).path
    size = first.stat().st_size
    second = cached(clips(archive, n_bins=7), folder, budget_bytes=3 * size).path
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    third = cached(clips(archive, n_bins=6), folder, budget_bytes=2 * size).path
    assert files(folder) == sorted([second, third])
    assert sum(path.stat().st_size for path in files(folder)) <= 2 * size
    with caplog.at_level(logging.WARNING):
        refused = cached(clips(archive, n_bins=5), folder, budget_bytes=1_000)
    assert isinstance(refused, ClipDataset)
    assert "over the budget" in caplog.text
    same_items(refused, clips(archive, n_bins=5))


def test_an_archive_written_anew_while_it_is_binned_leaves_no_file(archive, tmp_path, caplog):
    opened = clips(archive)
    os.utime(archive.path, ns=(0, 0))
    assert cached(opened, tmp_path / "frames") is opened
    assert files(tmp_path / "frames") == []
    assert "written anew" in caplog.text


def test_nothing_is_removed_for_a_file_that_is_too_large_anyway(archive, tmp_path):
    folder = tmp_path / "frames"
    kept = cached(clips(archive), folder).path
    assert isinstance(cached(clips(archive, n_bins=7), folder, budget_bytes=1_000), ClipDataset)
    assert files(folder) == [kept]


def test_a_disk_that_refuses_costs_the_cache_not_the_run(archive, tmp_path, caplog, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    same_items(cached(clips(archive), tmp_path / "file" / "frames"), clips(archive))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frame_cache, "packed", full)
    assert isinstance(cached(clips(archive), tmp_path / "frames"), ClipDataset)
    assert files(tmp_path / "frames") == []
    assert "No space left" in caplog.text


@pytest.mark.parametrize(("most", "size"), [(0, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 4), (2**31 - 1, 4)])
def test_counts_are_kept_exactly_in_the_smallest_type(most, size):
    frames = np.zeros((3, 2, 4, 5), np.int32)
    frames[1, 1, 2, 3] = most
    data = packed(frames)
    assert len(data) == size * frames.size
    np.testing.assert_array_equal(frame_cache._unpacked(data, frames.shape), frames)
    with pytest.raises(ValueError, match="bytes for a clip"):
        frame_cache._unpacked(data[:-1], frames.shape)


@dataclass
class Same:
    """An augmentation that changes nothing."""

    def __call__(self, events, start_us, key):
        return events


@pytest.mark.parametrize(
    "settings",
    [{"random_start": True}, {"around_us": (0, 5)}, {"augment": Same()}, {"augment": Augmentation([], (16, 12))}],
)
def test_clips_that_change_are_refused(archive, tmp_path, settings):
    with pytest.raises(DatasetError, match="cannot be cached"):
        cached(clips(archive, **settings), tmp_path)


def test_it_pays_where_frames_are_smaller_than_their_events(archive):
    # 10 events a ms, 40 ms a clip: 400 events, 5.2 kB; frames of 8 bins are 3 kB, or 768 bytes at half the resolution.
    assert pays(clips(archive))
    assert pays(clips(archive, downsample=2))
    assert not pays(clips(archive, n_bins=16, bin_us=2_500))
