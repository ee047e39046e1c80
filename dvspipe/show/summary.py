"""What a report is told: plain numbers of runs, comparisons and live sources. No figures, no words, no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dvspipe.show.encoding import Strip

Maps = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Inside:
    """One clip or image inside one network, by layer: `spikes` [H,W] (mean of the 0/1 spikes over time and channels), `rates`
    [T] (spikes per neuron), and the attention weights used: `time` [T], `channel` [C] or [T,C], `space` [H,W] or
    [T,H,W]. `neutral` is the weight of an attention that has nothing to say; None without attention. `steps` [T,H,W]
    are the spikes of every step, mean over channels.
    """

    spikes: Maps = field(default_factory=dict)
    rates: Maps = field(default_factory=dict)
    time: Maps = field(default_factory=dict)
    channel: Maps = field(default_factory=dict)
    space: Maps = field(default_factory=dict)
    neutral: float | None = None
    steps: Maps = field(default_factory=dict)


@dataclass(frozen=True)
class ImageCase:
    """One test image: `picture` [H,W,3] as the network gets it, but not normalised; `strips`, the first the encoder's
    code; `answers` {"label" or None, "confidence"} after every step; `facts` of the code as `code_strip` takes them.
    """

    picture: NDArray[Any]
    strips: list[Strip]
    answers: list[dict[str, Any]]
    facts: dict[str, Any]


@dataclass(frozen=True)
class RunSummary:
    """One evaluated run.

    `recipe` is the resolved recipe as a table of tables; `evaluation` what `evaluate` returns (shares 0..1, energies
    in µJ, times in ms); `history` one row per epoch; `clip` one clip of the test set, counts [T,2,H,W]. A missing or
    empty part of `evaluation` leaves its section out. `evaluation["clip"]`, optional, is {"truth": str, "label": str
    | None, "confidence": 0..1} for `clip`, `inside` what the network did with it. A run on images has `image` instead of
    `clip`, and a recipe with `encoder` instead of `frames`.
    """

    name: str
    path: Path | str
    recipe: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    clip: NDArray[Any] | None = None
    classes: list[str] = field(default_factory=list)
    test_samples: int = 0
    inside: Inside | None = None
    image: ImageCase | None = None

    @property
    def bin_ms(self) -> float | None:
        """Length of a time bin, ms, where the recipe tells."""
        bin_us = (self.recipe.get("frames") or {}).get("bin_us")
        return bin_us / 1000 if bin_us else None

    @property
    def sample(self) -> str:
        """What it was tested on, as people call one."""
        return "image" if self.recipe.get("encoder") else "clip"


@dataclass(frozen=True)
class LiveSummary:
    """One source that was run live.

    `decisions`: {"bin", "t_us", "label" or None, "confidence" 0..1, "latency_ms"}, one per bin or per stretch of bins, at its
    end t_us; `truth`: {"label", "start_us", "stop_us"}; `clip`: counts [T,2,H,W] of the bins from `clip_bin` on.

    What else a page of its own shows, each left out where it is empty: `evidence` [n,K] of `classes`, `event_rate` [n]
    (1/s) and `rates` [n] by layer (spikes per neuron), in n steps that share the decisions' time evenly (any n; pages thin
    it out); `latencies_ms` of every bin; `inside` with the mean attention weights; `settings` (thresholds, drop policy,
    speed); `damage`, one or more of `kind, offset, lost_bytes, last_good_t_us`.
    """

    source: str
    result: dict[str, Any] = field(default_factory=dict)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    truth: list[dict[str, Any]] = field(default_factory=list)
    clip: NDArray[Any] | None = None
    clip_bin: int = 0
    classes: list[str] = field(default_factory=list)
    bin_us: int = 0
    evidence: NDArray[Any] | None = None
    event_rate: NDArray[Any] | None = None
    rates: Maps = field(default_factory=dict)
    latencies_ms: Sequence[float] = ()
    inside: Inside | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    damage: dict[str, Any] | Sequence[dict[str, Any]] | None = None


@dataclass(frozen=True)
class ComparisonSummary:
    """Several settings of one recipe, each with several seeds; the first setting is the control.

    `result` is what `compare` returns (`pipeline`, `seeds`, `rows`); `cells` holds every setting's evaluations in the
    order of the seeds. `looked` are runs of seed 0 that saw one and the same test clip, the control first. `recipe`
    is the resolved recipe of the control, `varied` the key=value words that make each setting.
    """

    result: dict[str, Any]
    cells: dict[str, list[dict[str, Any]]]
    recipe: dict[str, Any] = field(default_factory=dict)
    varied: dict[str, dict[str, str]] = field(default_factory=dict)
    looked: list[RunSummary] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    test_samples: int = 0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One per setting: figures as {"mean", "std"}, beside the control's."""
        rows: list[dict[str, Any]] = self.result["rows"]
        return rows
