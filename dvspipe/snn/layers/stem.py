"""Where frames enter an image network: convolution and norm, before any neuron.

An image shown T times without a change is convolved once. A code whose first step is analog may have a stem of its own
for that step (hybrid coding, hhx0320/ASNN). Knows no encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.over_time import Probe, each_frame
from dvspipe.snn.layers.parts import Part

Size = tuple[int, int]


def half(size: Size) -> Size:
    """(H,W) after a stride of 2, odd sizes rounded up."""
    return -(-size[0] // 2), -(-size[1] // 2)


def conv_norm(
    channels: tuple[int, int], kernel: int, stride: int, kit: Kit, gamma: float = 1.0, branches: int = 1
) -> nn.Sequential:
    """Convolution without bias that keeps the size (over `stride`, rounded up), then norm starting at `gamma`; `branches` as
    in `Kit.norm2d`.
    """
    conv = nn.Conv2d(*channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, kit.norm2d(channels[1], gamma, branches))


class Stem(nn.Module):
    """Frames [T,B,C,H,W] -> first membrane input, by a convolution that sees pixels. `size` (H,W) is what it gives."""

    live = True

    def __init__(
        self, channels: tuple[int, int], size: Size, kit: Kit, kernel: int = 3, stride: int = 1, gamma: float = 1.0
    ) -> None:
        super().__init__()
        self.channels, self.size = channels[1], half(size) if stride == 2 else size
        self.weights = conv_norm(channels, kernel, stride, kit, gamma)

    def forward(self, x: Tensor, state: tuple[()] | None, probe: Probe | None = None) -> tuple[Tensor, tuple[()]]:
        """[T,B,C,H,W] -> ([T,B,C',H',W'], nothing to carry)."""
        return each_frame(self.weights, x), ()

    step = forward

    def parts(self) -> list[Part]:
        """Weights without neurons."""
        convs = self.weights[:-1]
        pixels = self.size[0] * self.size[1]
        computed, macs = self.channels * pixels, sum(conv.weight.numel() for conv in convs) * pixels
        return [Part("conv", (self.weights,), 0, macs, computed, kept=len(convs) * computed)]


class DeepStem(Stem):
    """Three convolutions 3x3 with bias, the first with a stride of 2, nothing between them and one norm behind them
    (Ariande1/MS-ResNet, `ResNet_104`). Counted as one: the energy of the second and third, which see real numbers, follows
    the pixels' share of non-zeros, so it is right for images and too low for a code of spikes.
    """

    def __init__(self, channels: tuple[int, int], size: Size, kit: Kit, gamma: float = 1.0) -> None:
        super().__init__(channels, size, kit, stride=2, gamma=gamma)
        (inside, outside), norm = channels, self.weights[1]
        first = nn.Conv2d(inside, outside, 3, 2, 1)
        self.weights = nn.Sequential(first, *(nn.Conv2d(outside, outside, 3, 1, 1) for _ in range(2)), norm)


class TwoStems(nn.Module):
    """`first` for the first step of a clip, `rest` for all others; T must be at least 2."""

    live = False

    def __init__(self, first: Any, rest: Any) -> None:
        super().__init__()
        self.first, self.rest = first, rest

    def forward(self, x: Tensor, state: Any, probe: Probe | None = None) -> tuple[Tensor, Any]:
        """[T,B,C,H,W] -> ([T,B,C',H',W'], nothing to carry)."""
        first, _ = self.first(x[:1], None, probe)
        rest, _ = self.rest(x[1:], None, probe)
        return torch.cat((first, rest)), ()

    def step(self, x: Tensor, state: Any, probe: Probe | None = None) -> tuple[Tensor, Any]:
        """Never called: a step does not know whether it is the first, so the network is not live."""
        raise AssertionError("a network with two stems has no single step")

    def parts(self) -> list[Part]:
        """Rows of one: a frame goes through one of the two, so the work is that of one, the weights are those of both."""
        pairs = zip(self.first.parts(), self.rest.parts(), strict=True)
        return [replace(rest, modules=first.modules + rest.modules) for first, rest in pairs]


def entering(make: Callable[[Kit], Any], kit: Kit) -> dict[str, Any]:
    """The first layers of an image network: its stem, as often as the kit says, and what the kit puts behind it.

    `make` builds a stem of a kit, with `channels` and `size` of what it gives.
    """
    if kit.own_stem:  # norms per step then count only the steps that their stem sees
        stem = make(replace(kit, steps=kit.steps - 1))
        layers: dict[str, Any] = {"stem": TwoStems(make(replace(kit, steps=1)), stem)}
    else:
        stem = make(kit)
        layers = {"stem": stem}
    if kit.front is not None:
        layers["code"] = kit.front(kit, stem.channels, stem.size)
    return layers
