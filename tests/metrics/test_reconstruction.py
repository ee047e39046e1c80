"""Reconstruction error against hand-made cases."""

import numpy as np
import pytest
import torch

from dvspipe.errors import ShapeError
from dvspipe.metrics.reconstruction import errors_by_steps, reconstruction_error


def test_mean_and_largest_gap():
    assert reconstruction_error([0.0, 0.5, 1.0], [0.25, 0.5, 0.5]) == {"mean": 0.25, "max": 0.5}


def test_tensors_of_any_precision_and_arrays_mix():
    images = torch.tensor([0.5, 1.0], dtype=torch.bfloat16, requires_grad=True)
    assert reconstruction_error(images, np.array([0.5, 0.75]))["max"] == 0.25


def test_one_row_per_number_of_steps_in_order():
    rows = errors_by_steps([1.0], {4: [0.875], 2: [0.75]})
    assert rows == [{"steps": 2, "mean": 0.25, "max": 0.25}, {"steps": 4, "mean": 0.125, "max": 0.125}]


def test_shapes_that_would_only_broadcast_are_refused():
    with pytest.raises(ShapeError, match=r"\[1, 2\].*\[2\]"):
        reconstruction_error([[0.0, 1.0]], [0.0, 1.0])
    with pytest.raises(ShapeError, match="without an empty axis"):
        reconstruction_error([], [])
