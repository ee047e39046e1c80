"""Mean and maximum of each plane: what temporal and channel attention look at."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def plane_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and maximum over (H,W): [T,B,C,H,W] -> two [T,B,C]; in [T,B,F] every element is its own plane."""
    if x.ndim == 3:
        return x, x
    # Channels last, so that the mean's gradient lies in memory as the current does; of all maxima only the pooling call is
    # fast there and picks the first among equals.
    return x.movedim(2, -1).mean((2, 3)), F.adaptive_max_pool2d(x.flatten(0, 1), 1).view(x.shape[:3])


def step_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and maximum of each step over all but batch: [T,B,...] -> two [T,B]. Without gradients in one go each: which of
    equal maxima is first is the gradient's question.
    """
    if not torch.is_grad_enabled():
        flat = (x.movedim(2, -1) if x.ndim == 5 else x).flatten(2)  # a view in channels_last
        return flat.mean(2), flat.amax(2)
    mean, maximum = plane_statistics(x)
    return mean.mean(2), maximum.max(2).values
