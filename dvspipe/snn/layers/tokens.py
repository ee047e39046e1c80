"""The layers of a Spikformer (Zhou et al., ICLR 2023, arXiv 2209.15425; ZK-Zhou/spikformer, cifar10/model.py).

    q, k, v = LIF(norm(linear x))       spiking self-attention: no softmax, spikes are not negative
    a = LIF(0.125 · q kᵀ v), threshold 0.5
    x <- x + LIF(norm(linear a))
    x <- x + LIF(norm(linear LIF(norm(linear x))))

A token is a pixel of the feature maps [T,B,C,H,W], in channels_last memory its features stand side by side, so tokens
stay maps: norms and probes see what they see elsewhere. The factor is 0.125 whatever the head's size, as published.

What passes between the layers are sums of spikes, whole numbers that grow from block to block. A weight meeting the number
n takes n accumulates; counting gives it one, at the share of numbers that are not 0: a lower bound. Of the two products of
attention one is driven by the spikes of q, the other by those of v, in either order. The sums themselves and the factor
(a shift, or part of the threshold) are not counted. Attention of MA-SNN has no place inside the blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.over_time import POOLED, Probe, each_frame, pass_on, report
from dvspipe.snn.layers.parts import Part
from dvspipe.snn.layers.spiking import ConvLayer, LayerState
from dvspipe.snn.layers.stem import Size, half
from dvspipe.snn.lif import LIF

SCALE = 0.125
ATTENTION_V_TH = 0.5
POPULATIONS = ("q", "k", "v", "attn", "proj", "fc1", "fc2")  # of a block, in the order of its state
BlockState = tuple[Tensor | None, ...]
Fire = Callable[[LIF, Tensor, Tensor | None], tuple[Tensor, Tensor]]


def start_linear(linear: nn.Linear) -> None:
    """Truncated normal weights with deviation 0.02 and no bias, as the released code starts."""
    if not linear.weight.is_meta:  # there is nothing to draw, and asking for it imports half of torch, seconds
        nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(linear.bias)


def self_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """0.125 · q kᵀ v, each head by itself: maps [...,C,H,W] -> [...,C,H,W].

    In the order that multiplies less; of spikes both give the same whole numbers (float32 is exact up to 2^24).
    """
    size = q.shape[-2:]
    q, k, v = (each.flatten(-2).unflatten(-2, (heads, -1)) for each in (q, k, v))  # [...,heads,C/heads,H·W]
    within, tokens = q.shape[-2:]
    k = k.transpose(-1, -2)
    mixed = (v @ k) @ q if within < tokens else v @ (k @ q)
    # The products leave tokens side by side; the layers after want features side by side again.
    mixed = mixed.flatten(-3, -2).transpose(-1, -2).contiguous().transpose(-1, -2)
    return SCALE * mixed.unflatten(-1, size)


class TokenLinear(nn.Linear):
    """The same linear map with bias at every token: [N,C,H,W] -> [N,C',H,W]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        start_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        mapped = super().forward(tokens.flatten(0, 2))  # of two axes, so that the bias is part of the product
        return mapped.unflatten(0, tokens.shape[:3]).permute(0, 3, 1, 2)


class PatchConv(ConvLayer):
    """Convolution 3x3 without bias, norm, attention, neurons; where it pools, the maximum of spikes in windows of 3x3 at a
    stride of 2.
    """

    def __init__(self, channels: tuple[int, int], size: Size, kit: Kit, *, pools: bool = False) -> None:
        super().__init__(channels, size, 1, kit, bias=False)
        if pools:
            self.leave, self.out_size = nn.MaxPool2d(3, 2, 1), half(size)


class Position(PatchConv):
    """Adds to every token what its neighbourhood fires: x + LIF(norm(conv x)). The probe hears those neurons, and as
    "pooled" where the sum is not 0.
    """

    def __init__(self, channels: int, size: Size, kit: Kit) -> None:
        super().__init__((channels, channels), size, kit)

    def forward(self, x: Tensor, state: LayerState | None, probe: Probe | None = None) -> tuple[Tensor, LayerState]:
        """Spikes [T,B,C,H,W] -> (sums, 0 to 2, [T,B,C,H,W], state)."""
        spikes, after = super().forward(x, state, probe)
        return pass_on(x + spikes, "", probe), after

    def step(self, x: Tensor, state: LayerState | None, probe: Probe | None = None) -> tuple[Tensor, LayerState]:
        """[B,C,H,W] -> ([B,C,H,W], state)."""
        spikes, after = super().step(x, state, probe)
        return pass_on(x + spikes, "", probe), after

    def parts(self) -> list[Part]:
        """That of a convolution; the sum is kept in the place of the spikes."""
        (part,) = super().parts()
        return [replace(part, leaving=POOLED)]


class TokenBlock(nn.Module):
    """Spiking self-attention of `heads`, then a hidden layer of `hidden` features at every token, each added to what
    came in. `shape` is (C,H,W); C is a multiple of `heads`. The probe hears `POPULATIONS`, and as "proj.pooled" and
    "fc2.pooled" where the sums are not 0.
    """

    def __init__(self, shape: tuple[int, int, int], heads: int, hidden: int, kit: Kit) -> None:
        super().__init__()
        dim, self.shape, self.heads = shape[0], shape, heads
        plan = {**dict.fromkeys(("q", "k", "v", "proj"), (dim, dim)), "fc1": (dim, hidden), "fc2": (hidden, dim)}
        self.weights = nn.ModuleDict(
            {name: nn.Sequential(TokenLinear(*features), kit.norm2d(features[1])) for name, features in plan.items()}
        )
        self.neurons = nn.ModuleDict(
            {name: kit.lif(ATTENTION_V_TH if name == "attn" else None) for name in POPULATIONS}
        )

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives: attention is between tokens of one step."""
        return all(lif.live for lif in self.neurons.values())

    def forward(self, x: Tensor, state: BlockState | None, probe: Probe | None = None) -> tuple[Tensor, BlockState]:
        """Sums of spikes [T,B,C,H,W] -> ([T,B,C,H,W], potentials [B,...] of `POPULATIONS`)."""
        return self._run(x, state, probe, LIF.__call__)

    def step(self, x: Tensor, state: BlockState | None, probe: Probe | None = None) -> tuple[Tensor, BlockState]:
        """[B,C,H,W] -> ([B,C,H,W], potentials)."""
        return self._run(x, state, probe, LIF.step)

    def _run(self, x: Tensor, state: BlockState | None, probe: Probe | None, fire: Fire) -> tuple[Tensor, BlockState]:
        before, after = dict(zip(POPULATIONS, state or (None,) * len(POPULATIONS))), []

        def fired(name: str, current: Tensor) -> Tensor:
            spikes, v = fire(self.neurons[name], current, before[name])
            report(probe, name, spikes)
            after.append(v)
            return spikes

        def through(name: str, inner: Tensor) -> Tensor:
            return fired(name, each_frame(self.weights[name], inner))

        q, k, v = (through(name, x) for name in "qkv")
        x = pass_on(x + through("proj", fired("attn", self_attention(q, k, v, self.heads))), "proj", probe)
        x = pass_on(x + through("fc2", through("fc1", x)), "fc2", probe)
        return x, tuple(after)

    def parts(self) -> list[Part]:
        """Every population with its weights, and the products of attention, the first as a row of its own."""
        q, k, v = (self._part(name, None) for name in "qkv")
        proj = replace(self._part("proj", "attn"), leaving=POOLED)
        fc1 = self._part("fc1", f"proj.{POOLED}")
        fc2 = replace(self._part("fc2", "fc1"), leaving=POOLED)
        return [q, k, v, *self._products(), proj, fc1, fc2]

    def _part(self, name: str, source: str | None) -> Part:
        """Weights before neurons; kept are norm's input, the current and the spikes, or the sum in their place."""
        weights, tokens = self.weights[name], self.shape[1] * self.shape[2]
        linear = weights[0]
        neurons, macs = linear.out_features * tokens, linear.weight.numel() * tokens
        modules = (weights, self.neurons[name])
        return Part("fc", modules, neurons, macs, neurons, 3 * neurons, name=name, source=source)

    def _products(self) -> list[Part]:
        """Accumulates in the order that is computed: the product that v's spikes drive, and the one that q's do. Kept are
        q, k and v head by head, what the first product gives, then the current and the spikes.
        """
        dim, height, width = self.shape
        tokens, within = height * width, dim // self.heads
        first, second = ("v", "q") if within < tokens else ("q", "v")
        neurons, square = dim * tokens, self.heads * min(within, tokens) ** 2
        macs = min(within, tokens) * neurons
        return [
            Part("ssa", (), 0, macs, square, 3 * neurons + square, name="pairs", source=first),
            Part("ssa", (self.neurons["attn"],), neurons, macs, neurons, 2 * neurons, name="attn", source=second),
        ]
