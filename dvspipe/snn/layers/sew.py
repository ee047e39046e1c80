"""The blocks of residual networks whose neurons come after weights, so that spikes pass between blocks.

    conv3x3 -> norm -> LIF -> conv3x3 -> norm =: U                       one block's branch
    plain:  LIF(U + shortcut(x))                                          cannot be the identity
    SEW:    connect(LIF(U), x)   ADD a + x   AND a · x   IAND (1 - a) · x  Fang et al., NeurIPS 2021 (arXiv 2102.04159)

Where stride or channels change, the shortcut is a strided convolution 1x1 with norm, in SEW with neurons behind it. All
convolutions see what blocks pass on: spikes, but for ADD, which passes on sums of spikes, whole numbers that grow along
a stage. A weight meeting the number n takes n accumulates; counting gives it one, at the share of numbers that are not
0, so the energy of ADD is a lower bound. Attention acts on the current of the block's last neurons, U or in the plain
block U + shortcut(x). Knows no network and no image size but its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.over_time import POOLED, Probe, each_frame, pass_on, report
from dvspipe.snn.layers.parts import Part
from dvspipe.snn.layers.spiking import LayerState, Spiking
from dvspipe.snn.layers.stem import Size, conv_norm, half

CONNECTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ADD": lambda branch, x: branch + x,
    "AND": lambda branch, x: branch * x,
    "IAND": lambda branch, x: (1 - branch) * x,
}
SILENT_IDENTITY = ("ADD", "IAND")  # connections that a silent branch makes the identity
Fire = Callable[[Spiking, Tensor, LayerState | None], tuple[Tensor, LayerState]]


class SpikingState(NamedTuple):
    """Of the two populations and of the shortcut's, if it has one."""

    lif1: LayerState | None = None
    lif2: LayerState | None = None
    shortcut: LayerState | None = None


class PlainBlock(nn.Module):
    """Basic block with neurons after the addition; `size` is (H,W) of its input. Norms start at 1, the branch's last one
    at `second_gamma`.
    """

    real = False  # whether no spikes leave: set where a SEW block lets through what is none (GAC)
    _added = 2  # branches that are added before neurons: tdBN halves their variance
    _leaving = ""  # name under "lif2" of what leaves, where that is not these neurons' spikes

    def __init__(
        self, channels: tuple[int, int], size: Size, stride: int, kit: Kit, *, second_gamma: float = 1.0
    ) -> None:
        super().__init__()
        outside = channels[1]
        self.size, self.out_size = size, half(size) if stride == 2 else size
        self.weights1 = conv_norm(channels, 3, stride, kit)
        self.lif1 = Spiking(kit.lif(), None)
        self.weights2 = conv_norm((outside, outside), 3, 1, kit, second_gamma, self._added)
        self.lif2 = Spiking(kit.lif(), kit.gate(outside))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels[0] != outside:
            self.shortcut = conv_norm(channels, 1, stride, kit, branches=self._added)

    @property
    def live(self) -> bool:
        """Whether `step` gives what `forward` gives."""
        return self.lif1.live and self.lif2.live

    def forward(self, x: Tensor, state: SpikingState | None, probe: Probe | None = None) -> tuple[Tensor, SpikingState]:
        """Spikes [T,B,C,H,W] -> ([T,B,C',H',W'], state). The probe hears "lif1" and "lif2"."""
        return self._run(x, state or SpikingState(), probe, Spiking.__call__)

    def step(self, x: Tensor, state: SpikingState | None, probe: Probe | None = None) -> tuple[Tensor, SpikingState]:
        """[B,C,H,W] -> ([B,C',H',W'], state). Raises `UsageError` unless `live`."""
        return self._run(x, state or SpikingState(), probe, Spiking.step)

    def _run(self, x: Tensor, before: SpikingState, probe: Probe | None, fire: Fire) -> tuple[Tensor, SpikingState]:
        spikes, first = fire(self.lif1, each_frame(self.weights1, x), before.lif1)
        report(probe, "lif1", spikes)
        return self._join(each_frame(self.weights2, spikes), x, before, probe, fire, first)

    def _join(
        self, branch: Tensor, x: Tensor, before: SpikingState, probe: Probe | None, fire: Fire, first: LayerState
    ) -> tuple[Tensor, SpikingState]:
        """The branch's U and what came into the block -> what leaves it, state."""
        spikes, second = fire(self.lif2, branch + each_frame(self.shortcut, x), before.lif2)
        report(probe, "lif2", spikes)
        return spikes, SpikingState(first, second)

    def parts(self) -> list[Part]:
        """Weights with the neurons behind them; kept are a norm's input, the current and the spikes."""
        conv1, conv2 = self.weights1[0], self.weights2[0]
        pixels = self.out_size[0] * self.out_size[1]
        neurons, attention = conv2.out_channels * pixels, self.lif2.attention
        first, last = (conv.weight.numel() * pixels for conv in (conv1, conv2))
        return [
            Part("conv", (self.weights1, self.lif1), neurons, first, neurons, 3 * neurons, name="lif1", bits=neurons),
            *self._shortcut_parts(conv1.in_channels * neurons, neurons),
            Part(
                "conv",
                (self.weights2, self.lif2),
                neurons,
                last,
                computed=neurons,
                kept=self._kept * neurons,
                bits=self._bits * neurons,
                attention=attention,
                attended=(conv2.out_channels, *self.out_size),
                in_neurons=True,
                name="lif2",
                source="lif1",
                leaving=self._leaving,
                real=self.real,
            ),
        ]

    @property
    def _kept(self) -> int:
        """Tensors of its size that the second half keeps."""
        return 3

    @property
    def _bits(self) -> int:
        """How many of these are spikes and nothing else."""
        return 1

    def _shortcut_parts(self, macs: int, values: int) -> list[Part]:
        """The shortcut, if it has weights; kept is its norm's input."""
        if isinstance(self.shortcut, nn.Identity):
            return []
        return [Part("conv", (self.shortcut,), 0, macs, values, values, name="shortcut")]


class SewBlock(PlainBlock):
    """Basic block that connects the spikes of its branch with what came in. Raises `UsageError` for another `connect`.

    The probe hears "lif1", "lif2", where there is one "shortcut", and as "lif2.pooled" where not 0 is passed on.
    """

    _added = 1  # each branch has neurons of its own
    _leaving = POOLED

    def __init__(
        self,
        channels: tuple[int, int],
        size: Size,
        stride: int,
        kit: Kit,
        *,
        connect: str = "ADD",
        second_gamma: float = 1.0,
    ) -> None:
        super().__init__(channels, size, stride, kit, second_gamma=second_gamma)
        if connect not in CONNECTIONS:
            known = list(CONNECTIONS)
            raise UsageError(f"unknown connection '{connect}'{nearest(connect, known)}: known are {', '.join(known)}")
        self.connect = connect
        self.shortcut_lif = None if isinstance(self.shortcut, nn.Identity) else Spiking(kit.lif(), None)

    def _join(
        self, branch: Tensor, x: Tensor, before: SpikingState, probe: Probe | None, fire: Fire, first: LayerState
    ) -> tuple[Tensor, SpikingState]:
        short, third = x, None
        if self.shortcut_lif is not None:
            short, third = fire(self.shortcut_lif, each_frame(self.shortcut, x), before.shortcut)
            report(probe, "shortcut", short)
        spikes, second = fire(self.lif2, branch, before.lif2)
        report(probe, "lif2", spikes)
        out = pass_on(CONNECTIONS[self.connect](spikes, short), "lif2", probe)
        return out, SpikingState(first, second, third)

    @property
    def _kept(self) -> int:
        return 3 if self.connect == "ADD" else 4  # a sum takes the place of the spikes; a product needs both factors

    @property
    def _bits(self) -> int:
        return 0 if self.connect == "ADD" else 1  # what comes in may be real numbers

    def _shortcut_parts(self, macs: int, values: int) -> list[Part]:
        """The shortcut with its neurons, if it has any."""
        if self.shortcut_lif is None:
            return []
        kept = (2 if self.connect == "ADD" else 3) * values
        return [Part("conv", (self.shortcut, self.shortcut_lif), values, macs, values, kept, name="shortcut")]


class SpikePool(nn.Module):
    """Maximum of 3x3 windows at a stride of 2, as behind the stem of networks for ImageNet. `shape` is (C,H,W) of its
    input; `real` says that this is no spikes (GAC). The probe hears "pooled".
    """

    live = True

    def __init__(self, shape: tuple[int, int, int], real: bool = False) -> None:
        super().__init__()
        self.out_shape, self.real = (shape[0], *half(shape[1:])), real
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, x: Tensor, state: tuple[()] | None, probe: Probe | None = None) -> tuple[Tensor, tuple[()]]:
        """[T,B,C,H,W] -> ([T,B,C,H',W'], nothing to carry)."""
        return pass_on(each_frame(self.pool, x), "", probe), ()

    step = forward

    def parts(self) -> list[Part]:
        """Neither weights nor neurons; kept are the maxima and their places, 64 bits each."""
        channels, height, width = self.out_shape
        values = channels * height * width
        return [Part("pool", (), 0, 0, values, values, source=POOLED, leaving=POOLED, real=self.real, places=values)]
