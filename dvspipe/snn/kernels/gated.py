"""Neurons whose membrane attention re-weights at every step, for inference on the CPU: one compiled pass instead of twenty
operators a step. Without gradients; training takes the loop over steps (`LIF.forward` with a membrane function).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dvspipe.snn.attention.paper import PaperAttention
from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.kernels import gated_loops
from dvspipe.snn.kernels.constants import constants_of
from dvspipe.snn.kernels.cpu import refusal
from dvspipe.snn.lif import LIF

FEATURE_MAPS = 5  # axes of a current [T,B,C,H,W]


def takes(x: Tensor, lif: LIF, attention: Attention | None) -> bool:
    """Whether this kernel runs the current `x`: feature maps in float32 on the CPU, no gradient wanted, constant neurons, and
    nobody listening to the scores, which it never makes as tensors.
    """
    return (
        isinstance(attention, PaperAttention)
        and attention.on_membrane
        and x.ndim == FEATURE_MAPS
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and refusal(x) is None
        and lif.constant
        and not any(part._forward_hooks for part in (attention.channel, attention.space) if part is not None)
    )


def gated_scan(x: Tensor, v: Tensor | None, lif: LIF, attention: Any) -> tuple[Tensor, Tensor]:
    """Current [T,B,C,H,W] and potential [B,C,H,W] (None: at rest) -> (spikes, last potential), as `LIF.forward` gives them
    with `attention.membrane`, up to the order of sums; both channels_last. For what it `takes`.
    """
    steps, batch, channels, height, width = x.shape
    current = x.permute(0, 1, 3, 4, 2).contiguous()
    membrane = torch.zeros_like(current[0]) if v is None else v.permute(0, 2, 3, 1).contiguous().float().clone()
    spikes = torch.empty_like(current)
    rows = (steps, batch, height * width, channels)
    gated_loops.gated_scan(
        current.view(rows).numpy(),
        membrane.view(rows[1:]).numpy(),
        spikes.view(rows).numpy(),
        (height, width),
        constants_of(x, lif.neuron),
        channel_weights(attention),
        space_weights(attention),
        np.float32(attention.gain),
        attention.relu,
    )
    return spikes.permute(0, 1, 4, 2, 3), membrane.permute(0, 3, 1, 2)


def channel_weights(attention: PaperAttention) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(w0, w1) of channel attention as `gated_loops` takes them, empty where there is none."""
    if attention.channel is None:
        return np.empty((0, 0), np.float32), np.empty((0, 0), np.float32)
    return _weight(attention.channel.w0.weight), _weight(attention.channel.w1.weight)


def space_weights(attention: PaperAttention) -> NDArray[np.float32]:
    """[2,k,k] of spatial attention, likewise."""
    if attention.space is None:
        return np.empty((0, 0, 0), np.float32)
    return _weight(attention.space.conv.weight[0])


def _weight(weight: Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = weight.detach().float().contiguous().numpy()
    return values
