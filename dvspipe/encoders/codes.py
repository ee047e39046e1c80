"""Which spike code a name means, and how any encoder is built from a name. Settings are plain values, as a recipe holds
them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from types import UnionType
from typing import Any

from dvspipe.encoders.burst import Burst
from dvspipe.encoders.encoder import Encoder
from dvspipe.encoders.latency import Latency, LatencyLog
from dvspipe.encoders.phase import Phase
from dvspipe.encoders.rank import Rank
from dvspipe.encoders.rate import Integrate, Poisson
from dvspipe.encoders.threshold import EqualFrequency, Threshold
from dvspipe.errors import UsageError, nearest

SPIKE_CODES: dict[str, type[Encoder]] = {
    code.name: code for code in (Poisson, Integrate, Latency, LatencyLog, Phase, Burst, Threshold, EqualFrequency, Rank)
}


def build_from(
    table: Mapping[str, type[Encoder]], what: str, name: str, steps: int, settings: Mapping[str, Any]
) -> Encoder:
    """The encoder `name` of `table` for T = `steps`. Raises `UsageError` for an unknown word, setting, type or T."""
    known = list(table)
    if name not in table:
        raise UsageError(f"unknown {what} '{name}'{nearest(str(name), known)}: known are {', '.join(known)}")
    own = {key: each for key, each in inspect.signature(table[name]).parameters.items() if key != "steps"}
    hints = typing.get_type_hints(table[name].__init__)
    for key in settings:
        if key not in own:
            raise UsageError(
                f"encoder '{name}' has no setting '{key}'{nearest(key, list(own))}: known are {', '.join(own) or 'none'}"
            )
        if not _fits(settings[key], hints[key]):
            raise UsageError(f"encoder '{name}': {key} = {settings[key]!r} is not of type {own[key].annotation}")
    return table[name](steps, **settings)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type such as bool, `int | None` or `Mapping[str, Any] | None`; True is no number here."""
    parts = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    kinds = [typing.get_origin(part) or part for part in parts]
    kinds += [int] if float in kinds else []
    return isinstance(value, tuple(kinds)) and (not isinstance(value, bool) or bool in kinds)
