"""A network without attention as a NIR graph (Neuromorphic Intermediate Representation, Pedersen et al. 2024).

    tau dv/dt = (v_leak - v) + R I,  a spike where v > v_threshold, then v = v_reset          NIR's LIF
    v += dt/tau · (v_leak - v + R I)                                                          its Euler step
    u = keep · v + gain · x + bias                                                            ours

so tau = dt / (1 - keep), R = gain / (1 - keep), v_leak = bias / (1 - keep): any dt gives the same step as long as a reader
steps by that very dt, which the metadata say. Neurons that fire at v >= v_th get a threshold one float32 below v_th, which
is the same for float32 potentials. Batch norm is folded into the weights; a maximum of spikes is a sum above 1/2.

`merge` leaves fewer kinds of nodes to readers that lack some (Norse 1.1 has no mean pool and leaves R out): mean pools
become part of the convolution before them, and R of the weights, so that R = 1.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from dvspipe.errors import UsageError
from dvspipe.export.constants import constants_of
from dvspipe.snn.folding import folded
from dvspipe.snn.layers.entry import FirstNeurons
from dvspipe.snn.layers.logits import Logits
from dvspipe.snn.layers.residual import NeuronLayer
from dvspipe.snn.layers.spiking import ConvLayer, FullLayer, SpikingLayer, Vote
from dvspipe.snn.layers.stem import Stem
from dvspipe.snn.lif import LIF
from dvspipe.snn.networks.network import Network

INPUT, OUTPUT = "input", "output"
WRITTEN = (ConvLayer, FullLayer, Stem, FirstNeurons, NeuronLayer, Logits)


def write_nir(path: Path, network: Network, facts: dict[str, str], dt_s: float, merge: bool = False) -> None:
    """Writes `path`; `facts` go into the graph's metadata, beside what a reader must know of time.

    Raises UsageError for what NIR cannot say, with the layer's name.
    """
    import nir

    _check(network)
    chain = Chain(network.frame_shape, dt_s, merge)
    for name, layer in folded(network, pools=merge).layers.items():
        _append(chain, name, layer)
    nodes = chain.nodes | {OUTPUT: nir.Output(np.array(chain.shape))}
    told = {
        "dt_s": dt_s,
        "initial_v": 0.0,
        "euler_step": "v += dt_s/tau * (v_leak - v + r*I); spike where v > v_threshold; then v = v_reset",
    }
    graph = nir.NIRGraph(nodes, list(zip(nodes, list(nodes)[1:])), metadata=facts | told)
    nir.write(str(path), graph)


def _check(network: Network) -> None:
    """Raises UsageError for a network that NIR cannot hold."""
    if any(getattr(module, "stepwise", False) for module in network.modules()):
        raise UsageError(
            "norms 'tebn' and 'per-step' change from step to step, which NIR cannot say: train with snn.norm = 'bn' or "
            "'tdbn', or export safetensors"
        )
    for name, layer in network.layers.items():
        held = layer.spiking if isinstance(layer, SpikingLayer) else layer
        attention = getattr(held, "attention", None)
        if attention is not None:
            raise UsageError(
                f"layer '{name}' has attention ({type(attention).__name__}, placement '{attention.placement}'), for "
                "which NIR has no node: train with snn.attention = 'none', or export onnx (networks that run live) or "
                "safetensors"
            )
        if not isinstance(layer, WRITTEN):
            raise UsageError(
                f"layer '{name}' ({type(layer).__name__}) has no form in NIR here; three-conv, five-conv and lenet have: "
                "export onnx or safetensors"
            )
        for module in layer.modules():
            if isinstance(module, LIF):
                _check_neurons(name, module)


def _check_neurons(name: str, lif: LIF) -> None:
    if lif.neuron.reset == "subtract":  # DSR's neurons, too
        raise UsageError(
            f"layer '{name}': reset = 'subtract' keeps what is above the threshold, NIR's LIF has but one v_reset: train "
            "with snn.reset = 'zero' or 'clamp_threshold', or export onnx"
        )
    if not lif.live:
        raise UsageError(
            f"layer '{name}': adapt = 'steps' has another leak at every step, NIR's LIF one tau: train with snn.adapt = "
            "'shared', or export safetensors"
        )
    keep = constants_of(lif).keep
    if not 0.0 <= keep < 1.0:
        raise UsageError(
            f"layer '{name}' learned keep = {keep:.4g}, which is no leak and has no tau: train with snn.constrain = 'sigmoid'"
        )


def _append(chain: Chain, name: str, layer: Any) -> None:
    """The nodes of a layer whose norm is folded: weights, mean of currents, neurons, what becomes of their spikes."""
    for conv in layer.weights if isinstance(layer, Stem) else [getattr(layer, "conv", None)]:
        if isinstance(conv, nn.Conv2d):
            chain.conv(name, conv)
    if isinstance(layer, Logits) and len(chain.shape) > 1:
        chain.pool(f"{name}_mean", chain.shape[1:])
    if isinstance(layer, FullLayer | Logits):
        chain.full(name, layer.linear)
    if isinstance(pool := getattr(layer, "pool", None), nn.AvgPool2d):
        chain.pool(f"{name}_pool", (pool.kernel_size,) * 2)
    lif = layer.spiking.lif if isinstance(layer, SpikingLayer) else getattr(layer, "lif", None)
    if lif is not None:
        chain.neurons(f"{name}_lif", lif)
    leave = getattr(layer, "leave", None)
    if isinstance(leave, nn.MaxPool2d):
        chain.any_spike(f"{name}_max", (leave.kernel_size,) * 2)
    elif isinstance(leave, Vote):
        chain.votes(f"{name}_votes", leave.count)


class Chain:
    """NIR nodes in a row; `shape` (C,H,W) or (F,) is what the last one gives. With `merge`, weights take on the R of the
    neurons that they drive.
    """

    def __init__(self, shape: tuple[int, ...], dt_s: float, merge: bool) -> None:
        import nir

        self.nir, self.shape, self.dt_s, self.merge = nir, tuple(shape), dt_s, merge
        self.driving: Any = None  # the weights whose result, or its mean, comes next
        self.nodes: dict[str, Any] = {INPUT: nir.Input(np.array(shape))}

    def conv(self, name: str, conv: nn.Conv2d) -> None:
        """A convolution with its bias."""
        padding, stride, dilation = (tuple(map(int, each)) for each in (conv.padding, conv.stride, conv.dilation))
        weight, bias = _values(conv.weight), _bias(conv)
        node = self.nir.Conv2d(self.shape[1:], weight, stride, padding, dilation, conv.groups, bias)
        name = name if name not in self.nodes else f"{name}_{len(self.nodes)}"
        self.nodes[name] = self.driving = node
        self.shape = tuple(int(size) for size in node.output_type["output"])

    def pool(self, name: str, window: tuple[int, ...], kind: str = "AvgPool2d") -> None:
        """The mean (or with "SumPool2d" the sum) of windows that do not overlap."""
        size = np.array(window)
        self.nodes[name] = getattr(self.nir, kind)(size, size, np.array((0, 0)))
        self.shape = (self.shape[0], self.shape[1] // window[0], self.shape[2] // window[1])

    def any_spike(self, name: str, window: tuple[int, ...]) -> None:
        """The maximum of spikes, of which NIR has none: their sum, above 1/2."""
        self.pool(f"{name}_sum", window, "SumPool2d")
        self.nodes[name] = self.nir.Threshold(np.full(self.shape, 0.5, np.float32))

    def full(self, name: str, linear: nn.Linear) -> None:
        """Everything in one row, then a linear map with its bias."""
        if len(self.shape) > 1:
            # Counted from the end, the axes are right with and without a batch before them: readers differ in that.
            self.nodes[f"{name}_flatten"] = self.nir.Flatten({"input": np.array(self.shape)}, -len(self.shape), -1)
        self.nodes[name] = self.driving = self.nir.Affine(_values(linear.weight), _bias(linear))
        self.shape = (linear.out_features,)

    def neurons(self, name: str, lif: LIF) -> None:
        """LIF neurons, every one with its constants."""
        own = constants_of(lif)
        leak, v_th = 1.0 - own.keep, np.float32(own.fires_at)
        resistance = own.gain / leak
        if self.merge and self.driving is not None:
            self.driving.weight = np.float32(self.driving.weight * np.float64(resistance))
            self.driving.bias, resistance = np.float32(self.driving.bias * np.float64(resistance)), 1.0
        constants = {
            "tau": self.dt_s / leak,
            "r": resistance,
            "v_leak": own.bias / leak,
            "v_threshold": v_th if own.strict else np.nextafter(v_th, np.float32(-np.inf)),
            "v_reset": own.v_reset,
        }
        self.nodes[name] = self.nir.LIF(
            **{key: np.full(self.shape, each, np.float32) for key, each in constants.items()}
        )
        self.driving = None

    def votes(self, name: str, count: int) -> None:
        """The mean of every `count` neighbours, as a linear map."""
        classes = prod(self.shape) // count
        weight = np.kron(np.eye(classes, dtype=np.float32), np.full((1, count), 1.0 / count, np.float32))
        self.nodes[name], self.shape = self.nir.Linear(weight), (classes,)


def _values(tensor: Tensor) -> np.ndarray:
    values: np.ndarray = tensor.detach().cpu().float().contiguous().numpy()
    return values


def _bias(weights: nn.Conv2d | nn.Linear) -> np.ndarray:
    return np.zeros(len(weights.weight), np.float32) if weights.bias is None else _values(weights.bias)
