"""Clips [T,C,H,W] -> one batch [T,B,C,H,W]: the only place where the batch axis appears and the only transpose.

Also the one conversion of counts to float32, made while copying into the batch. Knows nothing about datasets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def batch(clips: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Clips [T,C,H,W] of any number type, one shape -> float32 [T,B,C,H,W]. Raises ShapeError when shapes differ or
    none is given.
    """
    shapes = {tuple(clip.shape) for clip in clips}
    if len(shapes) != 1:
        raise ShapeError(f"a batch [T,B,C,H,W] needs clips of one shape [T,C,H,W], got {sorted(shapes) or 'no clip'}.")
    ((steps, *rest),) = shapes
    stacked = np.empty((steps, len(clips), *rest), np.float32)
    for position, clip in enumerate(clips):
        stacked[:, position] = clip
    return stacked


def collate(samples: Sequence[tuple[NDArray[Any], Any]]) -> tuple[Tensor, Tensor]:
    """For torch's DataLoader: samples (clip [T,C,H,W], label) -> (frames float32 [T,B,C,H,W], labels int64 [B]) as
    tensors; labels of every bin, [T], become [T,B].
    """
    import torch

    clips, labels = zip(*samples)
    return torch.from_numpy(batch(clips)), torch.from_numpy(np.stack(labels, -1).astype(np.int64))
