"""Single-spike hybrid (Datta, Kundu and Beerel 2021, arXiv 2107.12374): the image once, then one latency spike per pixel."""

from __future__ import annotations

from dvspipe.encoders.hybrid import Hybrid


class SingleSpike(Hybrid):
    """Step 1 is the image; every pixel then spikes once within steps 2..T, linearly the earlier the brighter.

    The first layer's weights are shared by all steps. The method's training (a converted ANN, then fine-tuning) is not part
    of the code. `silent_zero` as in `Latency`. At T = 2 all spikes fall in step 2.
    """

    name = "single-spike"

    def __init__(self, steps: int, silent_zero: bool = False) -> None:
        super().__init__(steps, "latency", own_stem=False, settings={"silent_zero": silent_zero})
