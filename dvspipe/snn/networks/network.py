"""What every spiking network of ours is: named layers in a row, state in and state out, whole clip or one step.

Knows how frames enter and what a caller may get wrong; which layers there are is the subclass's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from dvspipe.errors import ShapeError
from dvspipe.snn.layers import ConvLayer, FullLayer, LayerState

Layer = ConvLayer | FullLayer
NetworkState = tuple[LayerState, ...]
Probe = Callable[[str, Tensor], None]


class Network(nn.Module):
    """`layers` in order; `frame_shape` is (C,H,W) of a frame."""

    def __init__(self, layers: dict[str, Layer], frame_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.frame_shape = frame_shape

    @property
    def live(self) -> bool:
        """Whether the network can run one step at a time (`step`) with the result of a whole call."""
        return all(layer.spiking.live for layer in self.layers.values())

    def forward(
        self, frames: Tensor, state: NetworkState | None = None, probe: Probe | None = None
    ) -> tuple[Tensor, NetworkState]:
        """Frames [T,B,C,H,W] of event counts, any number type -> (output spikes [T,B,K], state after the last step).

        `state` is what an earlier call returned, None starts at rest. `probe(name, spikes)` sees every layer's spikes
        [T,B,...]. Raises `ShapeError` for frames or a state that do not fit, or for another T than attention was
        built for.
        """
        self._check(frames, "T,B,C,H,W", state)
        if not len(frames):
            raise ShapeError(f"frames [T,B,C,H,W] = {list(frames.shape)} have no time step: T must be at least 1")
        x = self._enter(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return self._run(x, state, probe, [partial(layer) for layer in self.layers.values()])

    def step(
        self, frame: Tensor, state: NetworkState | None = None, probe: Probe | None = None
    ) -> tuple[Tensor, NetworkState]:
        """One frame [B,C,H,W] -> (output spikes [B,K], state), for a network that is `live`.

        In evaluation mode, steps that carry the state give what one call over the sequence gives. Raises
        `UsageError` when attention needs the whole clip, `ShapeError` when frame or state do not fit.
        """
        self._check(frame, "B,C,H,W", state)
        return self._run(self._enter(frame), state, probe, [layer.step for layer in self.layers.values()])

    def _run(
        self,
        x: Tensor,
        state: NetworkState | None,
        probe: Probe | None,
        calls: Sequence[Callable[[Tensor, LayerState | None], tuple[Tensor, LayerState]]],
    ) -> tuple[Tensor, NetworkState]:
        after = []
        for name, call, before in zip(self.layers, calls, state or (None,) * len(calls)):
            x, layer_state = call(x, before)
            after.append(layer_state)
            if probe is not None:
                probe(name, x)
        return x, tuple(after)

    def _enter(self, frames: Tensor) -> Tensor:
        """[N,C,H,W] in the weights' precision and channels_last, which the layers then keep: one conversion, here."""
        dtype = next(self.parameters()).dtype
        return frames.to(dtype, memory_format=torch.channels_last)

    def _check(self, frames: Tensor, axes: str, state: NetworkState | None) -> None:
        count = len(axes.split(","))
        if frames.ndim != count or tuple(frames.shape[-3:]) != self.frame_shape:
            expected = ",".join([*axes.split(",")[:-3], *(str(size) for size in self.frame_shape)])
            raise ShapeError(
                f"frames [{axes}] = {list(frames.shape)} do not fit this network, which takes [{expected}]: "
                "bin or downsample to this size, or build the network for yours"
            )
        if state is not None and len(state) != len(self.layers):
            raise ShapeError(
                f"state of {len(state)} layers does not fit this network of {len(self.layers)}: "
                "pass what an earlier call of the same network returned"
            )
