"""Placement `paper`: MA-SNN as its equations say (TPAMI 2023, §3.3, eq. 14).

    X_TA    = g_t(X) · X            on the current of the whole clip, pooled over (C,H,W) of each step
    Z[t]    = integrate(X_TA[t])
    U_CA[t] = g_c(Z[t]) · Z[t]      pooled over (H,W) of the step, the squeeze network shared by all steps
    U[t]    = g_s(U_CA[t]) · U_CA[t]  mean and maximum over C of the step, 7x7 convolution
    fire and reset from U[t]

So the factors C and S scale the carried potential too, and TA alone needs the whole clip.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dvspipe.snn.attention.channel import ChannelScore
from dvspipe.snn.attention.factors import FactorAttention
from dvspipe.snn.attention.gate import gate
from dvspipe.snn.attention.planes import step_statistics
from dvspipe.snn.attention.slot import Memory
from dvspipe.snn.attention.spatial import SpatialScore
from dvspipe.snn.attention.squeeze import Squeeze
from dvspipe.snn.attention.temporal import TemporalScore

KERNEL = 7


class PaperAttention(FactorAttention):
    """`factors` is a part of "TCS". A ReLU, if wanted, follows the last factor: on the membrane where C or S act,
    else on the current.
    """

    placement = "paper"

    def __init__(
        self, factors: str, steps: int, channels: int, c_ratio: int, t_ratio: int, gate_gain: float, relu: bool = False
    ) -> None:
        super().__init__(steps, gate_gain, relu)
        self.time = TemporalScore(steps, t_ratio) if "T" in factors else None
        self.channel = ChannelScore(channels, c_ratio) if "C" in factors else None
        self.space = SpatialScore(KERNEL) if "S" in factors else None

    @property
    def live(self) -> bool:
        """Without TA no step depends on a later one."""
        return self.time is None

    @property
    def on_membrane(self) -> bool:
        """CA and SA act there."""
        return self.channel is not None or self.space is not None

    @property
    def kept(self) -> int:
        """The potential before each of C and S, or the current before T alone."""
        return (self.channel is not None) + (self.space is not None) if self.on_membrane else super().kept

    @property
    def gates_per_clip(self) -> tuple[int, int]:
        """T once, C and S at every step."""
        return 1, self.steps

    def weigh(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Current [T,B,...] -> X_TA, same shape, dtype and memory format. Raises `ShapeError` for another T."""
        if self.time is not None:
            score, memory = self._time_score(self.time, *step_statistics(x), memory)
            factor = gate(score, self.gain).to(x.dtype)
            x = x * factor.view(factor.shape + (1,) * (x.ndim - 2))
        return (x.relu() if self.relu and not self.on_membrane else x), memory

    def _time_score(self, time: Squeeze, mean: Tensor, maximum: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        return time(mean, maximum), memory

    def membrane(self, z: Tensor) -> Tensor:
        """Z [B,C,H,W] of one step -> U, same shape, dtype and memory format, whatever the weights' precision."""
        if self.channel is not None:
            own = self.channel.w0.weight.dtype
            # The pooling call, as in `planes`: fast in channels_last, and the first among equals gets the gradient.
            mean, maximum = z.mean((2, 3)), F.adaptive_max_pool2d(z, 1)[:, :, 0, 0]
            z = z * gate(self.channel(mean.to(own), maximum.to(own)), self.gain).to(z.dtype)[:, :, None, None]
        if self.space is not None:
            own = next(self.space.parameters()).dtype
            score = self.space(z.mean(1).to(own), z.max(1).values.to(own))
            z = z * gate(score, self.gain).to(z.dtype)[:, None]
        return z.relu() if self.relu else z
