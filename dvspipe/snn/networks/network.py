"""What every spiking network of ours is: named layers in a row, state in and state out, whole clip or one step.

Knows how frames enter and what a caller may get wrong; which layers there are is the subclass's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.kernels.spike_bits import spikes_as_bits
from dvspipe.snn.layers.over_time import Probe as Probe
from dvspipe.snn.layers.over_time import repeats
from dvspipe.snn.layers.row import Layer as Layer
from dvspipe.snn.layers.row import Row, State

NetworkState = State


def check_positive(**numbers: float) -> None:
    """Raises `UsageError` unless all are."""
    if not all(value > 0 for value in numbers.values()):
        said = ", ".join(f"{name}={value}" for name, value in numbers.items())
        raise UsageError(f"{said}: all must be positive")


class Network(nn.Module):
    """`layers` in order; `frame_shape` is (C,H,W) of a frame. `DEFAULTS` are what a kind of network takes of a `Kit`
    where nothing else is said; `HAS_STEM`, that its first layers are a stem and what the kit puts behind it; `FOR_EVENTS`,
    that it takes the kit's `head` and `stem`.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {"neuron": "ma-snn"}
    HAS_STEM: ClassVar[bool] = False
    FOR_EVENTS: ClassVar[bool] = False

    def __init__(self, layers: Mapping[str, Layer], frame_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = Row(layers)
        self.frame_shape = frame_shape
        self._tells_steps_apart = any(getattr(module, "stepwise", False) for module in self.modules())

    @property
    def live(self) -> bool:
        """Whether the network can run one step at a time (`step`) with the result of a whole call."""
        return bool(self.layers.live) and not self._tells_steps_apart

    @property
    def spiking_out(self) -> bool:
        """Whether its outputs are spikes (or votes of them) rather than scores."""
        return self.layers.parts()[-1].neurons > 0

    def forward(
        self, frames: Tensor, state: NetworkState | None = None, probe: Probe | None = None
    ) -> tuple[Tensor, NetworkState]:
        """Frames [T,B,C,H,W] of any number type -> (output [T,B,K], state after the last step).

        The output is spikes or, where the read-out does not spike, scores; its mean over T answers. `state` is what
        an earlier call returned, None starts at rest. `probe(name, spikes)` sees the spikes [T,B,...] of all neurons,
        named as `count_layers` names them. Raises `ShapeError` for frames or a state that do not fit, or for another
        T than attention was built for.
        """
        self._check(frames, "T,B,C,H,W")
        if not len(frames):
            raise ShapeError(f"frames [T,B,C,H,W] = {list(frames.shape)} have no time step: T must be at least 1")
        if repeats(frames):
            once = self._enter(frames[0])
            x = once.expand(len(frames), *once.shape)
        else:
            x = self._enter(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        with spikes_as_bits():
            out, after = self.layers(x, state, probe)
        return out, after

    def step(
        self, frame: Tensor, state: NetworkState | None = None, probe: Probe | None = None
    ) -> tuple[Tensor, NetworkState]:
        """One frame [B,C,H,W] -> (output [B,K], state), for a network that is `live`.

        In evaluation mode, steps that carry the state give what one call over the sequence gives. Raises
        `UsageError` when attention needs the whole clip, `ShapeError` when frame or state do not fit.
        """
        self._check(frame, "B,C,H,W")
        if self._tells_steps_apart:
            raise UsageError("norms 'tebn' and 'per-step' do not know which step a single one is: call on whole clips")
        out, after = self.layers.step(self._enter(frame), state, probe)
        return out, after

    def _enter(self, frames: Tensor) -> Tensor:
        """[N,C,H,W] in the weights' precision and channels_last, which the layers then keep: one conversion, here."""
        dtype = next(self.parameters()).dtype
        return frames.to(dtype, memory_format=torch.channels_last)

    def _check(self, frames: Tensor, axes: str) -> None:
        count = len(axes.split(","))
        if frames.ndim != count or tuple(frames.shape[-3:]) != self.frame_shape:
            expected = ",".join([*axes.split(",")[:-3], *(str(size) for size in self.frame_shape)])
            raise ShapeError(
                f"frames [{axes}] = {list(frames.shape)} do not fit this network, which takes [{expected}]: "
                "bin or downsample to this size, or build the network for yours"
            )
