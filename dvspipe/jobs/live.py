"""`dvspipe live`: a recording plays through a trained network as a camera would; one bin in, one decision out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.decision.smoothing import Evidence
from dvspipe.decision.stepping import SlidingClip, stepper
from dvspipe.errors import RunError, UsageError
from dvspipe.events import Events
from dvspipe.events.fitting import fit_sensor
from dvspipe.frames.binning import Binner
from dvspipe.frames.pacing import LiveBin, Ring, paced, unpaced
from dvspipe.jobs.inspect import damage_as_dict
from dvspipe.jobs.runs import Run, load_run
from dvspipe.jobs.truth import Label, labels_of
from dvspipe.metrics.live import LiveRecord
from dvspipe.recordings import Recording, open_recording
from dvspipe.show.progress import say
from dvspipe.show.terminal import LiveView

CLIP_KEPT = 160  # frames kept for the report's animation


def live(
    source: Path, run: Path, speed: float = 1.0, view: str = "terminal", out: Path | None = None
) -> dict[str, Any]:
    """Plays `source` through `run`.

    Returns `bins, decisions, p50_ms, p95_ms, p99_ms, max_ms, late_bins, dropped_bins, dropped_events, damage` and more.
    With `out`, one JSON line per bin: bin, t_us (end of the bin), label or null, confidence, latency_ms.
    Raises RecordingError, RunError, UsageError.
    """
    return play(source, load_run(run), speed, view, out).result()


def play(
    source: Path, run: Run, speed: float, view: str = "none", out: Path | None = None, keep: bool = False
) -> Session:
    """One whole session. With `keep` it holds every decision afterwards, for a report."""
    if speed < 0:
        raise UsageError(f"--speed {speed}: allowed is 0 (as fast as possible) or a positive factor, 1 = real time.")
    recording = open_recording(source)
    session = Session(run, recording, labels_of(recording, run.classes), speed, keep)
    say(session.headline())
    with ExitStack() as stack:
        sink = stack.enter_context(JsonLines(out)) if out else None
        screen = (
            stack.enter_context(LiveView(run.classes, title=f"{source.name} · {run.name}"))
            if view == "terminal"
            else None
        )
        for row, frame, truth in session.run_bins():
            if sink is not None:
                sink.write(row)
            if screen is not None:
                screen.update(frame, session.evidence_by_class(), row["label"], truth, session.stats(row, frame))
    return session


@dataclass
class Session:
    """Reader, binner, network and decision of one live run, with everything it counts."""

    run: Run
    recording: Recording
    labels: list[Label]
    speed: float
    keep: bool = False
    clip: list[NDArray[np.int32]] = field(default_factory=list)

    def __post_init__(self) -> None:
        recipe = self.run.recipe
        self.stepper = stepper(self.run.model, self.run.n_bins)  # type: ignore[arg-type]
        clipwise = isinstance(self.stepper, SlidingClip)  # its score is a mean over a clip already
        tau_ms = 0.0 if clipwise else recipe.live.evidence_ms
        self.evidence = Evidence(len(self.run.classes), self.run.bin_us / 1000, tau_ms, recipe.live.threshold)
        self.binner = Binner(self.run.bin_us, self.run.sensor_size, downsample=self.run.downsample)
        self.ring = Ring()
        self.record = LiveRecord(self.keep)
        self.late_bins, self.bins = 0, 0
        self.started = time.perf_counter()

    def headline(self) -> str:
        """One line on how this network is fed, and what that costs in latency."""
        size, own = self.recording.sensor_size, self.run.sensor_size
        note = f"; {size[0]}x{size[1]} events fitted to {own[0]}x{own[1]}" if size != own else ""
        clip_ms = self.run.n_bins * self.run.bin_us / 1000
        how = f"{self.stepper.mode}, {self.run.bin_us / 1000:g} ms bins"
        if isinstance(self.stepper, SlidingClip):
            how += f", clip of {clip_ms:g} ms: a new gesture needs up to that long to fill it"
        return f"{self.run.name}: {how}{note}"

    def run_bins(self) -> Iterator[tuple[dict[str, Any], NDArray[np.int32], str | None]]:
        """(decision row, frame, true label where known) of every bin that was not dropped."""
        self._warm_up()
        frames = _frames(self.binner, self.recording, self.run.sensor_size)
        bins = unpaced(frames) if self.speed == 0 else paced(frames, self.run.bin_us, self.speed, self.ring)
        self.started = time.perf_counter()
        last = -1
        for each in bins:
            row = self._decide(each, skipped=each.index - last - 1)
            last = each.index
            truth = self.truth_at(row["t_us"])
            self.record.add(row, truth)
            if self.keep and len(self.clip) < CLIP_KEPT:
                self.clip.append(each.frame)
            yield row, each.frame, truth

    def _decide(self, each: LiveBin, skipped: int) -> dict[str, Any]:
        quiet = int(each.frame.sum()) < self.run.recipe.live.min_events
        best, confidence = self.evidence.update(self.stepper.score(each.frame, skipped))
        latency_ms = (time.perf_counter() - each.ready_s) * 1000
        self.bins = each.index + 1
        self.late_bins += self.speed > 0 and latency_ms > self.run.bin_us / 1000 / self.speed
        label = None if best is None or quiet else self.run.classes[best]
        t_us = (self.binner.t0_us or 0) + (each.index + 1) * self.run.bin_us
        return {"bin": each.index, "t_us": t_us, "label": label, "confidence": confidence, "latency_ms": latency_ms}

    def _warm_up(self) -> None:
        """Compiles and fills caches before the clock starts."""
        empty = np.zeros(self.binner.frame_shape, np.int32)
        for _ in range(3):
            self.stepper.score(empty)
        self.stepper.reset()

    def evidence_by_class(self) -> dict[str, float]:
        """Current evidence of every class."""
        return dict(zip(self.run.classes, self.evidence.value.tolist()))

    def truth_at(self, t_us: int) -> str | None:
        """The label at a time, where the recording is labelled."""
        return next((each.name for each in self.labels if each.start_us < t_us <= each.stop_us), None)

    def stats(self, row: dict[str, Any], frame: NDArray[np.int32]) -> dict[str, Any]:
        """Running figures for a view."""
        elapsed = max(1e-9, time.perf_counter() - self.started)
        return {
            **self.record.recent(),
            "t_us": row["t_us"],
            "confidence": row["confidence"],
            "event_rate": float(frame.sum()) / (self.run.bin_us / 1e6),
            "queue": len(self.ring),
            "dropped_bins": self.ring.dropped_bins,
            "speed": self.bins * self.run.bin_us / 1e6 / elapsed,
        }

    def result(self) -> dict[str, Any]:
        """The contract's JSON, with the counts of the binning beside it."""
        report = self.binner.finish()
        return {
            "bins": self.bins,
            **self.record.result(),
            "late_bins": self.late_bins,
            "dropped_bins": self.ring.dropped_bins,
            "dropped_events": self.ring.dropped_events,
            "late_events": report.late,
            "tail_events": report.tail,
            "mode": self.stepper.mode,
            "damage": damage_as_dict(self.recording.damage),
        }

    def picture(self) -> NDArray[np.int32] | None:
        """The first bins [T,2,H,W], for a report; None for a recording without a whole bin."""
        return np.stack(self.clip) if self.clip else None


def _frames(binner: Binner, chunks: Iterable[Events], sensor_size: tuple[int, int]) -> Iterator[NDArray[np.int32]]:
    """Closed bins one by one, in constant memory."""
    for chunk in chunks:
        for block in binner.push(fit_sensor(chunk, sensor_size)):
            yield from block


class JsonLines:
    """A file of one JSON object per line, written at once: a killed run leaves every decision made so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> RunError:
        return RunError(f"{self.path}: cannot be written ({error.strerror}). Free space or choose another --out.")

    def write(self, row: dict[str, Any]) -> None:
        """Raises RunError when the disk is full."""
        try:
            self.file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise self._refused(error) from error

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *failure: object) -> None:
        with suppress(OSError):  # what could not be written has been said by then
            self.file.close()
