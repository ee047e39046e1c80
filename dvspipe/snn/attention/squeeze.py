"""The squeeze network that temporal and channel attention share: mean and maximum of each slice in, one score per
slice out.

    score = W1·relu(W0·mean) + W1·relu(W0·max)         MA-SNN (TPAMI 2023) §3.3, no biases

Knows neither which axis it scores nor over what the mean and the maximum were taken: that is the placement's choice.
"""

from __future__ import annotations

from torch import Tensor, nn

from dvspipe.errors import UsageError


class Squeeze(nn.Module):
    """Scores for an axis of `size` slices through `size // ratio` hidden units, the axis last: [...,size] ->
    [...,outputs], one per slice unless said otherwise.
    """

    def __init__(self, axis: str, size: int, ratio_name: str, ratio: int, outputs: int | None = None) -> None:
        super().__init__()
        if not 1 <= ratio <= size:
            raise UsageError(
                f"attention over {axis} = {size} cannot be reduced by the ratio {ratio}: "
                f"choose {ratio_name} from 1 to {size}"
            )
        self.w0 = nn.Linear(size, size // ratio, bias=False)
        self.w1 = nn.Linear(size // ratio, size if outputs is None else outputs, bias=False)

    def forward(self, mean: Tensor, maximum: Tensor) -> Tensor:
        """The sum is taken before W1, which is the same and one product less."""
        score: Tensor = self.w1(self.w0(mean).relu() + self.w0(maximum).relu())
        return score
