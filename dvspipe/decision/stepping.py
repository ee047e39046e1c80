"""Feeding a network bin by bin: one step with carried state where it can, a sliding clip where it must see a whole clip.

`blocks` does the same for many bins at once. Knows no time constants and no thresholds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dvspipe.decision.readout import rate

Probe = Callable[[str, Tensor], None]
Rest = Callable[[Any, Any, int], Any]


class LiveNetwork(Protocol):
    """What stepping needs of a network (any of `snn/networks`)."""

    live: bool

    def __call__(self, frames: Tensor, state: Any = None, probe: Probe | None = None) -> tuple[Tensor, Any]: ...

    def step(self, frame: Tensor, state: Any = None, probe: Probe | None = None) -> tuple[Tensor, Any]: ...


class Stepwise:
    """One bin = one step, state carried: for networks that never look ahead. Adds no latency beyond the bin.

    `rest(network, state, steps)` gives the state after steps without input (`snn.resting.rested`).
    """

    mode = "stepwise"

    def __init__(self, network: LiveNetwork, rest: Rest) -> None:
        self.network, self.rest = network, rest
        self.reset()

    def reset(self) -> None:
        """Forgets the membrane potentials."""
        self.state: Any = None

    @torch.inference_mode()
    def score(self, frame: NDArray[np.int32], skipped: int = 0, probe: Probe | None = None) -> NDArray[np.float32]:
        """Outputs [K] of this bin; during `skipped` dropped bins before it the membrane only leaked."""
        state = self.rest(self.network, self.state, skipped) if skipped else self.state
        out, self.state = self.network.step(torch.from_numpy(frame)[None].float(), state, probe)
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
    def score(self, frame: NDArray[np.int32], skipped: int = 0, probe: Probe | None = None) -> NDArray[np.float32]:
        """Mean outputs [K] over the clip that ends with this bin; dropped bins count as empty ones."""
        self._add(frame, skipped)
        out, _ = self.network(torch.from_numpy(np.stack(self.clip))[:, None].float(), None, probe)
        return rate(out)[0].numpy()

    def _add(self, frame: NDArray[np.int32], skipped: int) -> None:
        missing = self.n_bins if not self.clip else skipped
        self.clip.extend([np.zeros_like(frame)] * min(missing, self.n_bins))
        self.clip.append(frame)


def stepper(network: LiveNetwork, n_bins: int, rest: Rest) -> Stepwise | SlidingClip:
    """The cheapest way this network allows."""
    return Stepwise(network, rest) if network.live else SlidingClip(network, n_bins)
