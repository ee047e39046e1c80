"""SpikingJelly's LIFNode (2.0: step_mode 'm' chooses its own kernel, torch on a CPU, CUDA or Triton on a GPU) and its
MultiDimensionalAttention, which is MA-SNN's.
"""

from __future__ import annotations

from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, surrogate
from spikingjelly.activation_based.neuron import LIFNode
from torch import Tensor, nn

from dvspipe.bench.peers.neurons import Neurons, Peer
from dvspipe.errors import UsageError
from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.neurons import Neuron


class SpikingJellyNeurons(Neurons):
    """`LIFNode(tau, decay_input=False)`; reset before every sequence, as its documentation asks."""

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        settings = {"tau": 1.0 / (1.0 - neuron.keep), "decay_input": False, "v_threshold": neuron.v_th, "v_reset": 0.0}
        settings |= {"surrogate_function": _surrogate(neuron), "detach_reset": neuron.detach_reset}
        self.sequence, self.single = LIFNode(step_mode="m", **settings), LIFNode(step_mode="s", **settings)

    def forward(self, x: Tensor) -> Tensor:
        """step_mode 'm'."""
        functional.reset_net(self.sequence)
        spikes: Tensor = self.sequence(x)
        return spikes.to(x.dtype)

    def step(self, x: Tensor) -> Tensor:
        """step_mode 's'."""
        spikes: Tensor = self.single(x)
        return spikes

    def reset(self) -> None:
        """Back to rest."""
        functional.reset_net(self.single)


def _surrogate(neuron: Neuron) -> Any:
    """Its parameter alpha is a slope: one over the half width, or half of it."""
    if neuron.surrogate == "triangle":
        return surrogate.PiecewiseQuadratic(alpha=1.0 / neuron.surrogate_scale)
    if neuron.surrogate == "rectangle":
        return surrogate.Rect(alpha=0.5 / neuron.surrogate_scale)
    raise UsageError(f"surrogate '{neuron.surrogate}' in a bench: allowed are triangle and rectangle")


def attention_like(ours: Attention) -> nn.Module:
    """Its own attention with the weights of `ours`, a `released` TCSA of a convolution or TA of a full layer."""
    own: Any = ours
    steps, t_ratio = own.steps, own.steps // own.time.w0.weight.shape[0]
    if own.channel is None:
        made = layer.TemporalWiseAttention(steps, t_ratio, dimension=2)
        _copy((made.sharedMLP[0], made.sharedMLP[2]), own.time)
        return nn.Sequential(made, nn.ReLU())
    channels = own.channel.w0.weight.shape[1]
    c_ratio = channels // own.channel.w0.weight.shape[0]
    kernel = own.space.conv.kernel_size[0]
    made = layer.MultiDimensionalAttention(steps, channels, t_ratio, c_ratio, kernel)
    _copy((made.ta.sharedMLP[0], made.ta.sharedMLP[2]), own.time)
    _copy((made.ca.sharedMLP[0], made.ca.sharedMLP[2]), own.channel)
    made.sa.conv.weight.data.copy_(own.space.conv.weight.data)
    return made


def _copy(theirs: tuple[Any, Any], ours: Any) -> None:
    for module, weight in zip(theirs, (ours.w0.weight, ours.w1.weight)):
        module.weight.data.copy_(weight.data.view_as(module.weight))


def _chosen() -> str:
    """Which of its kernels it chooses on a GPU; on a CPU there is one."""
    if not torch.cuda.is_available():
        return ""
    return f"its {functional.neuron_implementation('lif', torch.device('cuda'))['implementation']} kernel"


PEERS = {"SpikingJelly": Peer(SpikingJellyNeurons, note=_chosen())}
