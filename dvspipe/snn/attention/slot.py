"""What fills the attention slot of a layer, whatever its kind: the interface that `layers.Spiking` works with.

A layer's current of a whole call goes through `weigh` before the neurons see it; where `on_membrane`, the membrane
potential of every step goes through `membrane` between integration and threshold. Knows no kind's formula; each kind
says itself what it costs, and `counting.py` only asks.
"""

from __future__ import annotations

from torch import Tensor, nn

from dvspipe.errors import UsageError
from dvspipe.snn.attention.gate import check_gain

Memory = tuple[Tensor, ...]


class Attention(nn.Module):
    """`gain` multiplies each gate; `relu` ends the re-weighting (the released code of MA-SNN has it, the paper's
    equations do not). `steps` is T of a clip, `placement` the word by which a recipe says where attention acts.
    """

    placement: str

    def __init__(self, steps: int, gate_gain: float, relu: bool) -> None:
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
    def factors(self) -> int:
        """How many factor tensors are multiplied onto every element of every step."""
        raise NotImplementedError

    @property
    def kept(self) -> int:
        """Tensors of the neurons' size that re-weighting a step keeps for the way back."""
        return min(self.factors, 1)

    def gate_macs(self, size: tuple[int, int]) -> int:
        """Multiply-accumulates that make the factors of a clip of `steps`, for planes of `size` (H,W). Pooling is
        additions and comparisons, not counted.
        """
        raise NotImplementedError

    def last_weights(self) -> list[Tensor]:
        """The weights that every score is a multiple of; none where a score has no weights."""
        return []

    def start_neutral(self) -> None:
        """Every score starts at 0, so every gate at gain / 2, whatever it sees: what is learnt is a departure from it.

        Raises `UsageError` where there is nothing to learn.
        """
        weights = self.last_weights()
        if not weights:
            raise UsageError("gate_start = 'neutral': this attention has no weights to start with; use 'random'")
        for weight in weights:
            nn.init.zeros_(weight)

    def weigh(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Current [T,B,...] and what the call before remembered (empty at the start) -> (current, memory)."""
        raise NotImplementedError

    def membrane(self, z: Tensor) -> Tensor:
        """Integrated potential [B,C,H,W] of one step -> the potential that meets the threshold."""
        raise NotImplementedError
