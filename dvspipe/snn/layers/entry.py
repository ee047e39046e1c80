"""What stands between the stem of an image network and its second convolution: the first neurons, and pooling.

A kit may put its own layer of neurons behind the stem (GAC); then these neurons fall away and pooling alone follows.
Knows no network.
"""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.mean_pool import MeanPool2d
from dvspipe.snn.layers.over_time import POOLED, Probe, each_frame, pass_on
from dvspipe.snn.layers.parts import Part
from dvspipe.snn.layers.spiking import LayerState, Spiking, SpikingLayer

POOLS = ("max", "mean")
WINDOW = 2
Shape = tuple[int, int, int]


def check_pool(pool: str) -> None:
    """Raises `UsageError` unless it is one of `POOLS`."""
    if pool not in POOLS:
        raise UsageError(f"unknown pool '{pool}'{nearest(str(pool), list(POOLS))}: known are {', '.join(POOLS)}")


class FirstNeurons(SpikingLayer):
    """Membrane input of `shape` (C,H,W) -> attention -> neurons -> spikes.

    `pool` halves the size: "max" takes the maximum of spikes, "mean" the mean of the input, before attention and
    neurons, so that spikes stay spikes.
    """

    def __init__(self, shape: Shape, kit: Kit, pool: str | None = None) -> None:
        super().__init__()
        channels, size = shape[0], shape[1:]
        smaller = (size[0] // WINDOW, size[1] // WINDOW)
        self.shape = (channels, *(smaller if pool == "mean" else size))
        self.out_size = size if pool is None else smaller
        self.pool = MeanPool2d(WINDOW) if pool == "mean" else nn.Identity()
        self.spiking = Spiking(kit.lif(), kit.gate(channels))
        self.leave = nn.MaxPool2d(WINDOW) if pool == "max" else None

    def current(self, x: Tensor) -> Tensor:
        """[N,C,H,W] -> what attention and neurons get."""
        pooled: Tensor = self.pool(x)
        return pooled

    def forward(self, x: Tensor, state: LayerState | None, probe: Probe | None = None) -> tuple[Tensor, LayerState]:
        """[T,B,C,H,W] -> (spikes [T,B,C,H',W'], state). An input that repeats is pooled once."""
        spikes, after = self.spiking(each_frame(self.pool, x), state)
        return self._pass_on(spikes, probe, axes=2), after

    def parts(self) -> list[Part]:
        """One, without weights; kept are the current, the spikes, and of maxima value and place (64 bits)."""
        neurons, leaving = prod(self.shape), 0 if self.leave is None else self.shape[0] * prod(self.out_size)
        return [
            Part(
                "lif",
                (self,),
                neurons,
                0,
                neurons,
                2 * neurons + leaving,
                self.spiking.attention,
                self.shape,
                in_neurons=True,
                source="",
                leaving=POOLED if leaving else "",
                places=leaving,
                bits=neurons + leaving,
            )
        ]


class Pool(nn.Module):
    """Halves what a layer of neurons passed on, of `shape` (C,H,W); `real`: that was no spikes but real numbers.

    A mean of spikes is no spike, so what "mean" passes on is real too. The probe hears, as "pooled", where it is not 0.
    """

    live = True

    def __init__(self, shape: Shape, pool: str, real: bool) -> None:
        super().__init__()
        self.out_size, self.real = (shape[1] // WINDOW, shape[2] // WINDOW), real or pool == "mean"
        self.values, self.left = prod(shape), shape[0] * prod(self.out_size)
        self.pool = nn.MaxPool2d(WINDOW) if pool == "max" else MeanPool2d(WINDOW)

    def forward(self, x: Tensor, state: tuple[()] | None, probe: Probe | None = None) -> tuple[Tensor, tuple[()]]:
        """[T,B,C,H,W] -> ([T,B,C,H/2,W/2], nothing to carry)."""
        return pass_on(each_frame(self.pool, x), "", probe), ()

    step = forward

    def parts(self) -> list[Part]:
        """Neither weights nor neurons; kept are what leaves and, of a maximum, its place (64 bits) and what comes in."""
        maximum = isinstance(self.pool, nn.MaxPool2d)
        kept, places = self.left + maximum * self.values, maximum * self.left
        return [
            Part(
                "pool",
                (),
                0,
                0,
                self.left,
                kept,
                source=POOLED,
                leaving=POOLED,
                real=self.real,
                places=places,
                bits=0 if self.real else kept,
            )
        ]
