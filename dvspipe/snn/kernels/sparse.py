"""Weights that meet few inputs, for one sample on the CPU in float32: a convolution and a full layer that read only the
weights of inputs that are not 0, and the maximum of windows. Each has its buffers, made once, and gives them out.

Feature maps are rows [P,C] of numpy, the channels of a pixel side by side; features are one row [1,F]. Knows no neurons.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dvspipe.snn.kernels import sparse_loops

Rows = NDArray[np.float32]
Size = tuple[int, int]

# Share of inputs that are not 0 above which torch's dense convolution is quicker. Measured on one core (Zen 5, AVX-512) for
# the layers of three-conv at 32x32: the two cross at 0.25, 0.2 and 0.3 at full width, 0.15 to 0.3 at half; a wrong choice
# near there costs little. A constant, so that the same input always takes the same way.
DENSE_ABOVE = 0.2


class Active:
    """Which of `count` inputs of `pixels` pixels are not 0."""

    def __init__(self, pixels: int, count: int) -> None:
        self.starts = np.zeros(pixels + 1, np.int32)
        self.places, self.values = np.zeros(count + 1, np.int32), np.zeros(count + 1, np.float32)

    def find(self, maps: Rows) -> int:
        """Lists those of maps [P,C]; how many there are."""
        return int(sparse_loops.list_active(maps, self.starts, self.places, self.values))


class SparseConv:
    """`conv`, square, with a border of one zero, on maps of `size` (H,W)."""

    def __init__(self, conv: nn.Conv2d, size: Size) -> None:
        side, stride = conv.kernel_size[0], conv.stride[0]
        outside, inside = conv.weight.shape[:2]
        self.size, self.geometry = size, (side, stride)
        self.out_size = ((size[0] + 2 - side) // stride + 1, (size[1] + 2 - side) // stride + 1)
        self.weight = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        self.bias = _bias(conv)
        self.rows = _copied(conv.weight.permute(2, 3, 1, 0).reshape(-1, outside))
        self.active = Active(size[0] * size[1], inside * size[0] * size[1])
        self.out: Rows = np.empty((self.out_size[0] * self.out_size[1], outside), np.float32)
        self.picked, self.strengths = np.empty(len(self.rows), np.int32), np.empty(len(self.rows), np.float32)
        self.densely(
            np.zeros((size[0] * size[1], inside), np.float32)
        )  # so that torch prepares now what it prepares once

    def __call__(self, maps: Rows) -> Rows:
        """Maps [P,C] -> [P',C'], to be read before the next call."""
        active = self.active
        if active.find(maps) > DENSE_ABOVE * maps.size:
            return self.densely(maps)
        inputs = (active.starts, active.places, active.values, self.size)
        collected = (self.picked, self.strengths)
        bias = self.bias.numpy()
        sparse_loops.convolve(*inputs, self.rows, bias, self.geometry, self.out, self.out_size, *collected)
        return self.out

    def densely(self, maps: Rows) -> Rows:
        """The same by torch, for many active inputs."""
        given = torch.from_numpy(maps).view(1, *self.size, maps.shape[1]).permute(0, 3, 1, 2)
        made = F.conv2d(given, self.weight, self.bias, self.geometry[1], 1)
        rows: Rows = made.permute(0, 2, 3, 1).reshape(self.out.shape).contiguous().numpy()
        return rows


class SparseLinear:
    """`linear` on maps of `size` (H,W), whose features it takes in the order (C,H,W), or with (1,1) on features."""

    def __init__(self, linear: nn.Linear, size: Size) -> None:
        outside, pixels = linear.out_features, size[0] * size[1]
        self.rows = _copied(linear.weight.view(outside, -1, pixels).permute(2, 1, 0).reshape(-1, outside))
        self.bias, self.active = _bias(linear), Active(pixels, linear.in_features)
        self.out: Rows = np.empty((1, outside), np.float32)

    def __call__(self, maps: Rows) -> Rows:
        """Maps [P,C] -> [1,F], to be read before the next call. Above any share of active inputs no slower than dense: it is
        the weights' way through memory that takes the time.
        """
        active = self.active
        count = active.find(maps)
        sparse_loops.multiply(active.places, active.values, count, self.rows, self.bias.numpy(), self.out[0])
        return self.out


class WindowMaximum:
    """The maximum of every `window` x `window` pixels of maps [P,`channels`] of `size` (H,W)."""

    def __init__(self, window: int, channels: int, size: Size) -> None:
        self.window, self.size = window, size
        self.out_size = (size[0] // window, size[1] // window)
        self.out: Rows = np.empty((self.out_size[0] * self.out_size[1], channels), np.float32)

    def __call__(self, maps: Rows) -> Rows:
        """Maps [P,C] -> [P',C], to be read before the next call."""
        sparse_loops.largest_of_windows(maps, self.size, self.window, self.out)
        return self.out


def _bias(weights: nn.Conv2d | nn.Linear) -> Tensor:
    missing = weights.weight.new_zeros(len(weights.weight))
    return missing if weights.bias is None else weights.bias.detach().clone()


def _copied(weight: Tensor) -> Rows:
    """[inputs, outputs] in memory of its own."""
    return np.array(weight.detach().numpy(), np.float32, order="C")
