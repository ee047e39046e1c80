"""Where a recording stopped making sense, and what a reader may do about it. Knows no recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OnDamage = Literal["stop", "skip", "fail"]


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a recording stopped making sense.

    `kind` is one of "truncated", "corrupt", "out-of-bounds"; `offset` the byte of the first loss (0 where the container
    hides it); `lost_bytes` the bytes present from which no event could be delivered; `last_good_t_us` the last time
    delivered before it (None when there was none). `note` says more ("line 17: ..."), for people.
    """

    kind: str
    offset: int
    lost_bytes: int
    last_good_t_us: int | None
    note: str = ""
