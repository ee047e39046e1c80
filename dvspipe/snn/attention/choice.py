"""Which attention a layer gets, from plain words. The one place that lists variants and placements."""

from __future__ import annotations

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.attention.causal import CausalAttention
from dvspipe.snn.attention.paper import PaperAttention
from dvspipe.snn.attention.released import ReleasedAttention
from dvspipe.snn.attention.slot import Attention

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
PLACEMENTS = ("released", "paper", "causal")


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
    relu: bool | None = None,
    attention_bins: int = 8,
) -> Attention | None:
    """Attention for a layer of `channels` over clips of `steps` bins, or None for a layer without.

    `spatial=False` is a fully connected layer: it has TA when the variant has, and otherwise nothing, not even the
    ReLU. `relu` ends the re-weighting; None is as published: with it in `released`, without in `paper` and `causal`.
    The variant "relu" is that ReLU alone, on the current, in any placement. `attention_bins` is how far `causal` looks
    back. Raises `UsageError` for unknown words and for a ratio larger than its axis.
    """
    factors = attention_factors(variant)
    if placement not in PLACEMENTS:
        known = ", ".join(PLACEMENTS)
        raise UsageError(
            f"unknown attention placement '{placement}'{nearest(placement, list(PLACEMENTS))}: known are {known}"
        )
    if factors == "" and relu is False:
        raise UsageError("attention 'relu' with relu = false is no attention: use attention 'none', or leave relu out")
    if factors is not None and not spatial:
        factors = "T" if "T" in factors else None
    if factors is None:
        return None
    ends_in_relu = relu if relu is not None else placement == "released" or not factors
    settings = (factors, steps, channels, c_ratio, t_ratio, gate_gain, ends_in_relu)
    if placement == "causal":
        return CausalAttention(*settings, attention_bins)
    return (PaperAttention if placement == "paper" else ReleasedAttention)(*settings)
