"""Placement `released`: what the public MA-SNN code computes (BICLab/Attention-SNN, module/LIF_Module.py).

All factors act once per clip on the current [T,B,C,H,W], before the neuron, in the order T, C, S, and a ReLU follows,
unless it is switched off to measure what it does.
TA pools over (C,H,W), CA over (T,H,W) jointly, SA over the T·C planes. So it sees the future of the clip and cannot
run step by step.

Gates are positive, so mean and maximum of each plane are taken once and scaled, instead of pooling every scaled
tensor anew. Where several elements are the maximum, the gradient goes to the first in axis order, as in the
released code.
"""

from __future__ import annotations

from torch import Tensor

from dvspipe.snn.attention.channel import ChannelScore
from dvspipe.snn.attention.factors import FactorAttention
from dvspipe.snn.attention.gate import gate
from dvspipe.snn.attention.planes import plane_statistics
from dvspipe.snn.attention.slot import Memory
from dvspipe.snn.attention.spatial import SpatialScore
from dvspipe.snn.attention.temporal import TemporalScore


class ReleasedAttention(FactorAttention):
    """`factors` is a part of "TCS"; empty is the ReLU alone, the control for what the hidden ReLU does."""

    placement = "released"

    def __init__(
        self, factors: str, steps: int, channels: int, c_ratio: int, t_ratio: int, gate_gain: float, relu: bool = True
    ) -> None:
        super().__init__(steps, gate_gain, relu)
        self.time = TemporalScore(steps, t_ratio) if "T" in factors else None
        self.channel = ChannelScore(channels, c_ratio) if "C" in factors else None
        self.space = SpatialScore() if "S" in factors else None

    @property
    def live(self) -> bool:
        """Only the bare ReLU can be computed without the rest of the clip."""
        return not self.factors

    @property
    def kept(self) -> int:
        """T and C are multiplied on as one."""
        joint = self.time is not None or self.channel is not None
        return joint + (self.space is not None)

    def weigh(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """`forward`; there is nothing to remember."""
        return self(x), memory

    def forward(self, x: Tensor) -> Tensor:
        """Current [T,B,C,H,W] or [T,B,F] -> re-weighted current, same shape, dtype and memory format."""
        if self.time is not None or self.channel is not None:
            scale = self.scale(*plane_statistics(x))
            x = x * scale.to(x.dtype).view(scale.shape + (1,) * (x.ndim - 3))
        if self.space is not None:
            mean, maximum = x.mean(2).mean(0), x.max(2).values.max(0).values
            x = x * gate(self.space(mean, maximum), self.gain).to(x.dtype)[:, None]
        return x.relu() if self.relu else x

    def scale(self, mean: Tensor, maximum: Tensor) -> Tensor:
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
