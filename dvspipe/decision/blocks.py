"""Many bins in one call, for recordings played at full speed: the outputs of single steps, in a fraction of their time.

Networks that never look ahead carry their state from block to block (equal to stepping, law 4); the others see, for every
bin, the clip that ends with it, several clips as one batch. Knows no thresholds, files or clocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dvspipe.decision.readout import rate
from dvspipe.decision.stepping import LiveNetwork

BLOCK_BINS = 32  # longer blocks are hardly faster and hold more activations
BATCH_CLIPS = 16


class Blocks:
    """State carried over blocks of bins: what `Stepwise` gives, for `live` networks."""

    mode = "stepwise"

    def __init__(self, network: LiveNetwork) -> None:
        self.network = network
        self.reset()

    def reset(self) -> None:
        """Forgets the membrane potentials."""
        self.state: Any = None

    @torch.inference_mode()
    def outputs(self, frames: NDArray[np.int32]) -> NDArray[np.float32]:
        """Frames of the next n >= 1 bins [n,2,H,W] -> outputs of each [n,K]."""
        found = []
        for low in range(0, len(frames), BLOCK_BINS):
            block = torch.from_numpy(frames[low : low + BLOCK_BINS])[:, None].float()
            out, self.state = self.network(block, self.state)
            found.append(out[:, 0].float().numpy())
        return np.concatenate(found)


class ClipBatches:
    """The clip of `n_bins` bins that ends with each bin, recomputed for each: what `SlidingClip` gives.

    Slow, about `n_bins` times the work of `Blocks`: attention that pools over time leaves no other way. Before `n_bins`
    bins have come, the clip is filled with empty bins at its start.
    """

    mode = "sliding-clip"

    def __init__(self, network: LiveNetwork, n_bins: int) -> None:
        self.network, self.n_bins = network, n_bins
        self.reset()

    def reset(self) -> None:
        """Forgets the clip."""
        self.before: NDArray[np.int32] | None = None

    @torch.inference_mode()
    def outputs(self, frames: NDArray[np.int32]) -> NDArray[np.float32]:
        """Frames of the next n >= 1 bins [n,2,H,W] -> mean output over the clip that ends with each [n,K]."""
        if self.before is None:
            self.before = np.zeros((self.n_bins - 1, *frames.shape[1:]), np.int32)
        seen = np.concatenate([self.before, frames])
        self.before = seen[len(frames) :]
        found = []
        for low in range(0, len(frames), BATCH_CLIPS):
            count = min(BATCH_CLIPS, len(frames) - low)
            clips = np.stack([seen[low + shift : low + shift + count] for shift in range(self.n_bins)])
            found.append(rate(self.network(torch.from_numpy(clips).float())[0]).numpy())
        return np.concatenate(found)


def in_blocks(network: LiveNetwork, n_bins: int) -> Blocks | ClipBatches:
    """The cheapest way this network allows; `n_bins` is the length of the clips it was trained on."""
    return Blocks(network) if network.live else ClipBatches(network, n_bins)
