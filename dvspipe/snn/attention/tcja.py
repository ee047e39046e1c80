"""TCJA: temporal-channel joint attention (Zhu et al., TNNLS 2024, arXiv 2206.10177; ridgerchu/TCJA, src/layers.py).

    Z = mean over H,W                       [B,T,C]
    A = convolution along C that mixes all T, k taps, no bias
    E = convolution along T that mixes all C, k taps, no bias
    g = sigmoid(A · E)                      [B,T,C]

Published with k = 4 and on the *spikes* of a layer, which makes them real numbers. Here it fills the slot that the
others fill, on the current of the whole clip, so that the layer after it still receives spikes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dvspipe.errors import ShapeError
from dvspipe.snn.attention.gate import gate
from dvspipe.snn.attention.slot import Attention, Memory

TAPS = 4


class JointAttention(Attention):
    """One weight per step and channel; k·(T² + C²) parameters. Sees the future of the clip: not live."""

    placement = "released"

    def __init__(self, steps: int, channels: int, gate_gain: float, relu: bool) -> None:
        super().__init__(steps, gate_gain, relu)
        self.channels = channels
        self.mix_steps = nn.Conv1d(steps, steps, TAPS, bias=False)
        self.mix_channels = nn.Conv1d(channels, channels, TAPS, bias=False)

    @property
    def live(self) -> bool:
        """Every factor depends on all steps."""
        return False

    @property
    def factors(self) -> int:
        """The one."""
        return 1

    def last_weights(self) -> list[Tensor]:
        """One of the two: a product of zeros would never learn."""
        return [self.mix_steps.weight]

    def gate_macs(self, size: tuple[int, int]) -> int:
        """Both convolutions over [T,C], and their product."""
        steps, channels = self.steps, self.channels
        return steps * channels * (TAPS * (steps + channels) + 1)

    def weigh(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Current [T,B,C,H,W] -> re-weighted, same shape, dtype and memory format. Raises `ShapeError` for another T."""
        if len(x) != self.steps:
            raise ShapeError(
                f"attention 'TCJA' was built for T = {self.steps} steps, the frames [T,B,...] have T = {len(x)}: "
                f"cut clips of {self.steps} bins, or build the network with steps = {len(x)}"
            )
        mean = x.mean((3, 4)).transpose(0, 1).to(self.mix_steps.weight.dtype)
        score = self.mix_steps(_padded(mean)) * self.mix_channels(_padded(mean.mT)).mT
        x = x * gate(score, self.gain).to(x.dtype).transpose(0, 1)[..., None, None]
        return (x.relu() if self.relu else x), memory


def _padded(x: Tensor) -> Tensor:
    """Zeros around the last axis so that k taps keep its length; torch's own "same" warns when k is even."""
    return F.pad(x, ((TAPS - 1) // 2, TAPS // 2))
