"""A convolution over time as well as space, in the stem: every step sees its own bin and its neighbours'.

A 3-D convolution [C',C,k,3,3] with stride 1 is a 2-D convolution [C',k·C,3,3] of the k bins beside each other. So this
layer only lays bins side by side, and the convolution behind it stays what it is: one large 2-D batch, which is faster, and
counted, folded and run live like any other (reference: "Enhanced Temporal Processing in SNNs ... Using 3D Convolutions",
arXiv, December 2024; that it replaces the first convolution alone, with k = 3, is our reading). Knows no network.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dvspipe.errors import ShapeError, UsageError, nearest
from dvspipe.snn.layers.over_time import Probe
from dvspipe.snn.layers.parts import Part

STEMS = ("conv2d", "conv3d", "conv3d-causal")


class Recent(NamedTuple):
    """The last k - 1 bins [k-1,B,C,H,W], the oldest first."""

    bins: Tensor


class TimeStack(nn.Module):
    """Frames [T,B,C,H,W] -> [T,B,k·C,H,W]: at step t the bins t-k+1 ... t (`causal`) or t-k//2 ... t+k//2, each with all its
    channels, zeros where there are none. Only the causal one runs live. Without weights.
    """

    def __init__(self, bins: int, causal: bool) -> None:
        super().__init__()
        if bins < 2 or (not causal and bins % 2 == 0):
            raise UsageError(f"stem_bins = {bins}: at least 2, and odd where bins on both sides are seen")
        self.bins, self.causal = bins, causal

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return self.causal

    def forward(self, x: Tensor, state: Recent | None, probe: Probe | None = None) -> tuple[Tensor, Recent | tuple[()]]:
        """[T,B,C,H,W] -> ([T,B,k·C,H,W], the last bins where `causal`)."""
        missing = self.bins - 1
        ahead = 0 if self.causal else self.bins // 2
        before = self._before(x[0], state, missing) if self.causal else x.new_zeros((missing - ahead, *x.shape[1:]))
        padded = torch.cat((before, x, x.new_zeros((ahead, *x.shape[1:]))))
        side_by_side = torch.cat([padded[start : start + len(x)] for start in range(self.bins)], 2)
        after = Recent(padded[-missing:]) if self.causal else ()
        return _channels_last(side_by_side), after

    def step(self, x: Tensor, state: Recent | None, probe: Probe | None = None) -> tuple[Tensor, Recent]:
        """One bin [B,C,H,W] -> ([B,k·C,H,W], the last bins). Raises `UsageError` unless `causal`."""
        if not self.causal:
            raise UsageError(
                "stem 'conv3d' sees bins that are still to come and cannot run one step at a time: call the network on a "
                "sliding clip [T,B,C,H,W], or build it with stem 'conv3d-causal'"
            )
        padded = torch.cat((self._before(x, state, self.bins - 1), x[None]))
        return torch.cat(padded.unbind(0), 1).contiguous(memory_format=torch.channels_last), Recent(padded[1:])

    def _before(self, frame: Tensor, state: Recent | None, missing: int) -> Tensor:
        if state is None:
            return frame.new_zeros((missing, *frame.shape))
        if state.bins.shape[1:] != frame.shape:
            raise ShapeError(
                f"state of the stem, bins [k-1,B,C,H,W] = {list(state.bins.shape)}, does not fit frames [B,C,H,W] = "
                f"{list(frame.shape)}: pass what an earlier call with the same batch size returned, or None"
            )
        return state.bins.to(frame.dtype)

    def rested(self, state: Recent | tuple[()], steps: int) -> Recent | tuple[()]:
        """After `steps` empty bins."""
        if not isinstance(state, Recent):
            return state
        empty = state.bins.new_zeros((min(steps, self.bins - 1), *state.bins.shape[1:]))
        return Recent(torch.cat((state.bins[steps:], empty)))

    def parts(self) -> list[Part]:
        """None: neither weights nor neurons; what the weights behind it see is as dense as the input."""
        return []


def stack_of(stem: str, bins: int) -> TimeStack | None:
    """What a stem of that name needs before its convolution. Raises `UsageError` for an unknown one."""
    if stem not in STEMS:
        raise UsageError(f"unknown stem '{stem}'{nearest(stem, list(STEMS))}: known are {', '.join(STEMS)}")
    return None if stem == "conv2d" else TimeStack(bins, causal=stem == "conv3d-causal")


def _channels_last(x: Tensor) -> Tensor:
    """[T,B,C,H,W] whose T·B images are in the memory order that convolutions keep."""
    return x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2])
