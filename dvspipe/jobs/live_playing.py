"""Uncut recordings of an archive, played at full speed through a run: what the network said, bin by bin. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dvspipe.decision.blocks import Blocks, ClipBatches, in_blocks
from dvspipe.decision.decider import event_rates
from dvspipe.frames import to_frames
from dvspipe.jobs.runs import Run
from dvspipe.metrics.live_quality import Window
from dvspipe.recordings import open_recording
from dvspipe.recordings.archive import Archive, Segment


@dataclass(frozen=True, slots=True)
class Played:
    """One recording. `t_us` [bins] are the ends of its bins; `outputs` [bins,K] with state never reset, `from_rest` [bins,K]
    with state reset where `onsets` [bins] is True, before each bin in which a window begins (None where not asked for);
    `event_rates` [bins] in events/s.
    """

    name: str
    windows: list[Window]
    t_us: NDArray[np.int64]
    event_rates: NDArray[np.float64]
    onsets: NDArray[np.bool_]
    outputs: NDArray[np.float32]
    from_rest: NDArray[np.float32] | None

    @property
    def seconds(self) -> float:
        """Sensor time from the first bin's start, about."""
        return float(self.t_us[-1] - self.t_us[0]) / 1e6 if len(self.t_us) else 0.0


def windows_by_recording(archive: Archive) -> dict[str, list[Segment]]:
    """Labelled windows of every recording that has any, in order of time."""
    found: dict[str, list[Segment]] = {}
    for segment in sorted(archive.segments, key=lambda each: each.start_us):
        found.setdefault(segment.recording, []).append(segment)
    return found


def play(run: Run, archive: Archive, segments: Sequence[Segment], from_rest: bool = False) -> Played:
    """Plays the recording that `segments`, all of its windows, belong to. Raises RecordingError for damaged events."""
    name = segments[0].recording
    recording = open_recording(f"{archive.path}#{name}", on_damage="fail")
    frames, report = to_frames(recording, run.bin_us, downsample=run.downsample)
    t0_us = report.t0_us or 0
    onsets = np.zeros(len(frames), np.bool_)
    for segment in segments:
        index = (segment.start_us - t0_us) // run.bin_us
        if index < len(frames):  # else the recording ends before the first whole bin of this window
            onsets[max(index, 0)] = True
    network = in_blocks(run.model, run.n_bins)  # type: ignore[arg-type]
    edges = np.flatnonzero(onsets).tolist()
    return Played(
        name=name,
        windows=[Window(each.label, each.start_us, each.stop_us) for each in segments],
        t_us=t0_us + run.bin_us * np.arange(1, len(frames) + 1, dtype=np.int64),
        event_rates=event_rates(frames, run.bin_us),
        onsets=onsets,
        outputs=_outputs(network, frames, [], len(run.classes)),
        from_rest=_outputs(network, frames, edges, len(run.classes)) if from_rest else None,
    )


def _outputs(
    network: Blocks | ClipBatches, frames: NDArray[np.int32], resets: Sequence[int], classes: int
) -> NDArray[np.float32]:
    """[bins,K], from a network at rest at the start and again before the bins `resets`."""
    edges, found = sorted({0, *resets, len(frames)}), [np.zeros((0, classes), np.float32)]
    for low, high in pairwise(edges):
        network.reset()
        found.append(network.outputs(frames[low:high]))
    return np.concatenate(found)
