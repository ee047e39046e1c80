"""The factors T, C and S of MA-SNN in one attention, and what they cost. Where and when they act is the placement's
business.
"""

from __future__ import annotations

from torch import Tensor, nn

from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.attention.spatial import SpatialScore
from dvspipe.snn.attention.squeeze import Squeeze


class FactorAttention(Attention):
    """The factors `time`, `channel` and `space`, each None where the variant lacks it."""

    time: Squeeze | None
    channel: Squeeze | None
    space: SpatialScore | None

    def last_weights(self) -> list[Tensor]:
        """W1 of TA's and CA's squeeze networks, SA's convolution; the bare ReLU has none."""
        squeezes = [part.w1.weight for part in (self.time, self.channel) if part is not None]
        return squeezes if self.space is None else [*squeezes, self.space.conv.weight]

    @property
    def gates_per_clip(self) -> tuple[int, int]:
        """How often in a clip of `steps` the factor T is made, and each of C and S."""
        return 1, 1

    @property
    def factors(self) -> int:
        """One each for T, C and S."""
        return sum(part is not None for part in (self.time, self.channel, self.space))

    def gate_macs(self, size: tuple[int, int]) -> int:
        """Two passes (mean, maximum) through TA's and CA's squeeze network and one through SA's convolution, each
        time that a factor is made.
        """
        times, planes = self.gates_per_clip
        per_plane = 2 * _weights(self.channel) + _weights(self.space) * size[0] * size[1]
        return 2 * times * _weights(self.time) + planes * per_plane


def _weights(part: nn.Module | None) -> int:
    return 0 if part is None else sum(weight.numel() for weight in part.parameters())
