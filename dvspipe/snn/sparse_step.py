"""One step of one sample through a network of spiking convolutions, in compiled pieces that skip what is 0: how a network
runs live on a CPU.

A `SparseStep` is a photograph of a trained network's weights, norms and pools folded in (`folding`), with all its buffers:
nothing of a map's size is made anew at a step. What the neurons carry is not in it: state goes in and comes out. Networks
and settings that it does not know step as they always did, and a line in the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dvspipe.errors import ShapeError
from dvspipe.snn.folding import foldable, folded
from dvspipe.snn.kernels.sparse import Rows, Size, SparseConv, SparseLinear, WindowMaximum
from dvspipe.snn.layers.over_time import POOLED, Probe, under
from dvspipe.snn.layers.spiking import ConvLayer, FullLayer, LayerState, Vote
from dvspipe.snn.networks.network import Network, NetworkState
from dvspipe.snn.sparse_neurons import Carried, SparseNeurons, known

logger = logging.getLogger(__name__)


class Own(tuple[LayerState, ...]):
    """A network's state that its `owner` writes to; `layers` are the same as rows."""

    owner: SparseStep
    layers: list[Carried]

    def __new__(cls, owner: SparseStep, layers: list[Carried]) -> Own:
        made = super().__new__(cls, [each.state for each in layers])
        made.owner, made.layers = owner, layers
        return made


class SparseLayer:
    """One layer: `shape` (C,H,W) of its input, `out_shape` of what it gives; features are (F,1,1)."""

    def __init__(
        self, layer: ConvLayer | FullLayer, original: ConvLayer | FullLayer, shape: tuple[int, int, int]
    ) -> None:
        size: Size = (shape[1], shape[2])
        self.weights: SparseConv | SparseLinear
        self.leave: WindowMaximum | None = None
        self.votes = layer.leave.count if isinstance(layer.leave, Vote) else 1
        if isinstance(layer, ConvLayer):
            self.weights, channels = SparseConv(layer.conv, size), layer.conv.out_channels
            self.neurons = SparseNeurons(original.spiking, channels, self.weights.out_size)
            if isinstance(layer.leave, nn.MaxPool2d):
                self.leave = WindowMaximum(int(layer.leave.kernel_size), channels, self.weights.out_size)
            self.out_shape = (channels, *layer.out_size)
        else:
            self.weights = SparseLinear(layer.linear, size)
            self.neurons = SparseNeurons(original.spiking, layer.linear.out_features, None)
            self.out_shape = (layer.linear.out_features // self.votes, 1, 1)

    def step(self, maps: Rows, carried: Carried, probe: Probe | None) -> Rows:
        """Maps [P,C] -> what leaves [P',C'], to be read before the next call; `carried` goes on in place."""
        spikes = self.neurons.step(self.weights(maps), carried)
        if probe is not None:
            probe("", self.neurons.as_tensor(spikes.copy()))
        if self.leave is not None:
            spikes = self.leave(spikes)
            if probe is not None:
                left = torch.from_numpy(spikes.copy()).view(1, *self.leave.out_size, -1)
                probe(POOLED, left.permute(0, 3, 1, 2))
        elif self.votes > 1:
            spikes = spikes.reshape(1, -1, self.votes).mean(2, dtype=np.float32)
        return spikes


class SparseStep:
    """Steps `network` as `network.step` does, one sample at a time and without gradients; whole clips go through the network.

    Weights are those of the moment when this was made, as evaluation mode has them. Buffers are its own: one thread at a
    time, but any number of sessions, each with its state. For networks that `covers`.
    """

    live = True

    def __init__(self, network: Network) -> None:
        self.network, self.layers = network, network.layers
        shape = network.frame_shape
        self._frame: Rows = np.zeros((shape[1] * shape[2], shape[0]), np.float32)
        plain, self._steps = folded(network, pools=True), list[SparseLayer]()
        for layer, original in zip(plain.layers.values(), network.layers.values()):
            self._steps.append(SparseLayer(layer, original, shape))
            shape = self._steps[-1].out_shape
        self._listened = list(_untold(network))
        self._said = False

    def __call__(
        self, frames: Tensor, state: NetworkState | None = None, probe: Probe | None = None
    ) -> tuple[Tensor, NetworkState]:
        """The network itself on a whole clip [T,B,C,H,W]."""
        out, after = self.network(frames, state, probe)
        return out, after

    @torch.no_grad()
    def step(
        self, frame: Tensor, state: NetworkState | None = None, probe: Probe | None = None
    ) -> tuple[Tensor, NetworkState]:
        """One frame [1,C,H,W] of any number type -> (output [1,K], state).

        A `state` that an earlier step returned is used up: it is what comes back, moved on, so copy what is to stay. One from
        elsewhere (`network`, `rested`) is copied first. `probe` and hooks on attention's scores of time and space hear what
        `network.step` would tell them; other hooks, or a batch, take that way. Raises `ShapeError` as it does.
        """
        self.network._check(frame, "B,C,H,W")
        if len(frame) != 1 or any(module._forward_hooks or module._forward_pre_hooks for module in self._listened):
            self._say_once("a batch or hooks" if len(frame) == 1 else f"a batch of {len(frame)}")
            return self.network.step(frame, state, probe)
        own = state if isinstance(state, Own) and state.owner is self else self._adopted(state)
        maps = self._frame
        maps[:] = frame.detach()[0].float().permute(1, 2, 0).reshape(maps.shape).numpy()
        for name, layer, carried in zip(self.layers, self._steps, own.layers):
            maps = layer.step(maps, carried, under(probe, name))
        return torch.from_numpy(maps.copy()), own

    def _adopted(self, state: NetworkState | None) -> Own:
        if state is not None and len(state) != len(self._steps):
            raise ShapeError(
                f"state of {len(state)} layers does not fit this network of {len(self._steps)}: "
                "pass what an earlier call of the same network returned"
            )
        states = state or (None,) * len(self._steps)
        return Own(self, [layer.neurons.adopted(each) for layer, each in zip(self._steps, states)])

    def _say_once(self, why: str) -> None:
        if not self._said:
            logger.warning("%s: steps run through torch, several times slower than the compiled step", why)
            self._said = True


def covers(network: Any) -> bool:
    """Whether `SparseStep` runs this network: spiking convolutions and full layers with neurons, norms and attention that it
    knows, in float32 on the CPU.
    """
    layers = list(network.layers.values()) if isinstance(network, Network) else []
    return bool(layers) and network.live and all(map(_covered, layers))


def _covered(layer: nn.Module) -> bool:
    plain = all(each.dtype == torch.float32 and each.device.type == "cpu" for each in layer.parameters())
    if not plain or type(layer) not in (ConvLayer, FullLayer):
        return False
    assert isinstance(layer, ConvLayer | FullLayer)
    return (isinstance(layer.norm, nn.Identity) or foldable(layer.norm)) and known(layer.spiking)


def quickest_step(network: Any) -> Any:
    """A `SparseStep` of this network, or the network itself where none `covers` it."""
    if covers(network):
        return SparseStep(network)
    if getattr(network, "live", False):
        logger.info("no compiled step for this network: single steps run through torch")
    return network


def _untold(network: Network) -> Iterator[nn.Module]:
    """The modules that a `SparseStep` does not call and whose hooks it cannot tell."""
    told = {f"{name}.spiking.attention.{factor}" for name in network.layers for factor in ("time", "space")}
    for path, module in network.named_modules():
        if path.removeprefix("layers.") not in told:
            yield module
