"""An encoder and a network as one: images in, scores out. What trains and evaluates sees no difference to a network."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dvspipe.encoders.encoder import Encoder
from dvspipe.snn.layers.over_time import Probe
from dvspipe.snn.layers.row import Row
from dvspipe.snn.networks.network import Network


class ImageNetwork(nn.Module):
    """Images [B,C,H,W] -> code [T,B,C,H,W] -> (output [T,B,K], state)."""

    live = False  # an image has no next step to wait for

    def __init__(self, encoder: Encoder, network: Network) -> None:
        super().__init__()
        self.encoder, self.network = encoder, network

    @property
    def layers(self) -> Row:
        """The network's, for counting."""
        return self.network.layers

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(C,H,W) of an image."""
        return self.network.frame_shape

    @property
    def spiking_out(self) -> bool:
        """Whether its outputs are spikes rather than scores."""
        return self.network.spiking_out

    @property
    def steps(self) -> int:
        """T of the code."""
        return self.encoder.steps

    def forward(self, images: Tensor, state: Any = None, probe: Probe | None = None) -> tuple[Tensor, Any]:
        """Raises `UsageError` for values that the encoder does not take, `ShapeError` for another size."""
        out: tuple[Tensor, Any] = self.network(self.encoder(images), state, probe)
        return out
