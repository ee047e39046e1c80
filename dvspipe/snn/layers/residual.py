"""The layers of an MS-ResNet: what passes between its blocks is membrane potential, and neurons come before weights.

    LIF -> conv3x3 -> batch norm -> LIF -> conv3x3 -> batch norm =: U        one block's branch
    branch (variant 1):  attention(U) + shortcut(x)        sum (variant 2):  attention(U + shortcut(x))

MA-SNN (TPAMI 2023) eq. 15-16 and BICLab/Attention-SNN, Att_Res_SNN/models/resnet_2.py, which has variant 1. So the
3x3 convolutions see spikes, while a down-sampling shortcut's 1x1 convolution sees the real-valued sum: its cost is
multiply-accumulates. Knows no network and no image size but its own.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from torch import Tensor, nn

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.attention.slot import Memory
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.over_time import Probe, attend, check_live, each_frame, report
from dvspipe.snn.layers.parts import DENSE, Part
from dvspipe.snn.layers.stem import Size, conv_norm, half
from dvspipe.snn.lif import LIF

ACTS_ON = ("branch", "sum")
SECOND_GAMMA = 0.2  # a block's second batch norm starts at this share of the others, so that shortcuts dominate
Fire = Callable[[LIF, Tensor, Tensor | None], tuple[Tensor, Tensor]]


class BlockState(NamedTuple):
    """Potentials [B,...] of the two populations, and what attention remembers."""

    v1: Tensor | None = None
    v2: Tensor | None = None
    memory: Memory = ()


class ResidualBlock(nn.Module):
    """Basic block of an MS-ResNet; `size` is (H,W) of its input. `acts_on` says where attention acts, "branch" or "sum".

    Where stride or channels change, the shortcut is a convolution 1x1 with norm, after an average pool where it is
    `pooled` and with the stride itself otherwise (bollossom/GAC); elsewhere it is nothing. Norms start at `gamma` (None:
    the neurons' threshold), the branch's last one at `second_gamma` of it. Raises `UsageError` for another word.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        size: Size,
        stride: int,
        kit: Kit,
        acts_on: str = "branch",
        *,
        gamma: float | None = None,
        second_gamma: float = SECOND_GAMMA,
        pooled: bool = True,
    ) -> None:
        super().__init__()
        if acts_on not in ACTS_ON:
            known = ", ".join(ACTS_ON)
            raise UsageError(f"unknown block '{acts_on}'{nearest(acts_on, list(ACTS_ON))}: known are {known}")
        (inside, outside), start = channels, kit.threshold_gamma if gamma is None else gamma
        self.acts_on, self.size, self.out_size = acts_on, size, half(size) if stride == 2 else size
        attention = kit.gate(outside)  # first, as in `ConvLayer`
        self.lif1, self.lif2 = kit.lif(), kit.lif()
        self.weights1 = conv_norm(channels, 3, stride, kit, start)
        self.weights2 = conv_norm((outside, outside), 3, 1, kit, start * second_gamma, branches=2)
        self.attention = attention
        self.shortcut: nn.Module = nn.Identity()
        if (stride != 1 or inside != outside) and pooled:
            pool = nn.AvgPool2d(stride, ceil_mode=True)  # rounds up as the strided convolution does
            self.shortcut = nn.Sequential(pool, conv_norm(channels, 1, 1, kit, start, branches=2))
        elif stride != 1 or inside != outside:
            self.shortcut = conv_norm(channels, 1, stride, kit, start, branches=2)

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return bool(self.lif1.live) and (self.attention is None or self.attention.live)

    def forward(self, x: Tensor, state: BlockState | None, probe: Probe | None = None) -> tuple[Tensor, BlockState]:
        """Membrane input [T,B,C,H,W] -> ([T,B,C',H',W'], state). The probe hears "lif1" and "lif2"."""
        return self._run(x, state or BlockState(), probe, LIF.__call__)

    def step(self, x: Tensor, state: BlockState | None, probe: Probe | None = None) -> tuple[Tensor, BlockState]:
        """[B,C,H,W] -> ([B,C',H',W'], state). Raises `UsageError` unless `live`."""
        check_live(self.attention)
        return self._run(x, state or BlockState(), probe, LIF.step)

    def _run(self, x: Tensor, before: BlockState, probe: Probe | None, fire: Fire) -> tuple[Tensor, BlockState]:
        spikes, v1 = fire(self.lif1, x, before.v1)
        report(probe, "lif1", spikes)
        spikes, v2 = fire(self.lif2, each_frame(self.weights1, spikes), before.v2)
        report(probe, "lif2", spikes)
        branch, shortcut = each_frame(self.weights2, spikes), each_frame(self.shortcut, x)
        if self.acts_on == "sum":
            branch, memory = attend(self.attention, branch + shortcut, before.memory)
        else:
            branch, memory = attend(self.attention, branch, before.memory)
            branch = branch + shortcut
        return branch, BlockState(v1, v2, memory)

    def parts(self) -> list[Part]:
        """Each population with the weights behind it, and the shortcut if it has any."""
        conv1, conv2 = self.weights1[0], self.weights2[0]
        pixels = self.out_size[0] * self.out_size[1]
        before, after = conv1.in_channels * self.size[0] * self.size[1], conv1.out_channels * pixels
        first = Part(
            "conv",
            (self.lif1, self.weights1),
            before,
            conv1.weight.numel() * pixels,
            computed=max(before, after),
            kept=2 * before + after,
            bits=before,
            name="lif1",
            source="lif1",
        )
        weighed = self.attention is not None and self.attention.relu and self.acts_on == "branch"
        second = Part(
            "conv",
            (self.lif2, self.weights2, self.attention),
            after,
            conv2.weight.numel() * pixels,
            computed=after,
            kept=(4 if weighed else 3) * after,  # the ReLU's result; in a sum it is what the next block keeps anyway
            bits=after,
            attention=self.attention,
            attended=(conv1.out_channels, *self.out_size),
            name="lif2",
            source="lif2",
        )
        pooled, macs = conv1.in_channels * pixels, conv1.in_channels * conv1.out_channels * pixels
        shortcut = Part("conv", (self.shortcut,), 0, macs, after, pooled + after, name="shortcut", source=DENSE)
        return [first, second] if isinstance(self.shortcut, nn.Identity) else [first, second, shortcut]


class NeuronLayer(nn.Module):
    """Neurons without weights: membrane input -> spikes, the end of an MS-ResNet. `shape` is (C,H,W) or (F,)."""

    def __init__(self, shape: tuple[int, ...], kit: Kit) -> None:
        super().__init__()
        self.shape, self.lif = shape, kit.lif()

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return bool(self.lif.live)

    def forward(self, x: Tensor, state: Tensor | None, probe: Probe | None = None) -> tuple[Tensor, Tensor]:
        """[T,B,C,H,W] -> (spikes [T,B,C,H,W], potential [B,C,H,W])."""
        spikes, v = self.lif(x, state)
        report(probe, "", spikes)
        return spikes, v

    def step(self, x: Tensor, state: Tensor | None, probe: Probe | None = None) -> tuple[Tensor, Tensor]:
        """[B,C,H,W] -> (spikes [B,C,H,W], potential)."""
        spikes, v = self.lif.step(x, state)
        report(probe, "", spikes)
        return spikes, v

    def parts(self) -> list[Part]:
        """Neurons without weights."""
        neurons = prod(self.shape)
        return [Part("lif", (self.lif,), neurons, 0, neurons, kept=neurons, source="")]
