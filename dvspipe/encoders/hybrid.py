"""Hybrid coding: the first step shows the image itself, all others a spike code of it.

From ASNN (arXiv 2408.12407): one analog step, un-normalised, spares the spike code its fine levels. Over the threshold code
this is ASNN's "mix time", over the rank code its "mix embedding". The released comparison is confounded: its direct mode has
normalised images, its mixed modes an extra convolution and norm for the first step. Hence `own_stem` is a setting here, and
images are in [0,1] as for every spike code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dvspipe.encoders.codes import SPIKE_CODES, build_from
from dvspipe.encoders.encoder import Encoder


class Hybrid(Encoder):
    """Step 1 is the image; steps 2..T are the spike code `temporal` of T - 1 steps, built with `settings`.

    The threshold codes then have thresholds 1 - 1/T ... 1 - (T-1)/T: pixels darker than 1/T (also the black corners of a
    rotated image) are only in the analog step. The rank code has T - 1 bits. At T = 2 a latency or rank code has one step, in
    which every pixel spikes: only the image in step 1 tells pixels apart. `own_stem`: the network is to give the analog step
    a convolution and norm of its own. The energy is one multiply-accumulate pass, then accumulates.
    """

    name = "hybrid"

    def __init__(
        self,
        steps: int,
        temporal: str = "threshold",
        own_stem: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(steps, least=2)
        self.own_stem = own_stem
        given = dict(settings or {})
        if temporal in SPIKE_CODES:
            given = {**SPIKE_CODES[temporal].beside_analog, **given}
        self.code = build_from(SPIKE_CODES, "spike code for encoder.temporal", temporal, steps - 1, given)

    @property
    def analog(self) -> tuple[bool, ...]:
        """Only the first step holds real numbers."""
        return (True, *self.code.analog)

    @property
    def bound(self) -> float | None:
        """Exact, by the analog step; `code.bound` is that of the spikes alone."""
        return 0.0

    def _encode(self, image: Tensor) -> Tensor:
        return torch.cat([image[None], self.code._encode(image)])

    def _decode(self, code: Tensor) -> Tensor:
        return code[0]
