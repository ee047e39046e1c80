"""How a run decides live: RUN/live.json, settings fitted on its validation subjects, or else what its recipe says."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dvspipe import __version__
from dvspipe.decision.decider import DecisionSettings
from dvspipe.decision.fitting import TAKEN_BACK_S, Fit, Logged, fit_decisions
from dvspipe.errors import DatasetError, RunError, UsageError
from dvspipe.jobs.archives import find_or_make
from dvspipe.jobs.data import check_trained_on, open_data
from dvspipe.jobs.event_data import held_out
from dvspipe.jobs.live_playing import Played, play, windows_by_recording
from dvspipe.jobs.runs import BEST, Run, write_json
from dvspipe.recipes import TrainSettings
from dvspipe.recordings.archive import Archive, Segment
from dvspipe.show.progress import progress

LIVE = "live.json"
LIVE_VERSION = 1
MOST_RECORDINGS = 24  # fitted on, evenly chosen where there are more
OBJECTIVE = f"(seconds right - {TAKEN_BACK_S:g} (flips + false decisions)) / seconds"


def decision_settings(run: Run) -> tuple[DecisionSettings, str]:
    """How a run decides, and where that comes from: the path of its live.json, or "recipe [live]".

    Fitted settings of other weights (the run was trained on since) do not count. Raises RunError for a damaged live.json.
    """
    path = run.path / LIVE
    if not path.is_file():
        return from_recipe(run), "recipe [live]"
    found = _read(path)
    if found["weights"] != _weights(run):
        return from_recipe(run), f"recipe [live] ({LIVE} was fitted to other weights)"
    return DecisionSettings(**found["settings"]), str(path)


def from_recipe(run: Run) -> DecisionSettings:
    """What the recipe's [live] says. A sliding clip gets no further evidence: its output is a mean over time already."""
    live, bin_s = run.recipe.live, run.bin_us / 1e6
    return DecisionSettings(
        evidence_ms=live.evidence_ms if run.model.live else 0.0,
        hi=live.threshold,
        lo=0.6 * live.threshold if live.leave is None else live.leave,
        hold_ms=live.hold_ms,
        margin=live.margin,
        refractory_ms=live.refractory_ms,
        min_rate=live.min_events / bin_s if live.min_rate is None else live.min_rate,
        quiet_ms=live.quiet_ms,
    )


def fit_live(run: Run, quiet: bool = False) -> dict[str, Any]:
    """Fits decision settings on uncut recordings that the run's training held out for validation, and writes RUN/live.json.

    They are of training subjects: the test split is not touched. A run of the published protocol held nothing out; then
    its training recordings serve, which flatter the network. Returns what was written: `settings`, `objective`,
    `subjects`, `recordings`, ... Raises RunError for a run on images, DatasetError where the data do not fit.
    """
    archive = archive_of(run)
    chosen, split = _recordings(archive, run.recipe.train)
    spikes, bin_ms = run.model.spiking_out, run.bin_us / 1000
    with progress(f"fit decisions of {run.name}", quiet) as report:
        played = []
        for number, segments in enumerate(chosen):
            report(number, len(chosen), segments[0].recording)
            played.append(play(run, archive, segments))
        start = from_recipe(run)
        fit = fit_decisions(
            [logged(each) for each in played], bin_ms, spikes, start, on_trial=lambda done, most: report(done, most, "")
        )
    found = _record(run, fit, chosen, split, sum(each.seconds for each in played))
    write_json(run.path / LIVE, found)
    return found


def logged(played: Played) -> Logged:
    """A recording as fitting takes it."""
    return Logged(played.outputs, played.event_rates, played.t_us, played.windows)


def archive_of(run: Run) -> Archive:
    """The archive a run was trained on, checked to be that. Raises RunError for a run on images, DatasetError."""
    _ = run.frames  # a run on images has none, and says so
    data = open_data(run.recipe)
    check_trained_on(data, run)
    return Archive(find_or_make(run.recipe.dataset))


def _recordings(archive: Archive, settings: TrainSettings) -> tuple[list[list[Segment]], str]:
    """Windows of the recordings to fit on, and which split they are of."""
    splits, by_recording = held_out(archive.segments, settings), windows_by_recording(archive)
    validated = settings.protocol == "validated"
    held = set(splits.val if validated else splits.train)
    whole = [segments for segments in by_recording.values() if held.issuperset(segments)]
    if not whole:
        raise DatasetError(
            f"{archive.path}: nothing to fit decisions on, for no recording has only windows that were held out for "
            "validation. The keys of [live] in the recipe say how to decide."
        )
    count = min(len(whole), MOST_RECORDINGS)
    chosen = [whole[len(whole) * index // count] for index in range(count)]
    return chosen, "validation" if validated else "train (nothing was held out)"


def _record(run: Run, fit: Fit, chosen: Sequence[Sequence[Segment]], split: str, seconds: float) -> dict[str, Any]:
    return {
        "version": LIVE_VERSION,
        "settings": asdict(fit.settings),
        "objective": {"formula": OBJECTIVE, "before": fit.before, "after": fit.after, "trials": fit.trials},
        "split": split,
        "subjects": sorted({segment.subject for segments in chosen for segment in segments}),
        "recordings": [segments[0].recording for segments in chosen],
        "minutes": seconds / 60,
        "bin_us": run.bin_us,
        "weights": _weights(run),
        "data": run.data,
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "dvspipe": __version__,
    }


def _weights(run: Run) -> str:
    """Twelve hex digits over the weights' file."""
    return hashlib.sha256((run.path / BEST).read_bytes()).hexdigest()[:12]


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] != LIVE_VERSION:
            raise RunError(
                f"{path}: version {found['version']}, this dvspipe {__version__} reads {LIVE_VERSION}. Delete it."
            )
        DecisionSettings(**found["settings"]), found["weights"]
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise RunError(
            f"{path}: no settings of decisions ({error}). Delete it; evaluate --live fits new ones."
        ) from error
    return found
