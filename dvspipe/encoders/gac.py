"""Gated attention coding (GAC): direct coding whose first spikes a learnt, step-dependent gate weighs.

    X = norm(conv(image))       the network's stem, the same at every step
    S = LIF(X)                  spikes
    G = sigmoid(MT · MSC)       MT [T] from mean and maximum of X over (C,H,W), MSC [C,H,W] from two convolutions on X
    Y = G · S                   real-valued where a neuron fired: what the network behind it sees

Qiu et al., AAAI 2024 (arXiv 2308.06582); bollossom/GAC, CODE/CIFAR/models/GAU.py and MS_ResNet.py. No score is squashed
before the product, so a neutral gate is 0.5, and a negative MT turns the meaning of MSC round. Because X repeats, MSC is
made once; the released code makes it T times. Its T is fixed to 6 in two places; here it is the kit's. Y is not
binary: weights that see it multiply (the 1x1 shortcut of an MS-ResNet's first block, or a next convolution).

With neurons of threshold 1 (CIFAR), Y < 1 can fire nothing at the first step, and g <= 0.5 never anything.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.encoders.direct import Direct
from dvspipe.encoders.weighing import weigh
from dvspipe.errors import UsageError, nearest
from dvspipe.snn.attention.temporal import TemporalScore
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.over_time import Probe, each_frame, repeats, report
from dvspipe.snn.layers.parts import DENSE, Part
from dvspipe.snn.layers.residual import NeuronLayer

GATES = ("full", "time", "space", "constant")
NEUTRAL = 0.5


def conv_same(channels: int, kernel: int) -> nn.Sequential:
    """Convolution without bias that keeps the size; an even kernel's odd pixel of padding goes right and below, as in
    torch's padding="same", but without its copy and its warning.
    """
    before, after = (kernel - 1) // 2, kernel // 2
    pad = nn.ZeroPad2d((before, after, before, after)) if before != after else nn.Identity()
    conv = nn.Conv2d(channels, channels, kernel, padding=0 if before != after else before, bias=False)
    return nn.Sequential(pad, conv)


class GatedCoding(nn.Module):
    """The layer behind the stem. Ablations: `gate` of "time" or "space" alone or "constant" 0.5; not `spiking` gates the
    current instead of the spikes (Y = G · X). Raises `UsageError` for an unknown gate or a kernel below 1.
    """

    live = False  # temporal scores are of all steps at once

    def __init__(
        self,
        kit: Kit,
        channels: int,
        size: tuple[int, int],
        *,
        gate: str = "full",
        kernel: int = 4,
        t_ratio: int = 2,
        spiking: bool = True,
    ) -> None:
        super().__init__()
        if gate not in GATES:
            raise UsageError(f"unknown gate '{gate}'{nearest(gate, list(GATES))}: known are {', '.join(GATES)}")
        if kernel < 1:
            raise UsageError(f"kernel = {kernel}: the gate's convolutions need at least 1")
        self.steps, self.shape, self.kernel, self.spiking = kit.steps, (channels, *size), kernel, spiking
        self.lif = kit.lif() if spiking else None
        self.time = TemporalScore(kit.steps, t_ratio) if gate in ("full", "time") else None
        self.space: nn.Module | None = None
        if gate in ("full", "space"):
            self.space = nn.Sequential(conv_same(channels, kernel), nn.ReLU(), conv_same(channels, kernel))

    def forward(self, x: Tensor, state: Tensor | None, probe: Probe | None = None) -> tuple[Tensor, Tensor | None]:
        """Current [T,B,C,H,W] -> (coded [T,B,C,H,W], potential [B,C,H,W]). The probe hears the spikes."""
        time, space = self._scores(x)
        if self.lif is None:
            return self._gate(x, time, space) * x, None
        spikes, v = self.lif(x, state)
        report(probe, "", spikes)
        if time is not None and space is not None and repeats(space):
            return weigh(time.to(spikes.dtype), space[0].to(spikes.dtype), spikes), v
        return self._gate(x, time, space) * spikes, v

    def step(self, x: Tensor, state: Tensor | None, probe: Probe | None = None) -> tuple[Tensor, Tensor | None]:
        """Never called: the layer is not live."""
        raise UsageError("GAC scores all steps of an image at once and cannot run one step at a time")

    def gate(self, x: Tensor) -> Tensor:
        """Current [T,B,C,H,W] -> gate, in a shape that broadcasts over it."""
        return self._gate(x, *self._scores(x))

    def _scores(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """MT [T,B,1,1,1] and MSC [T,B,C,H,W], None where the gate goes without."""
        time = space = None
        if self.time is not None:
            seen = x[:1] if repeats(x) else x
            mean, maximum = (made.expand(len(x), -1) for made in (seen.mean((2, 3, 4)), seen.amax((2, 3, 4))))
            # Contiguous, so that time is the outermost axis of the product too: else every layer behind would copy.
            time = self.time(mean, maximum).contiguous()[:, :, None, None, None]
        if self.space is not None:
            space = each_frame(self.space, x)
        return time, space

    @staticmethod
    def _gate(x: Tensor, time: Tensor | None, space: Tensor | None) -> Tensor:
        if time is not None and space is not None:
            return torch.sigmoid(time * space)
        score = time if space is None else space
        return x.new_full((1, 1, 1, 1, 1), NEUTRAL) if score is None else torch.sigmoid(score)

    def parts(self) -> list[Part]:
        """One: neurons, and a gate in place of weights. Kept are the current once, both layers of MSC once, and of every
        step spikes, gate and product.
        """
        channels, height, width = self.shape
        values = channels * height * width
        space = 0 if self.space is None else 2 * self.kernel**2 * channels * values
        time = 0 if self.time is None else self.time.w0.weight.numel() * 2 + self.time.w1.weight.numel()
        return [
            Part(
                "gate",
                (self,),
                values if self.spiking else 0,
                0,
                values,
                kept=4 * values,
                gate_macs=space + time,
                gate_macs_every_step=self.steps * space + time,
                scale_macs=values * (2 if self.time is not None and self.space is not None else 1),
                source="" if self.spiking else DENSE,
                real=True,
            )
        ]


class Gac(Direct):
    """Direct coding with `GatedCoding` behind the stem; settings are that layer's."""

    name = "gac"

    def __init__(
        self, steps: int, *, gate: str = "full", kernel: int = 4, t_ratio: int = 2, spiking: bool = True
    ) -> None:
        super().__init__(steps)
        self._settings: dict[str, Any] = {"gate": gate, "kernel": kernel, "t_ratio": t_ratio, "spiking": spiking}

    def front(self, kit: Kit, channels: int, size: tuple[int, int]) -> nn.Module:
        """What stands behind the stem."""
        return GatedCoding(kit, channels, size, **self._settings)


class DirectLif(Direct):
    """Direct coding with neurons behind the stem and no gate: the control that has GAC's topology. The released control
    drops these neurons together with the gate.
    """

    name = "direct-lif"

    def front(self, kit: Kit, channels: int, size: tuple[int, int]) -> nn.Module:
        """What stands behind the stem."""
        return NeuronLayer((channels, *size), kit)
