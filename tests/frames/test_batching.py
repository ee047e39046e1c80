"""The one transpose."""

import numpy as np
import pytest
import torch

from dvspipe.errors import ShapeError
from dvspipe.frames import batch, collate


def test_batch_puts_time_first_and_clips_second():
    clips = [np.random.default_rng(number).integers(0, 9, (5, 2, 4, 3), dtype=np.int32) for number in range(3)]
    frames, labels = collate(list(zip(clips, [7, 0, 10])))
    assert frames.shape == (5, 3, 2, 4, 3)
    assert frames.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert labels.tolist() == [7, 0, 10]
    for number, clip in enumerate(clips):
        np.testing.assert_array_equal(frames[:, number].numpy(), clip)


@pytest.mark.parametrize("clips", [[], [np.zeros((5, 2, 4, 3)), np.zeros((4, 2, 4, 3))]])
def test_clips_of_unlike_shapes_are_refused(clips):
    with pytest.raises(ShapeError, match="one shape"):
        batch(clips)
