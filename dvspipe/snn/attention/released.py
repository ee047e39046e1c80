"""Placement `released`: what the public MA-SNN code computes (BICLab/Attention-SNN, module/LIF_Module.py).

All factors act once per clip on the current [T,B,C,H,W], before the neuron, in the order T, C, S, and a ReLU follows:
TA pools over (C,H,W), CA over (T,H,W) jointly, SA over the T·C planes. So it sees the future of the clip and cannot
run step by step.

Gates are positive, so mean and maximum of each plane are taken once and scaled, instead of pooling every scaled
tensor anew. Where several elements are the maximum, the gradient goes to the first in axis order, as in the
released code.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dvspipe.snn.attention.channel import ChannelScore
from dvspipe.snn.attention.gate import check_gain, gate
from dvspipe.snn.attention.spatial import SpatialScore
from dvspipe.snn.attention.temporal import TemporalScore


def plane_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and maximum over (H,W): [T,B,C,H,W] -> two [T,B,C]; in [T,B,F] every element is its own plane."""
    if x.ndim == 3:
        return x, x
    # Of all maxima only the pooling call is fast in channels_last and picks the first among equals.
    return x.mean((3, 4)), F.adaptive_max_pool2d(x.flatten(0, 1), 1).view(x.shape[:3])


class ReleasedAttention(nn.Module):
    """`factors` is a part of "TCS"; empty is the ReLU alone, the control for what the hidden ReLU does."""

    def __init__(self, factors: str, steps: int, channels: int, c_ratio: int, t_ratio: int, gate_gain: int) -> None:
        super().__init__()
        self.gain = check_gain(gate_gain)
        self.time = TemporalScore(steps, t_ratio) if "T" in factors else None
        self.channel = ChannelScore(channels, c_ratio) if "C" in factors else None
        self.space = SpatialScore() if "S" in factors else None

    @property
    def live(self) -> bool:
        """Whether one step can be computed without the rest of the clip: only the bare ReLU can."""
        return self.time is None and self.channel is None and self.space is None

    def forward(self, x: Tensor) -> Tensor:
        """Current [T,B,C,H,W] or [T,B,F] -> re-weighted current, same shape, dtype and memory format."""
        if self.time is not None or self.channel is not None:
            scale = self._scale(*plane_statistics(x))
            x = x * scale.to(x.dtype).view(scale.shape + (1,) * (x.ndim - 3))
        if self.space is not None:
            mean, maximum = x.mean(2).mean(0), x.max(2).values.max(0).values
            x = x * gate(self.space(mean, maximum), self.gain).to(x.dtype)[:, None]
        return x.relu()

    def _scale(self, mean: Tensor, maximum: Tensor) -> Tensor:
        """TA's and CA's factors together, [T,B,C] or [T,B,1], from the statistics [T,B,C] of each plane."""
        if self.time is None:
            return self._channel_gate(mean, maximum)[None]
        time = gate(self.time(mean.mean(2), maximum.max(2).values), self.gain)[:, :, None]
        if self.channel is None:
            return time
        return time * self._channel_gate(mean * time, maximum * time)

    def _channel_gate(self, mean: Tensor, maximum: Tensor) -> Tensor:
        assert self.channel is not None
        return gate(self.channel(mean.mean(0), maximum.max(0).values), self.gain)
