"""ECA: efficient channel attention (Wang et al., CVPR 2020, arXiv 1910.03151; BangguWu/ECANet).

    g = sigmoid(conv1d(mean over H,W)),  one kernel of k taps along the channels, no bias
    k = |log2(C)/2 + 1/2|, rounded down, or the next odd number    (3 for 64 channels, 5 for 128)

MA-SNN compares it in Table 5 with +48 parameters and +76,800 MAC in the three-conv network. No k gives both: the MACs
at T = 60 say 4 taps in every layer (12 parameters), the parameters say 16 taps (307,200 MAC). The published rule
gives 3 + 5 + 5 = 13 parameters and 60 · (3·64 + 5·128 + 5·128) = 88,320 MAC.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from dvspipe.snn.attention.per_step import StepAttention


def kernel_size(channels: int) -> int:
    """The published rule, with γ = 2 and b = 1."""
    taps = int(abs((math.log2(channels) + 1) / 2))
    return taps if taps % 2 else taps + 1


class EfficientChannelAttention(StepAttention):
    """One weight per channel and step; `kernel_size(channels)` parameters."""

    def __init__(self, steps: int, channels: int, gate_gain: float, relu: bool, placement: str) -> None:
        super().__init__(steps, channels, gate_gain, relu, placement)
        taps = kernel_size(channels)
        self.conv = nn.Conv1d(1, 1, taps, padding=taps // 2, bias=False)

    def last_weights(self) -> list[Tensor]:
        """The one kernel."""
        return [self.conv.weight]

    def gate_macs(self, size: tuple[int, int]) -> int:
        """Every tap at every channel of every step."""
        return self.steps * self.conv.weight.numel() * self.channels

    def _score(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3)).to(self.conv.weight.dtype)
        score: Tensor = self.conv(mean[:, None])
        return score[:, 0, :, None, None]
