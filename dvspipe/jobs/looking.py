"""One test clip inside a trained run, for its report: the events, what was answered, spikes and attention weights."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dvspipe.data.clips import ClipDataset
from dvspipe.decision.readout import READOUTS, confidence
from dvspipe.jobs.archives import find_or_make
from dvspipe.jobs.runs import Run
from dvspipe.recordings.archive import Archive
from dvspipe.show.summary import Inside
from dvspipe.snn.watching import watch


def look(run: Run) -> tuple[NDArray[np.int32], dict[str, Any], Inside]:
    """(events of the first test clip at full resolution [T,2,H,W], answer, what went on inside).

    The answer is {"truth", "label", "confidence"}. Always the archive's first test window: runs on one dataset see the
    same events, and nobody chose a beautiful one.
    """
    archive, frames = Archive(find_or_make(run.data["dataset"])), run.frames
    segment = next(segment for segment in archive.segments if segment.split == "test")
    own, label = ClipDataset(archive.path, [segment], frames.bin_us, frames.n_bins, frames.downsample)[0]
    seen = watch(run.model, torch.as_tensor(own)[:, None])
    answer = {"truth": run.classes[int(label)], **answer_of(run, seen.out)}
    maps = {name: value for name, value in asdict(seen).items() if name not in ("out", "code")}
    return ClipDataset(archive.path, [segment], frames.bin_us, frames.n_bins)[0][0], answer, Inside(**maps)


def answer_of(run: Run, out: Tensor) -> dict[str, Any]:
    """{"label", "confidence"}: what a run's read-out says of the outputs so far, [t,K]; no label of silent spikes."""
    score, spikes = READOUTS[run.recipe.snn.readout](out[:, None]), run.model.spiking_out
    label = None if spikes and not score.any() else run.classes[int(score.argmax())]
    return {"label": label, "confidence": float(confidence(score, spikes)[0])}
