"""Norse's LIF box: its time layer as shipped, which reads x[t], and the same steps over unbound x."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from torch import Tensor

with warnings.catch_warnings():  # Norse 1.1 still scripts some of its functions, which torch calls deprecated
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step
    from norse.torch.module.snn import SNN

from dvspipe.bench.peers.neurons import Neurons, Peer
from dvspipe.snn.neurons import Neuron, norse_step


class NorseNeurons(Neurons):
    """Norse's own step with its own triangle; other surrogates, which it has not, enter its step by our `norse_step`.

    Norse scales the current by the leak, so the current is divided by it first, once for all steps.
    """

    state: Any

    def __init__(self, neuron: Neuron, unbound: bool) -> None:
        super().__init__()
        self.unbound = unbound
        own = neuron.surrogate == "triangle" and neuron.surrogate_scale == 1.0
        parameters = LIFBoxParameters(
            tau_mem_inv=torch.as_tensor(1.0 - neuron.keep),
            v_th=torch.as_tensor(neuron.v_th),
            method="triangle",
            alpha=1.0,
        )
        self.activation = lif_box_feed_forward_step if own else _with_surrogate_of(neuron)
        self.gain = 1.0 / (1.0 - neuron.keep) if own else 1.0
        self.layer = SNN(self.activation, self._rest, parameters, dt=1.0)
        self.reset()

    def _rest(self, x: Tensor) -> LIFBoxFeedForwardState:
        return LIFBoxFeedForwardState(v=torch.zeros(x.shape[1:], device=x.device))

    def forward(self, x: Tensor) -> Tensor:
        """The time layer, or its loop with `unbind(0)` in the place of x[t]."""
        scaled = self._scaled(x)
        if not self.unbound:
            spikes: Tensor = self.layer(scaled)[0]
            return spikes.to(x.dtype)
        state, fired = self._rest(x), []
        for current in scaled.unbind(0):
            spikes, state = self.activation(current, state, self.layer.p, 1.0)
            fired.append(spikes)
        return torch.stack(fired).to(x.dtype)

    def step(self, x: Tensor) -> Tensor:
        """Norse's functional step."""
        state = self._rest(x[None]) if self.state is None else self.state
        spikes, self.state = self.activation(self._scaled(x), state, self.layer.p, 1.0)
        return spikes.to(x.dtype)

    def _scaled(self, x: Tensor) -> Tensor:
        """Its membrane is float32 whatever the current is, so the current is widened before it is scaled."""
        return x.float() * self.gain if self.gain != 1.0 else x.float()

    def reset(self) -> None:
        """Back to rest."""
        self.state = None


def _with_surrogate_of(neuron: Neuron) -> Any:
    def activation(x: Tensor, state: Any, p: Any, dt: float) -> Any:
        spikes, v = norse_step(x, state.v, neuron)
        return spikes, LIFBoxFeedForwardState(v)

    return activation


PEERS = {
    "Norse": Peer(partial(NorseNeurons, unbound=False), note="as shipped, reads x[t]"),
    "Norse unbind": Peer(partial(NorseNeurons, unbound=True)),
}
