"""Channel attention (CA): one weight per channel."""

from __future__ import annotations

from dvspipe.snn.attention.squeeze import Squeeze


class ChannelScore(Squeeze):
    """CA of MA-SNN §3.3: mean and maximum [...,C] of each channel -> score [...,C]; 2·C·(C // c_ratio) parameters."""

    def __init__(self, channels: int, c_ratio: int) -> None:
        super().__init__("C", channels, "c_ratio", c_ratio)
