"""snnTorch's Leaky in the loop over steps that its documentation teaches; its reset never passes a gradient on."""

from __future__ import annotations

from typing import Any

import torch
from snntorch import Leaky
from snntorch.surrogate import custom_surrogate
from torch import Tensor

from dvspipe.bench.peers.neurons import Neurons, Peer
from dvspipe.snn.neurons import Neuron
from dvspipe.snn.surrogates import SURROGATES


class SnnTorchNeurons(Neurons):
    """`Leaky(beta, reset_mechanism="zero")`. Its membrane takes the current's dtype, so half precision is widened."""

    mem: Any

    def __init__(self, neuron: Neuron) -> None:
        super().__init__()
        slope, scale = SURROGATES[neuron.surrogate], neuron.surrogate_scale

        def differentiated(u: Tensor, grad: Tensor, spikes: Tensor) -> Tensor:
            return grad * slope(u, scale)

        fire = custom_surrogate(differentiated)
        self.leaky = Leaky(beta=neuron.keep, threshold=neuron.v_th, spike_grad=fire, reset_mechanism="zero")
        self.reset()

    def forward(self, x: Tensor) -> Tensor:
        """A step after the other, over unbound steps: an index would cost a full [T,...] of zeros backward."""
        self.reset()
        return torch.stack([self.step(current) for current in x.unbind(0)])

    def step(self, x: Tensor) -> Tensor:
        """`spk, mem = leaky(x, mem)`."""
        wide = x.float()
        mem = torch.zeros_like(wide) if self.mem is None else self.mem
        spikes, self.mem = self.leaky(wide, mem)
        return spikes.to(x.dtype)

    def reset(self) -> None:
        """Back to rest."""
        self.mem = None
        self.leaky.mem = torch.zeros(0)


PEERS = {"snnTorch": Peer(SnnTorchNeurons, detaches=True, note="reset detached: less work backward")}
