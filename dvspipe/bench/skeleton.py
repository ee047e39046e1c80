"""The event networks in plain torch, as a user of any library writes them: one module for conv, batch norm, pool and full
connection, weights copied from a network of ours; only neurons and attention are exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from dvspipe.bench.peers.neurons import Neurons
from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.networks import Network

Attend = Callable[[Attention], nn.Module]


class Silent(Neurons):
    """No neurons at all: what is left is the floor, the weights' own work."""

    def forward(self, x: Tensor) -> Tensor:
        """The current as it is."""
        return x

    step = forward

    def reset(self) -> None:
        """There is nothing."""


class Stage(nn.Module):
    """Weights on the flattened [T·B] axis, then attention, then neurons."""

    def __init__(self, weights: nn.Module, attention: nn.Module | None, neurons: Neurons) -> None:
        super().__init__()
        self.weights, self.attention, self.neurons = weights, attention, neurons

    def forward(self, x: Tensor) -> Tensor:
        """[T,B,...] -> spikes [T,B,...]."""
        current = self.weights(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        spikes: Tensor = self.neurons(current if self.attention is None else self.attention(current))
        return spikes


class Skeleton(nn.Module):
    """`network`'s layers with `make()`'s neurons; `attend` makes a layer's attention of ours into another's (None: left
    out). `folded`: batch norm of the running statistics in the weights, for evaluation.
    """

    def __init__(
        self,
        network: Network,
        make: Callable[[], Neurons],
        attend: Attend | None = None,
        *,
        channels_last: bool = False,
        folded: bool = False,
    ) -> None:
        super().__init__()
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        stages = []
        for layer in network.layers.values():
            ours: Any = layer.spiking.attention
            attention = attend(ours) if attend is not None and ours is not None else None
            stages.append(Stage(weights_of(layer, folded).to(memory_format=self.format), attention, make()))
        self.stages = nn.Sequential(*stages)

    def forward(self, frames: Tensor) -> Tensor:
        """[T,B,C,H,W] -> [T,B,K]."""
        shape = frames.shape[:2]
        out: Tensor = self.stages(frames.flatten(0, 1).contiguous(memory_format=self.format).unflatten(0, shape))
        return out

    def step(self, frame: Tensor) -> Tensor:
        """One bin [B,C,H,W] -> [B,K]; the neurons carry on. Without attention."""
        x = frame.contiguous(memory_format=self.format)
        for stage in self.stages:
            x = stage.neurons.step(stage.weights(x))
        return x

    def reset(self) -> None:
        """All neurons at rest."""
        for stage in self.stages:
            stage.neurons.reset()


def weights_of(layer: Any, folded: bool) -> nn.Module:
    """A copy of a layer's convolution or linear map, batch norm and pooling."""
    if hasattr(layer, "conv"):
        conv, norm, pool = deepcopy(layer.conv), deepcopy(layer.norm), deepcopy(layer.pool)
        if folded:
            return nn.Sequential(fuse_conv_bn_eval(conv.eval(), norm.eval()), pool)
        return nn.Sequential(conv, norm, pool)
    linear, norm = deepcopy(layer.linear), deepcopy(layer.norm)
    if folded:
        return nn.Sequential(nn.Flatten(), fuse_linear_bn_eval(linear.eval(), norm.eval()))
    return nn.Sequential(nn.Flatten(), linear, norm)
