"""Which encoder a name means: the one table of all. Settings are plain values, as a recipe holds them."""

from __future__ import annotations

from typing import Any

from dvspipe.encoders.codes import SPIKE_CODES, build_from
from dvspipe.encoders.direct import Direct
from dvspipe.encoders.encoder import Encoder
from dvspipe.encoders.gac import DirectLif, Gac
from dvspipe.encoders.hybrid import Hybrid
from dvspipe.encoders.single_spike import SingleSpike

ENCODERS: dict[str, type[Encoder]] = {
    Direct.name: Direct,
    DirectLif.name: DirectLif,
    Gac.name: Gac,
    **SPIKE_CODES,
    Hybrid.name: Hybrid,
    SingleSpike.name: SingleSpike,
}


def build_encoder(name: str, steps: int, **settings: Any) -> Encoder:
    """The encoder `name` for T = `steps`, built with `settings` (see its class).

    Raises `UsageError` for an unknown name or setting, or a T or value that the encoder cannot have.
    """
    return build_from(ENCODERS, "encoder", name, steps, settings)
