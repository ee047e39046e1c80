"""The control that could explain attention away: every gate stands still at its neutral value, and the ReLU follows.

Learns nothing and looks at nothing. What a network saves or wins with it is due to smaller currents and the ReLU alone.
"""

from __future__ import annotations

from torch import Tensor

from dvspipe.snn.attention.slot import Attention, Memory


class ConstantAttention(Attention):
    """The current times gain/2 for every factor of "TCS" that a layer would have, so 1/8 in a convolution at gain 1.

    The factor is one number and would be folded into the batch norm before it, so it costs no operation.
    """

    placement = "released"

    def __init__(self, factors: str, steps: int, gate_gain: float, relu: bool) -> None:
        super().__init__(steps, gate_gain, relu)
        self.factor = (gate_gain / 2) ** len(factors)

    @property
    def live(self) -> bool:
        """It looks at nothing."""
        return True

    @property
    def factors(self) -> int:
        """None that would have to be multiplied on."""
        return 0

    def gate_macs(self, size: tuple[int, int]) -> int:
        """Nothing is made."""
        return 0

    def weigh(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Current [T,B,...] -> the same, smaller; there is nothing to remember."""
        x = x * self.factor
        return (x.relu() if self.relu else x), memory
