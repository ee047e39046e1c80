"""What fills the attention slot of a layer, whatever the placement: the interface that `layers.Spiking` works with.

A layer's current of a whole call goes through `weigh` before the neurons see it; where `on_membrane`, the membrane
potential of every step goes through `membrane` between integration and threshold. Knows no placement's formula.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from dvspipe.snn.attention.gate import check_gain
from dvspipe.snn.attention.squeeze import Squeeze

Memory = tuple[Tensor, ...]


class Attention(nn.Module):
    """The factors `time`, `channel` and `space`, each None where the variant lacks it; a placement says where they act.

    `gain` multiplies each gate; `relu` ends the re-weighting (the released code has it, the paper's equations do not).
    `steps` is T of a clip.
    """

    placement: ClassVar[str]
    time: Squeeze | None
    channel: Squeeze | None
    space: nn.Module | None

    def __init__(self, steps: int, gate_gain: int, relu: bool) -> None:
        super().__init__()
        self.steps, self.gain, self.relu = steps, check_gain(gate_gain), relu

    @property
    def live(self) -> bool:
        """Whether one step can be computed without the steps after it."""
        raise NotImplementedError

    @property
    def on_membrane(self) -> bool:
        """Whether the membrane is re-weighted at every step."""
        return False

    @property
    def gates_per_clip(self) -> tuple[int, int]:
        """How often in a clip of `steps` the factor T is made, and each of C and S."""
        return 1, 1

    def weigh(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Current [T,B,...] and what the call before remembered (empty at the start) -> (current, memory)."""
        raise NotImplementedError

    def membrane(self, z: Tensor) -> Tensor:
        """Integrated potential [B,C,H,W] of one step -> the potential that meets the threshold."""
        raise NotImplementedError
