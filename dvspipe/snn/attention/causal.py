"""Placement `causal`: as `paper`, with a temporal attention that looks only back. Every such network runs live.

The gate of step t comes from the mean and the maximum of the current at the last `attention_bins` steps, t itself
included; before the start of a recording they are zero. So T is no part of the parameters, and what the gate remembers
is carried in the state.
"""

from __future__ import annotations

from torch import Tensor

from dvspipe.snn.attention.paper import PaperAttention
from dvspipe.snn.attention.slot import Memory
from dvspipe.snn.attention.squeeze import Squeeze
from dvspipe.snn.attention.temporal import RecentScore


class CausalAttention(PaperAttention):
    """`PaperAttention` with TA over the last `attention_bins` steps; `steps` only says how long a counted clip is."""

    placement = "causal"

    def __init__(
        self,
        factors: str,
        steps: int,
        channels: int,
        c_ratio: int,
        t_ratio: int,
        gate_gain: float,
        relu: bool = False,
        attention_bins: int = 8,
    ) -> None:
        super().__init__(factors.replace("T", ""), steps, channels, c_ratio, t_ratio, gate_gain, relu)
        self.time = RecentScore(attention_bins, t_ratio) if "T" in factors else None

    @property
    def live(self) -> bool:
        """Nothing looks ahead."""
        return True

    @property
    def gates_per_clip(self) -> tuple[int, int]:
        """All at every step."""
        return self.steps, self.steps

    def _time_score(self, time: Squeeze, mean: Tensor, maximum: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        return time(mean, maximum, memory)
