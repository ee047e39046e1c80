"""Which attention a layer gets, from plain words. The one place that lists variants and placements.

The slot sits between pooling and neuron. A placement that acts on the current, as `released`, is a module with
`forward(current)` and `live`. One that acts on the membrane between integration and threshold replaces the slot's
owner, `layers.Spiking`, whose state has room for its memory.
"""

from __future__ import annotations

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.attention.released import ReleasedAttention

# Word in a recipe -> factors, always applied in the order T, C, S.
VARIANTS = {
    "none": None,
    "relu": "",
    "TA": "T",
    "CA": "C",
    "SA": "S",
    "TCA": "TC",
    "TSA": "TS",
    "CSA": "CS",
    "TCSA": "TCS",
}
PLACEMENTS = ("released",)


def attention_factors(variant: str) -> str | None:
    """Factors of a variant as a part of "TCS"; None for no attention at all. Raises `UsageError` for an unknown one."""
    if variant not in VARIANTS:
        known = list(VARIANTS)
        raise UsageError(f"unknown attention '{variant}'{nearest(variant, known)}: known are {', '.join(known)}")
    return VARIANTS[variant]


def build_attention(
    variant: str,
    *,
    placement: str = "released",
    spatial: bool = True,
    steps: int,
    channels: int,
    c_ratio: int = 8,
    t_ratio: int = 5,
    gate_gain: int = 1,
) -> ReleasedAttention | None:
    """Attention for a layer of `channels` over clips of `steps` bins, or None for a layer without.

    `spatial=False` is a fully connected layer: it has TA when the variant has, and otherwise nothing, not even the
    ReLU. Raises `UsageError` for unknown words and for a ratio larger than its axis.
    """
    factors = attention_factors(variant)
    if placement not in PLACEMENTS:
        known = ", ".join(PLACEMENTS)
        raise UsageError(
            f"unknown attention placement '{placement}'{nearest(placement, list(PLACEMENTS))}: known are {known}"
        )
    if factors is not None and not spatial:
        factors = "T" if "T" in factors else None
    if factors is None:
        return None
    return ReleasedAttention(factors, steps, channels, c_ratio, t_ratio, gate_gain)
