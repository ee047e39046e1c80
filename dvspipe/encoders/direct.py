"""Direct coding: the image itself at every step, so that the network's first neurons make the spikes."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from dvspipe.encoders.encoder import Encoder


class Direct(Encoder):
    """Constant current (e.g. Rueckauer et al. 2017): nothing is lost, and no step tells more than the first did.

    The T steps are one image in memory (stride 0 along T), so a network may compute its first layer once. Normalised
    images are welcome.
    """

    name = "direct"
    unit: ClassVar[bool] = False
    repeats: ClassVar[bool] = True

    def __init__(self, steps: int) -> None:
        super().__init__(steps)

    @property
    def analog(self) -> tuple[bool, ...]:
        """Every step holds real numbers."""
        return (True,) * self.steps

    @property
    def bound(self) -> float | None:
        """Exact."""
        return 0.0

    def _encode(self, image: Tensor) -> Tensor:
        return image.expand(self.steps, *image.shape)

    def _decode(self, code: Tensor) -> Tensor:
        return code[0]
