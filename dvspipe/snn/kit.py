"""What all layers of a network are made of, chosen once: neuron, norm, attention, and how images enter.

A network draws the plan, the kit supplies the parts. Knows no layer and no network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.attention import build_attention
from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.layers.norms import make_norm
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import Neuron
from dvspipe.snn.representation import FIRE_AT, RateLIF

GRADIENTS = ("surrogate", "dsr")
_ATTENTION = ("placement", "c_ratio", "t_ratio", "gate_gain", "relu", "gate_start", "attention_bins")


@dataclass(frozen=True, kw_only=True)
class Kit:
    """`steps` is T of a clip or of an image's code. `norm` is one of `layers/norms.py`; `attention` and the settings after
    it are `build_attention`'s. `gradient` is that of spikes, "surrogate" or "dsr" (`representation.py`, neurons that fire at
    `fire_at` of their threshold). Of event networks, `head` "ann" is read out by a plain network every `window` steps
    (`layers/head.py`), and `stem` "conv3d" or "conv3d-causal" sees `stem_bins` bins at once (`layers/time_stack.py`).
    `step_scale` weighs the scores of every step by a learned number (ASNN), `spiking_out`
    sends them through neurons.

    Images alone: `front(kit, channels, size)` makes a layer behind the stem (GAC), and with `own_stem` the first step,
    which is analog, has a stem of its own (hybrid coding).
    """

    steps: int
    neuron: Neuron
    kernels: str = "auto"
    norm: str = "bn"
    attention: str = "none"
    placement: str = "released"
    c_ratio: int = 8
    t_ratio: int = 5
    gate_gain: float = 1.0
    relu: bool | None = None
    gate_start: str = "random"
    attention_bins: int = 8
    gradient: str = "surrogate"
    fire_at: float = FIRE_AT
    head: str = "spiking"
    window: int | None = None
    stem: str = "conv2d"
    stem_bins: int = 3
    step_scale: bool = False
    spiking_out: bool = False
    own_stem: bool = False
    front: Callable[[Kit, int, tuple[int, int]], Any] | None = None

    def lif(self, v_th: float | None = None) -> LIF:
        """Neurons; with another threshold where the plan asks for one."""
        neuron = self.neuron if v_th is None else replace(self.neuron, v_th=v_th)
        if self.gradient not in GRADIENTS:
            known = ", ".join(GRADIENTS)
            raise UsageError(
                f"unknown gradient '{self.gradient}'{nearest(self.gradient, list(GRADIENTS))}: known are {known}"
            )
        if self.gradient == "dsr":
            return RateLIF(neuron, self.fire_at, self.kernels)
        return LIF(neuron, self.steps, self.kernels)

    @property
    def threshold_gamma(self) -> float:
        """Where a norm starts that is to give currents of the threshold's size: tdBN has the threshold in itself."""
        return 1.0 if self.norm == "tdbn" else self.neuron.v_th

    def norm2d(self, channels: int, gamma: float = 1.0, branches: int = 1) -> nn.Module:
        """Normalisation of feature maps [T·B,C,H,W] that starts at `gamma`; tdBN divides by √`branches` where so many are
        added.
        """
        return make_norm(self.norm, channels, self.steps, self.neuron.v_th, gamma, alpha=branches**-0.5)

    def norm1d(self, features: int, gamma: float = 1.0) -> nn.Module:
        """Normalisation of features [T·B,F] that starts at `gamma`."""
        return make_norm(self.norm, features, self.steps, self.neuron.v_th, gamma, dims=1)

    def gate(self, channels: int, spatial: bool = True) -> Attention | None:
        """Attention for a layer of `channels`; not `spatial` is a full layer. Raises `UsageError` for what does not fit."""
        settings = {name: getattr(self, name) for name in _ATTENTION}
        made = build_attention(self.attention, spatial=spatial, steps=self.steps, channels=channels, **settings)
        if self.gradient == "dsr" and made is not None and made.on_membrane:
            raise UsageError(
                f"gradient = 'dsr' with attention on the membrane (placement '{self.placement}'): a rate knows no membrane; "
                "set placement = 'released', or attention = 'none'"
            )
        return made
