"""Rate codes: the share of steps with a spike is the pixel value, by chance (`Poisson`) or by counting (`Integrate`)."""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.encoders.encoder import SpikeCode


class Poisson(SpikeCode):
    """A spike with probability x at every step, independently (SpikingJelly's PoissonEncoder); variance x(1-x)/T.

    The probability is x itself. Norse's encoder multiplies by f_max · dt first, with its defaults 0.1: a network behind
    it sees a tenth of the image. Decoding takes the rate. Draws from torch's global generator of the image's device.
    """

    name = "poisson"

    def __init__(self, steps: int) -> None:
        super().__init__(steps)

    @property
    def bound(self) -> float | None:
        """None: chance sets no bound. The mean square error of the rate is x(1-x)/T."""
        return None

    def _spikes(self, image: Tensor) -> Tensor:
        draw = torch.rand((self.steps, *image.shape), device=image.device, dtype=image.dtype)
        return draw < image  # never at 0, always at 1

    def _decode(self, code: Tensor) -> Tensor:
        return code.mean(0)


class Integrate(SpikeCode):
    """An integrate-and-fire neuron driven by x, threshold 1, soft reset, at rest before: spike t where floor(t x) grows.

    That closed form is the neuron in exact arithmetic: a membrane that adds 0.1 ten times ends beside 1 and would miss its
    spike. Count / T is at most x and less than 1/T below it; decoding takes the middle.
    """

    name = "integrate"

    def __init__(self, steps: int) -> None:
        super().__init__(steps)

    @property
    def bound(self) -> float | None:
        """Half a spike of T."""
        return 0.5 / self.steps

    def _spikes(self, image: Tensor) -> Tensor:
        times = torch.arange(self.steps + 1, device=image.device, dtype=image.dtype).view(-1, 1, 1, 1, 1)
        return (times * image).floor_().diff(dim=0)

    def _decode(self, code: Tensor) -> Tensor:
        return ((code.sum(0) + 0.5) / self.steps).clamp(max=1.0)  # T spikes: exactly 1
