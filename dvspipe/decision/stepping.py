"""Feeding a network bin by bin: one step with carried state where it can, a sliding clip where it must see a whole clip."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dvspipe.decision.readout import rate


class LiveNetwork(Protocol):
    """What stepping needs of a network (any of `snn/networks`)."""

    live: bool

    def __call__(self, frames: Tensor, state: Any = None) -> tuple[Tensor, Any]: ...

    def step(self, frame: Tensor, state: Any = None) -> tuple[Tensor, Any]: ...


class Stepwise:
    """One bin = one step, state carried: for networks that never look ahead. Adds no latency beyond the bin."""

    mode = "stepwise"

    def __init__(self, network: LiveNetwork) -> None:
        self.network = network
        self.reset()

    def reset(self) -> None:
        """Forgets the membrane potentials."""
        self.state: Any = None

    @torch.inference_mode()
    def score(self, frame: NDArray[np.int32], skipped: int = 0) -> NDArray[np.float32]:
        """Output spikes [K] of this bin. `skipped` dropped bins before it are stepped as empty ones, so time stays true."""
        for each in [np.zeros_like(frame)] * skipped + [frame]:
            out, self.state = self.network.step(torch.from_numpy(each)[None].float(), self.state)
        return out[0].float().numpy()


class SlidingClip:
    """The last `n_bins` bins as one clip, recomputed at every bin: for attention that pools over time.

    Before `n_bins` bins have come, the clip is filled with empty bins at its start.
    """

    mode = "sliding-clip"

    def __init__(self, network: LiveNetwork, n_bins: int) -> None:
        self.network, self.n_bins = network, n_bins
        self.reset()

    def reset(self) -> None:
        """Forgets the clip."""
        self.clip: deque[NDArray[np.int32]] = deque(maxlen=self.n_bins)

    @torch.inference_mode()
    def score(self, frame: NDArray[np.int32], skipped: int = 0) -> NDArray[np.float32]:
        """Mean output spike rate [K] over the clip that ends with this bin; dropped bins count as empty ones."""
        empty = np.zeros_like(frame)
        missing = self.n_bins if not self.clip else skipped
        self.clip.extend([empty] * min(missing, self.n_bins))
        self.clip.append(frame)
        frames = torch.from_numpy(np.stack(self.clip))[:, None].float()
        out, _ = self.network(frames)
        return rate(out)[0].numpy()


def stepper(network: LiveNetwork, n_bins: int) -> Stepwise | SlidingClip:
    """The cheapest way this network allows."""
    return Stepwise(network) if network.live else SlidingClip(network, n_bins)
