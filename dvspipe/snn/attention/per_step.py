"""Attention that looks at one step alone and makes one factor tensor of it. Knows no formula of a factor.

On the current in placement `released`; on the membrane, between integration and threshold, in `paper` and `causal`,
which are the same for it. So every such network runs live.
"""

from __future__ import annotations

from torch import Tensor

from dvspipe.snn.attention.gate import gate
from dvspipe.snn.attention.slot import Attention, Memory


class StepAttention(Attention):
    """What `_score` makes of a step's planes goes through the gate and is multiplied onto them, for `channels` planes
    each.
    """

    def __init__(self, steps: int, channels: int, gate_gain: float, relu: bool, placement: str) -> None:
        super().__init__(steps, gate_gain, relu)
        self.channels, self.placement = channels, placement

    @property
    def live(self) -> bool:
        """No step depends on another."""
        return True

    @property
    def on_membrane(self) -> bool:
        """Everywhere but in `released`."""
        return self.placement != "released"

    @property
    def factors(self) -> int:
        """The one."""
        return 1

    def weigh(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Current [T,B,C,H,W] -> re-weighted, same shape, dtype and memory format; there is nothing to remember."""
        return (x if self.on_membrane else self(x.flatten(0, 1)).unflatten(0, x.shape[:2])), memory

    def membrane(self, z: Tensor) -> Tensor:
        """Potential [B,C,H,W] of one step -> re-weighted."""
        weighed: Tensor = self(z)
        return weighed

    def forward(self, x: Tensor) -> Tensor:
        """Planes [N,C,H,W] of N independent steps -> re-weighted, same shape, dtype and memory format."""
        x = x * gate(self._score(x), self.gain).to(x.dtype)
        return x.relu() if self.relu else x

    def _score(self, x: Tensor) -> Tensor:
        """[N,C,H,W] -> score that fits onto it."""
        raise NotImplementedError
