"""What a recipe's loaders give: the same batches whether frames are kept or not, and kept where it pays alone."""

import numpy as np
import pytest

from dvspipe.data.clips import ClipDataset
from dvspipe.data.frame_cache import CachedClips
from dvspipe.events import Events
from dvspipe.jobs import event_data
from dvspipe.jobs.event_data import EventData
from dvspipe.recipes import load_recipe
from dvspipe.recordings.archive import ArchiveWriter, Segment


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Six subjects, four windows of 400 ms each, the last two subjects for testing."""
    path, rng = tmp_path / "set.h5", np.random.default_rng(0)
    with ArchiveWriter(path, (128, 128), ["a", "b"], {}) as writer:
        for subject in range(6):
            n, name, split = 60_000, f"s{subject}", "test" if subject > 3 else "train"
            t = np.concatenate([[0], np.sort(rng.integers(0, 1_600_000, n - 2)), [1_599_999]])
            events = Events.of(t, rng.integers(0, 128, n), rng.integers(0, 128, n), rng.random(n) < 0.5, (128, 128))
            windows = [Segment(name, k % 2, subject, split, 400_000 * k, 400_000 * (k + 1)) for k in range(4)]
            writer.add(name, [events], windows)
    monkeypatch.setattr(event_data, "find_or_make", lambda _: path)
    monkeypatch.setenv("DVSPIPE_DATA", str(tmp_path))
    return path


def data(*overrides):
    changes = ["frames.bin_us=20000", "frames.n_bins=10", "train.val_subjects=2", "train.batch=3", "train.workers=0"]
    return EventData(load_recipe("gesture-none", [*changes, *overrides]))


@pytest.mark.parametrize("which", ["val", "test"])
def test_kept_frames_are_the_batches_that_would_be_binned(archive, which):
    loaders = []
    for cache in ("off", "auto", "auto"):
        made = data(f"frames.cache={cache}", "frames.clips=2")
        loaders.append(made.training().val if which == "val" else made.testing())
    assert [type(loader.dataset) for loader in loaders] == [ClipDataset, CachedClips, CachedClips]
    for batches in zip(*loaders, strict=True):
        for frames, labels in batches[1:]:
            assert frames.equal(batches[0][0])
            assert labels.equal(batches[0][1])
    assert len(list((archive.parent / "frames").iterdir())) == 1


def test_training_clips_and_frames_larger_than_their_events_are_not_kept(archive):
    made = data("frames.downsample=1")
    assert all(isinstance(loader.dataset, ClipDataset) for loader in (made.training().train, made.training().val))
    assert isinstance(data().training().train.dataset, ClipDataset)
    assert isinstance(made.testing().dataset, ClipDataset)
