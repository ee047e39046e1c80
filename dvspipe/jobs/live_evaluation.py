"""`dvspipe evaluate RUN --live`: how soon, how steadily and how falsely a run decides on uncut test recordings.

Every recording is played once with state never reset, as a camera would go on, and once with network and evidence reset
where each labelled window begins, which is what clips cut at the onset amount to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.decision.decider import Decider, DecisionSettings
from dvspipe.errors import DatasetError
from dvspipe.jobs.evaluate import notes
from dvspipe.jobs.live_fitting import LIVE, archive_of, decision_settings, fit_live
from dvspipe.jobs.live_playing import Played, play, windows_by_recording
from dvspipe.jobs.runs import Run, machine, write_json
from dvspipe.metrics.live_quality import Timeline, argmax_labels, live_quality, windows_found
from dvspipe.recordings.archive import Archive, Segment
from dvspipe.show.live_quality import LiveQuality, write_quality_report
from dvspipe.show.progress import progress, say

LIVE_EVALUATION, LIVE_REPORT = "live_evaluation.json", "live_report.html"
MODES = ("continuous", "reset_per_segment")


def evaluate_live(run: Run, quiet: bool = False) -> dict[str, Any]:
    """Plays every uncut test recording; fits how to decide first, on validation subjects, where that was not done.

    Returns, and writes to RUN/live_evaluation.json: for `continuous` and `reset_per_segment` the figures of
    `metrics.live_quality`, the same of the network's bare argmax under `raw`, and `per_window`; `settings` and where
    they come from; `recordings`, `unlabelled_recordings` left out, `minutes`, `seconds`, `x_real_time` of both plays
    together. A report lies beside it. Raises RunError for a run on images, DatasetError where the data do not fit.
    """
    archive = archive_of(run)
    settings, source = _settings(run, quiet)
    chosen, unlabelled = _test_recordings(archive)
    start, played = time.perf_counter(), []
    with progress(f"play {run.name}", quiet) as report:
        for number, segments in enumerate(chosen):
            report(number, len(chosen), segments[0].recording)
            played.append(play(run, archive, segments, from_rest=True))
    seconds, sensor_s = time.perf_counter() - start, sum(each.seconds for each in played)
    result = {
        "mode": "stepwise" if run.model.live else "sliding-clip",
        "bin_ms": run.bin_us / 1000,
        **{mode: _figures(run, settings, played, mode) for mode in MODES},
        "settings": asdict(settings),
        "settings_source": source,
        "recordings": len(played),
        "unlabelled_recordings": unlabelled,
        "minutes": sensor_s / 60,
        "seconds": seconds,
        "x_real_time": len(MODES) * sensor_s / seconds,
        "machine": machine(),
    }
    write_json(run.path / LIVE_EVALUATION, result)
    return {"run": str(run.path), **result, "report": str(_report(run, settings, result, played[0]))}


def _settings(run: Run, quiet: bool) -> tuple[DecisionSettings, str]:
    """Fitted ones; the recipe's where there is nothing to fit on, and that is said."""
    if decision_settings(run)[1] != str(run.path / LIVE):
        try:
            fit_live(run, quiet)
        except DatasetError as error:
            say(f"note: deciding as the recipe says. {error}")
    return decision_settings(run)


def _test_recordings(archive: Archive) -> tuple[list[list[Segment]], int]:
    """Windows of every recording that has nothing but test windows, and how many recordings have none at all."""
    labelled = windows_by_recording(archive)
    chosen = [each for each in labelled.values() if all(segment.split == "test" for segment in each)]
    if not chosen:
        raise DatasetError(f"{archive.path}: no recording with labelled windows of the test split alone.")
    return chosen, len(archive.recordings) - len(labelled)


def _figures(run: Run, settings: DecisionSettings, played: Sequence[Played], mode: str) -> dict[str, Any]:
    decided = [_timeline(run, each, mode, decide(run, settings, each, mode)[0]) for each in played]
    raw = [_timeline(run, each, mode, argmax_labels(_outputs(each, mode), run.model.spiking_out)) for each in played]
    rows = [
        {
            "recording": each.name,
            "label": run.classes[found.label],
            "first_ms": found.first_ms,
            "stable_ms": found.stable_ms,
        }
        for each, timeline in zip(played, decided)
        for found in windows_found(timeline)
    ]
    return {**live_quality(decided, run.classes), "raw": live_quality(raw, run.classes), "per_window": rows}


def decide(
    run: Run, settings: DecisionSettings, played: Played, mode: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class numbers [bins], -1 for none, and confidences [bins] of one recording, in one of `MODES`."""
    decider = Decider(settings, len(run.classes), run.bin_us / 1000, run.model.spiking_out)
    return decider.replay(_outputs(played, mode), played.event_rates, _resets(played, mode))


def _outputs(played: Played, mode: str) -> NDArray[np.float32]:
    outputs = played.outputs if mode == "continuous" else played.from_rest
    assert outputs is not None  # `evaluate_live` has asked for both
    return outputs


def _resets(played: Played, mode: str) -> NDArray[np.bool_] | None:
    return None if mode == "continuous" else played.onsets


def _timeline(run: Run, played: Played, mode: str, labels: NDArray[np.int64]) -> Timeline:
    return Timeline(played.t_us, labels, run.bin_us, played.windows, _resets(played, mode))


def _report(run: Run, settings: DecisionSettings, result: dict[str, Any], first: Played) -> Any:
    """The first recording is the one whose decisions are drawn: nobody chose a beautiful one."""
    labels, confidences = decide(run, settings, first, "continuous")
    names = [*run.classes, None]  # -1, no decision, is the last
    shown = LiveQuality(
        name=run.name,
        classes=run.classes,
        result=result,
        recording=first.name,
        decisions=[
            {"t_us": int(t), "label": names[label], "confidence": float(sure)}
            for t, label, sure in zip(first.t_us, labels, confidences)
        ],
        truth=[{"label": run.classes[label], "start_us": low, "stop_us": high} for label, low, high in first.windows],
        recipe=json.loads(run.recipe.model_dump_json()),
    )
    return write_quality_report(run.path / LIVE_REPORT, f"{run.name}, live on {run.data['dataset']}", shown, notes(run))
