"""Which attention a layer gets, from plain words. The one place that lists variants and placements."""

from __future__ import annotations

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.attention.causal import CausalAttention
from dvspipe.snn.attention.constant import ConstantAttention
from dvspipe.snn.attention.eca import EfficientChannelAttention
from dvspipe.snn.attention.paper import PaperAttention
from dvspipe.snn.attention.per_step import StepAttention
from dvspipe.snn.attention.released import ReleasedAttention
from dvspipe.snn.attention.simam import SimpleAttention
from dvspipe.snn.attention.slot import Attention
from dvspipe.snn.attention.tcja import JointAttention

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
PER_STEP: dict[str, type[StepAttention]] = {"ECA": EfficientChannelAttention, "SimAM": SimpleAttention}
KNOWN = (*VARIANTS, "constant", "TCJA", *PER_STEP)
PLACEMENTS = ("released", "paper", "causal")
STARTS = ("random", "neutral")
CONTROLS = ("none", "relu", "constant")  # they have no gate to start anywhere


def build_attention(
    variant: str,
    *,
    placement: str = "released",
    spatial: bool = True,
    steps: int,
    channels: int,
    c_ratio: int = 8,
    t_ratio: int = 5,
    gate_gain: float = 1.0,
    relu: bool | None = None,
    gate_start: str = "random",
    attention_bins: int = 8,
) -> Attention | None:
    """Attention for a layer of `channels` over clips of `steps` bins, or None for a layer without.

    `spatial=False` is a fully connected layer: it has TA when the variant has, and otherwise nothing, not even the
    ReLU. `relu` ends the re-weighting; None is as published: with it in `released`, without in `paper` and `causal`.
    `gate_start` "neutral" starts every gate at gate_gain / 2, "random" as torch starts weights. `attention_bins` is how
    far `causal` looks back.

    The variants "relu" (that ReLU alone) and "constant" (every gate of TCSA at its neutral value) are controls; they
    act on the current in any placement. "ECA" and "SimAM" act on the current in `released` and on the membrane in
    `paper` and `causal`; "TCJA" needs the whole clip. Raises `UsageError` for unknown words, for a ratio larger than
    its axis and for a variant that the placement cannot have.
    """
    _check(variant, placement, relu, gate_start)
    if variant in VARIANTS:
        settings = (steps, channels, c_ratio, t_ratio, gate_gain)
        attention = _factored(variant, placement, spatial, settings, relu, attention_bins)
    else:
        attention = _alternative(variant, placement, spatial, (steps, channels), gate_gain, relu)
    if gate_start == "neutral" and attention is not None and variant not in CONTROLS:
        attention.start_neutral()
    return attention


def _factored(
    variant: str,
    placement: str,
    spatial: bool,
    settings: tuple[int, int, int, int, float],
    relu: bool | None,
    attention_bins: int,
) -> Attention | None:
    """A part of "TCS"; `settings` are T, C, c_ratio, t_ratio and the gain."""
    factors = VARIANTS[variant]
    if factors is not None and not spatial:
        factors = "T" if "T" in factors else None
    if factors is None:
        return None
    ends_in_relu = relu if relu is not None else placement == "released" or not factors
    if placement == "causal":
        return CausalAttention(factors, *settings, ends_in_relu, attention_bins)
    return (PaperAttention if placement == "paper" else ReleasedAttention)(factors, *settings, ends_in_relu)


def _check(variant: str, placement: str, relu: bool | None, gate_start: str) -> None:
    words = (
        ("attention", variant, KNOWN),
        ("attention placement", placement, PLACEMENTS),
        ("gate_start", gate_start, STARTS),
    )
    for kind, word, known in words:
        if word not in known:
            raise UsageError(f"unknown {kind} '{word}'{nearest(word, list(known))}: known are {', '.join(known)}")
    if variant == "relu" and relu is False:
        raise UsageError("attention 'relu' with relu = false is no attention: use attention 'none', or leave relu out")
    if variant == "TCJA" and placement != "released":
        raise UsageError(
            f"attention 'TCJA' has no placement '{placement}': it weighs the current of a whole clip; "
            "use placement 'released', or for a network that runs live attention 'ECA' or 'TCSA'"
        )


def _alternative(
    variant: str, placement: str, spatial: bool, shape: tuple[int, int], gate_gain: float, relu: bool | None
) -> Attention | None:
    """What is no part of "TCS"; `shape` is (T,C)."""
    if variant == "constant":
        return ConstantAttention("TCS" if spatial else "T", shape[0], gate_gain, relu is not False)
    if not spatial:
        return None
    ends_in_relu = relu if relu is not None else placement == "released"
    if variant == "TCJA":
        return JointAttention(*shape, gate_gain, ends_in_relu)
    return PER_STEP[variant](*shape, gate_gain, ends_in_relu, placement)
