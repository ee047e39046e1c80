"""One live session: bins from a player, through a network, to decisions; with everything it counts on the way.

Knows no view and no file; `live` opens those.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dvspipe.decision.blocks import Blocks, ClipBatches, in_blocks
from dvspipe.decision.decider import Decider
from dvspipe.decision.stepping import SlidingClip, Stepwise, stepper
from dvspipe.jobs.live_fitting import decision_settings
from dvspipe.jobs.runs import Run
from dvspipe.jobs.truth import labels_of
from dvspipe.live.bins import LiveBin
from dvspipe.live.controls import Controls
from dvspipe.live.playing import Player, in_thread
from dvspipe.live.ring import RING_BINS, Drop, Ring
from dvspipe.live.sources.part import Part, Source
from dvspipe.metrics.live import LiveRecord
from dvspipe.show.moment import Label
from dvspipe.snn.looking_on import Onlooker
from dvspipe.snn.resting import rested
from dvspipe.snn.sparse_step import quickest_step

LOOK_S = 0.1  # least time from one look into the network to the next


class Decided(NamedTuple):
    """A bin, the row that goes into the log, the label that is true then, and what the evidence is."""

    bin: LiveBin
    row: dict[str, Any]
    truth: str | None
    evidence: NDArray[np.float64]
    looked: bool


@dataclass(frozen=True, slots=True)
class Playing:
    """How to play: `speed` times real time (0: as fast as possible), what happens when the network is too slow, after how
    long a silence it starts at rest again (0: never), how many bins a call of the network takes, whether what happened is
    kept for a report, and whether anybody looks inside the network.
    """

    speed: float = 1.0
    drop: Drop = "oldest"
    ring: int = RING_BINS
    reset_gap_ms: float = 500.0
    block: int = 1
    keep: bool = False
    looking: bool = False


@dataclass
class Session:
    """Feeds `run` with the bins of `source`."""

    run: Run
    source: Source
    how: Playing = field(default_factory=Playing)

    def __post_init__(self) -> None:
        run, how = self.run, self.how
        self.controls = Controls(how.speed, paced=not self.source.is_camera)
        self.ring = Ring(how.ring, how.drop)
        self.player = Player(
            self.source, run.bin_us, run.sensor_size, run.downsample, self.controls, find_ends=how.looking
        )
        self.settings, self.settings_from = decision_settings(run)
        self.decider = Decider(self.settings, len(run.classes), run.bin_us / 1000, run.model.spiking_out)
        self.network: Stepwise | SlidingClip | Blocks | ClipBatches = (
            in_blocks(run.model, run.n_bins)  # type: ignore[arg-type]
            if how.block > 1
            else stepper(quickest_step(run.model), run.n_bins, rested)
        )
        self.onlooker = Onlooker(run.model) if how.looking else None
        self.record = LiveRecord()
        self.bins = self.events = self.resets = 0
        self.labels: list[Label] = []
        self.ended = "the recording ended"
        self._stretch, self._last, self._silent, self._looked_s = -1, -1, 0, 0.0
        self._warm_up()

    def decided(self) -> Generator[Decided, None, None]:
        """Every bin that reached the network, decided. What the caller does between two of them counts as emitting."""
        threaded = self.controls.speed > 0 or self.source.is_camera or self.how.looking
        self.started = time.perf_counter()
        bins = in_thread(self.player, self.ring) if threaded else self.player.bins()
        try:
            for group in self._groups(bins):
                taken = time.perf_counter()
                yield from self._decide(group, taken)
                if self.controls.stopped:
                    break
            if self.controls.stopped:
                self.ended = "stopped"
        finally:
            if hasattr(bins, "close"):
                bins.close()
            if self.onlooker is not None:
                self.onlooker.close()
            self.source.close()

    def _warm_up(self) -> None:
        """Compiles and fills caches before the clock starts, and before anybody is told to watch or to send."""
        scale = self.run.downsample
        height, width = (-(-side // scale) for side in self.run.sensor_size[::-1])
        empty = np.zeros((2, height, width), np.int32)
        for _ in range(5):
            output = self._outputs([LiveBin(0, 0, 0, empty, 0.0)] * self.how.block, 0, looked=True)
            self.decider.update(output[0], 0.0)
        self._reset()

    def _groups(self, bins: Iterator[LiveBin]) -> Iterator[list[LiveBin]]:
        """Bins in groups that go through the network in one call: of one stretch, without a reset in between."""
        group: list[LiveBin] = []
        for each in bins:
            starts = self._starts_anew(each)
            if group and (starts or len(group) == self.how.block):
                yield group
                group = []
            if starts:
                self._enter(each)
            group.append(each)
            if len(group) == self.how.block:
                yield group
                group = []
        if group:
            yield group

    def _starts_anew(self, each: LiveBin) -> bool:
        """Whether the network has to be at rest before this bin: another stretch, or a long silence that ends."""
        silent, self._silent = self._silent, 0 if each.frame.any() else self._silent + 1
        gap = self.how.reset_gap_ms * 1000 / self.run.bin_us
        return each.stretch != self._stretch or (gap > 0 and silent >= gap and self._silent == 0)

    def _enter(self, each: LiveBin) -> None:
        if each.stretch != self._stretch:
            recording = self.part_of(each).recording
            self.labels = labels_of(recording, self.run.classes) if recording is not None else []
            self._stretch, self._last = each.stretch, each.index - 1
        else:
            self.resets += 1
        self._reset()

    def _reset(self) -> None:
        self.network.reset()
        self.decider.reset()
        if self.onlooker is not None:
            self.onlooker.reset()

    def part_of(self, each: LiveBin) -> Part:
        """The recording or camera that a bin came from."""
        return self.player.stretches[each.stretch][0]

    def _decide(self, group: list[LiveBin], taken: float) -> Iterator[Decided]:
        skipped = group[0].index - self._last - 1
        looked = self._wants_to_look()
        outputs = self._outputs(group, skipped, looked)
        stepped = time.perf_counter()
        if skipped:
            self.decider.skip(skipped)
        for each, output in zip(group, outputs):
            self._last = each.index
            decided = self._settle(each, output, looked, self._ready_s(each, taken))
            decided_s = time.perf_counter()
            stages = {
                "queue": taken - self._ready_s(each, taken),
                "step": stepped - taken,
                "decide": decided_s - stepped,
            }
            yield decided
            stages["emit"] = time.perf_counter() - decided_s
            self.record.stages({name: 1000 * max(0.0, seconds) for name, seconds in stages.items()})

    def _outputs(self, group: list[LiveBin], skipped: int, looked: bool) -> NDArray[np.float32]:
        """[n,K] of the bins of a group."""
        if isinstance(self.network, Blocks | ClipBatches):
            return self.network.outputs(np.stack([each.frame for each in group]))
        probe = self.onlooker.probe if looked and self.onlooker is not None else None
        return self.network.score(group[0].frame, skipped, probe)[None]

    def _wants_to_look(self) -> bool:
        if self.onlooker is None:
            return False
        now = time.perf_counter()
        looked = now - self._looked_s >= LOOK_S
        self.onlooker.look(looked)
        self._looked_s = now if looked else self._looked_s
        return looked

    def _ready_s(self, each: LiveBin, taken: float) -> float:
        """From when latency counts. As fast as possible no camera waits: then it counts from when the network was free."""
        return taken if self.controls.speed == 0 else each.ready_s

    def _settle(self, each: LiveBin, output: NDArray[np.float32], looked: bool, ready_s: float) -> Decided:
        """Evidence, decision, and the row that says so."""
        count, classes = int(each.frame.sum()), self.run.classes
        decision = self.decider.update(output, count * 1e6 / self.run.bin_us)
        self.bins, self.events = self.bins + 1, self.events + count
        raw = int(output.argmax())
        row = {
            "bin": each.index,
            "t_us": each.t_us,
            "label": None if decision.label is None else classes[decision.label],
            "confidence": decision.confidence,
            "raw": classes[raw] if output[raw] > 0 or not self.run.model.spiking_out else None,
            "events": count,
            "latency_ms": (time.perf_counter() - ready_s) * 1000,
        }
        truth = self.truth_at(each.t_us)
        due_ms = self.run.bin_us / 1000 / self.controls.speed if self.controls.speed > 0 else None
        self.record.add(row, truth, due_ms)
        return Decided(each, row, truth, self.decider.evidence, looked)

    def truth_at(self, t_us: int) -> str | None:
        """The label at a bin's end, where the recording is labelled."""
        return next((each.name for each in self.labels if each.start_us < t_us <= each.stop_us), None)

    def stats(self, decided: Decided) -> dict[str, Any]:
        """Running figures for a view."""
        elapsed = max(1e-9, time.perf_counter() - self.started)
        return {
            **self.record.recent(),
            "latency_ms": decided.row["latency_ms"],
            "event_rate": decided.row["events"] * 1e6 / self.run.bin_us,
            "queue": len(self.ring),
            "dropped_bins": self.ring.dropped_bins,
            "dropped_events": self.ring.dropped_events,
            "speed": self.bins * self.run.bin_us / 1e6 / elapsed,
            "paused": self.controls.paused,
        }

    def result(self) -> dict[str, Any]:
        """The contract's JSON, with the counts of the binning beside it."""
        ring, counts, seconds = self.ring, self.player.counts, time.perf_counter() - self.started
        parts = list({id(part): part for part, _ in self.player.stretches}.values())
        return {
            "bins": self.bins,
            "events": self.events,
            **self.record.result(),
            "dropped_bins": ring.dropped_bins,
            "dropped_events": ring.dropped_events,
            "merged_bins": ring.merged_bins,
            "drop": ring.drop,
            "late_events": counts.late,
            "tail_events": counts.tail,
            "resets": self.resets,
            "mode": self.network.mode,
            "speed": self.how.speed,
            "x_real_time": self.bins * self.run.bin_us / 1e6 / max(1e-9, seconds),
            "recordings": len(parts),
            "skipped": list(self.source.skipped),
            "losses": parts[-1].losses if parts and parts[-1].is_camera else None,
            "decisions_from": self.settings_from,
            "ended": self.ended,
        }
