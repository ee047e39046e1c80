"""Looking inside a network while it sees one clip: spikes per pixel and step, and the attention weights it used.

By the probe and by forward hooks on the attention's score modules, so that no network knows it is watched. Knows no
figures; the heat maps are those of MA-SNN's case study (TPAMI 2023: mean of the 0/1 spikes over T and C).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dvspipe.snn.attention.factors import FactorAttention
from dvspipe.snn.attention.gate import gate
from dvspipe.snn.layers.over_time import POOLED
from dvspipe.snn.networks.network import Network

Maps = dict[str, NDArray[np.float32]]
FACTORS = ("time", "channel", "space")
_CLIP = 5  # axes of a convolution's spikes, [T,B,C,H,W]


@dataclass(frozen=True, slots=True)
class Watched:
    """`out` [T,K] of the network and, by layer: `spikes` [H,W] of layers with pixels, `rates` [T] (NSAR of the layer),
    and the gates used, gain · sigmoid(score): `time` [T], `channel` [C] or [T,C], `space` [H,W] or [T,H,W], the
    latter where they are made anew at every step. `neutral` is the gate of a score of 0, None without attention.
    `steps` [T,H,W] are the spikes of every step, mean over channels; `code` what a gate behind the stem did (GAC), likewise:
    its `gate` and the `coded` output.
    """

    out: Tensor
    spikes: Maps = field(default_factory=dict)
    rates: Maps = field(default_factory=dict)
    time: Maps = field(default_factory=dict)
    channel: Maps = field(default_factory=dict)
    space: Maps = field(default_factory=dict)
    neutral: float | None = None
    steps: Maps = field(default_factory=dict)
    code: Maps = field(default_factory=dict)


@torch.no_grad()
def watch(network: Network, frames: Tensor) -> Watched:
    """Runs `frames` [T,1,C,H,W] through the network in evaluation mode; mode and hooks are as before afterwards.

    Attention without separate factors for T, C and S (controls, TCJA, ECA, SimAM) shows no weights. Raises
    `ShapeError` for frames that do not fit.
    """
    spikes: Maps = {}
    rates: Maps = {}
    steps: Maps = {}

    def probe(name: str, fired: Tensor) -> None:
        if name.endswith(POOLED):
            return
        if fired.ndim == _CLIP:
            steps[name] = _numbers(fired.float().mean((1, 2)))
            spikes[name] = steps[name].mean(0)
        rates[name] = _numbers(fired.float().flatten(1).mean(1))

    training = network.training
    with _gates(network) as used, _coding(network) as code:
        try:
            out, _ = network.eval()(frames, probe=probe)
        finally:
            network.train(training)
    gains = [module.gain for module in network.modules() if isinstance(module, FactorAttention) and module.factors]
    neutral = gains[0] / 2 if gains else None
    return Watched(out[:, 0].float().cpu(), spikes, rates, **used, neutral=neutral, steps=steps, code=code)


@contextmanager
def _gates(network: nn.Module) -> Iterator[dict[str, Maps]]:
    """Listens to every score module; the gates of a clip are there when the block ends."""
    used: dict[str, Maps] = {factor: {} for factor in FACTORS}
    hooks = []
    for path, module in network.named_modules():
        for factor in FACTORS if isinstance(module, FactorAttention) else ():
            if (score := getattr(module, factor)) is not None:
                hooks.append(score.register_forward_hook(_listener(used[factor], _layer(path), factor, module.gain)))
    try:
        yield used
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _coding(network: Network) -> Iterator[Maps]:
    """Listens to the layer behind the stem, where it is one that can say its `gate`."""
    heard: Maps = {}

    def listen(module: Any, given: Any, made: Any) -> None:
        gate = module.gate(given[0]).expand_as(made[0])
        heard.update(gate=_numbers(gate.mean((1, 2))), coded=_numbers(made[0].mean((1, 2))))

    gated = [layer for layer in network.layers.values() if callable(getattr(layer, "gate", None))]
    hooks = [layer.register_forward_hook(listen) for layer in gated]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _listener(heard: Maps, layer: str, factor: str, gain: float) -> Any:
    """Joins the scores of one call per clip, or of one per step, to one array; a clip's single one loses its axis."""
    rows: list[NDArray[np.float32]] = []

    def listen(module: nn.Module, given: Any, score: Any) -> None:
        score = score[0] if isinstance(score, tuple) else score  # causal TA gives its memory too
        made = _numbers(gate(score.float(), gain))
        rows.append(made[:, 0] if factor == "time" else made)
        joined = np.concatenate(rows)
        heard[layer] = joined if factor == "time" or len(joined) > 1 else joined[0]

    return listen


def _layer(path: str) -> str:
    """The layer that an attention sits in, as the probe names it: layers.conv1.spiking.attention -> conv1."""
    return ".".join(part for part in path.split(".") if part not in ("layers", "spiking", "attention"))


def _numbers(values: Tensor) -> NDArray[np.float32]:
    return np.asarray(values.detach().cpu().numpy(), np.float32)
