"""`LiveBin`: one closed bin on its way from the reader to the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LiveBin:
    """`stretch` counts up with every recording and every seek: where it changes, the network starts at rest.

    `index` counts bins on the recording's own grid, so a gap shows bins that were dropped; `t_us` is the bin's end,
    sensor time; `frame` int32 [2,H,W]. `ready_s` is the perf_counter time from which a decision's latency counts: when
    the last event of the bin was there (at speed 0: when the bin was closed). `merged` bins before it were summed into
    it.
    """

    stretch: int
    index: int
    t_us: int
    frame: NDArray[np.int32]
    ready_s: float
    merged: int = 0
