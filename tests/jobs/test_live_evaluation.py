"""Live quality of small trained runs: the contract, what is fitted on whom, reset against carried state, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dvspipe.decision.decider import DecisionSettings
from dvspipe.errors import DatasetError, RunError
from dvspipe.events import Events
from dvspipe.jobs.archives import find_or_make
from dvspipe.jobs.live_evaluation import MODES, decide, evaluate_live
from dvspipe.jobs.live_fitting import LIVE, decision_settings, fit_live, from_recipe
from dvspipe.jobs.live_playing import play, windows_by_recording
from dvspipe.jobs.runs import load_run
from dvspipe.metrics.live_quality import SINCE_ONSET_MS
from dvspipe.recipes import load_recipe
from dvspipe.recordings.archive import Archive, ArchiveWriter, Segment

WALKS = """# dvspipe simulate walks
title = "Walks"
kind = "gait-sim"
sensor_size = [128, 128]
classes = {classes}
licence = "GPL-3.0-or-later"
[walks]
walkers = [0, 7]
train_walks = 2
test_walks = 1
walk_s = 0.6
"""
WALK_RECIPE = """# dvspipe train walking
dataset = "{card}"
[frames]
bin_us = 50_000
n_bins = 4
downsample = 8
[snn]
width = 0.1
[train]
epochs = 1
batch = 4
val_share = 0.4
precision = "32"
"""


@pytest.fixture(autouse=True)
def data(workplace, monkeypatch):
    monkeypatch.setenv("DVSPIPE_DATA", workplace.environment["DVSPIPE_DATA"])
    monkeypatch.chdir(workplace.folder)


@pytest.fixture
def stepping(plain):
    """A run that goes on bin by bin, without fitted settings."""
    run = load_run(plain["run"])
    (run.path / LIVE).unlink(missing_ok=True)
    return run


def test_evaluate_live_keeps_the_contract(stepping):
    result = evaluate_live(stepping, quiet=True)
    written = json.loads((stepping.path / "live_evaluation.json").read_text())
    assert {**written, "run": str(stepping.path), "report": result["report"]} == result
    assert (result["recordings"], result["unlabelled_recordings"], result["mode"]) == (1, 0, "stepwise")
    assert result["settings_source"] == str(stepping.path / LIVE)
    assert result["minutes"] * 60 == pytest.approx(11 * 1.0 + 0.4, abs=0.1)  # 11 gestures of 0.6 s, pauses of 0.4 s
    assert result["x_real_time"] == pytest.approx(2 * result["minutes"] * 60 / result["seconds"])
    for found in [result[mode] for mode in MODES] + [result[mode]["raw"] for mode in MODES]:
        times = [point["t_ms"] for point in found["accuracy_since_onset"]]
        assert times == [ms for ms in SINCE_ONSET_MS if ms <= 600]
        assert found["windows"] == 11 and found["labelled_s"] == pytest.approx(6.6)
        assert set(found["f1"]["per_class"]) == set(stepping.classes)
        for key in ("area", "detection_rate", "flips_per_s", "false_per_min", "outside_share"):
            assert found[key] >= 0
        for key in ("first_correct_ms", "stable_correct_ms"):
            assert set(found[key]) == {"median", "p90", "share", "median_of_all"}
    rows = result["continuous"]["per_window"]
    assert len(rows) == 11 and {row["recording"] for row in rows} == {"user24_fluorescent"}
    page = Path(result["report"]).read_text()
    for words in ("Right for good", "Decisions over time", "Simulated data", "user24_fluorescent", "min_rate"):
        assert words in page


def test_thresholds_are_fitted_on_validation_subjects_alone(stepping):
    assert decision_settings(stepping) == (from_recipe(stepping), "recipe [live]")
    found = fit_live(stepping, quiet=True)
    assert found["subjects"] == json.loads((stepping.path / "run.json").read_text())["val_subjects"]
    assert found["split"] == "validation" and len(found["recordings"]) == 1
    assert found["objective"]["after"] >= found["objective"]["before"]
    settings, source = decision_settings(stepping)
    assert settings == DecisionSettings(**found["settings"]) and source == str(stepping.path / LIVE)


def test_settings_of_other_weights_do_not_count(stepping):
    found = fit_live(stepping, quiet=True)
    (stepping.path / LIVE).write_text(json.dumps({**found, "weights": "other"}))
    settings, source = decision_settings(stepping)
    assert settings == from_recipe(stepping) and "other weights" in source


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 9}', '{"version": 1, "weights": "x", "settings": {"hi": 2}}'])
def test_damaged_settings_are_told(stepping, text):
    (stepping.path / LIVE).write_text(text)
    with pytest.raises(RunError, match=r"live\.json"):
        decision_settings(stepping)


def test_the_recipe_says_how_to_decide_where_nothing_was_fitted(stepping, trained):
    settings = from_recipe(stepping)
    assert settings == DecisionSettings(evidence_ms=300, hi=0.25, lo=0.15, min_rate=400)  # 20 events in 50 ms
    assert from_recipe(load_run(trained["run"])).evidence_ms == 0  # sees a whole clip
    live = stepping.recipe.live.model_copy(update={"leave": 0.1, "min_rate": 7.0, "margin": 0.4, "hold_ms": 50.0})
    told = from_recipe(replace(stepping, recipe=stepping.recipe.model_copy(update={"live": live})))
    assert (told.lo, told.min_rate, told.margin, told.hold_ms) == (0.1, 7.0, 0.4, 50.0)


def test_reset_starts_at_rest_where_a_window_begins(stepping, archive):
    with Archive(archive["archive"]) as opened:
        segments = windows_by_recording(opened)["user24_fluorescent"]
        played = play(stepping, opened, segments, from_rest=True)
        second = segments[1]
        tail = opened.events(second.recording, second.start_us, opened.span_us(second.recording)[1] + 1)
        everything = opened.count(second.recording)
    assert played.onsets.sum() == 11
    binned = played.event_rates.sum() * stepping.bin_us / 1e6
    assert 0.98 * everything < binned <= everything + 1e-3  # the tail is in no bin
    np.testing.assert_array_equal(played.outputs[: played.onsets.argmax()], played.from_rest[: played.onsets.argmax()])
    # The same as a recording that begins with the second window.
    first = int(np.flatnonzero(played.onsets)[1])
    assert played.t_us[first] == second.start_us + stepping.bin_us
    path = stepping.path / "tail.h5"
    with ArchiveWriter(path, tail.sensor_size, stepping.classes, {}) as writer:
        writer.add("tail", [tail], [second._replace(recording="tail")])
    with Archive(path) as opened:
        alone = play(stepping, opened, opened.segments)
    stop = int(np.flatnonzero(played.onsets)[2])
    assert alone.t_us[0] == played.t_us[first]
    np.testing.assert_allclose(alone.outputs[: stop - first], played.from_rest[first:stop], atol=1e-5)
    labels, _ = decide(stepping, from_recipe(stepping), played, "reset_per_segment")
    assert len(labels) == len(played.t_us)


def test_a_sliding_clip_is_evaluated_too(trained):
    run = load_run(trained["run"])
    assert not run.model.live
    result = evaluate_live(run, quiet=True)
    assert result["mode"] == "sliding-clip"
    assert result["continuous"]["windows"] == 11


def test_walks_that_fill_their_recordings(workplace):
    classes = load_recipe_classes("gait-sim")
    (workplace.folder / "walking-set.toml").write_text(WALKS.format(classes=json.dumps(classes)))
    (workplace.folder / "walking.toml").write_text(WALK_RECIPE.format(card=workplace.folder / "walking-set.toml"))
    run = load_run(workplace.json("train", "walking.toml", "--out", "walking")["run"])
    result = evaluate_live(run, quiet=True)
    assert result["recordings"] == 2 and result["continuous"]["windows"] == 2
    assert result["continuous"]["labelled_s"] > 0.9
    assert json.loads((run.path / LIVE).read_text())["recordings"]


def load_recipe_classes(card):
    from dvspipe.recipes import load_card

    return load_card(card).classes


def test_recordings_without_labels_or_of_mixed_splits_are_left_out(tmp_path, stepping, monkeypatch):
    """An archive of five: two to train and validate on, a test one, one without labels, one with windows of both splits."""
    rng = np.random.default_rng(0)
    path = tmp_path / "mixed.h5"
    with ArchiveWriter(path, (128, 128), stepping.classes, {}) as writer:
        for number, splits in enumerate([["train"], ["train"], ["test"], [], ["train", "test"]]):
            windows = [
                Segment(f"r{number}", 0, number, split, 500_000 * k, 500_000 * k + 400_000)
                for k, split in enumerate(splits)
            ]
            writer.add(f"r{number}", [some_events(rng)], windows)
    opened = Archive(path)
    monkeypatch.setattr("dvspipe.jobs.live_evaluation.archive_of", lambda run: opened)
    monkeypatch.setattr("dvspipe.jobs.live_fitting.archive_of", lambda run: opened)
    result = evaluate_live(stepping, quiet=True)
    assert (result["recordings"], result["unlabelled_recordings"], result["continuous"]["windows"]) == (1, 1, 1)
    assert result["settings_source"] == "recipe [live]"  # the recording of the held-out subject has a test window too
    opened.segments = [segment for segment in opened.segments if segment.recording == "r4"]
    with pytest.raises(DatasetError, match="no recording with labelled windows of the test split alone"):
        evaluate_live(stepping, quiet=True)


def some_events(rng, count=4000):
    t = np.sort(rng.integers(0, 1_200_000, count))
    x, y = rng.integers(0, 128, (2, count)).astype(np.uint16)
    return Events(t, x, y, rng.random(count) < 0.5, (128, 128))


def test_a_run_on_images_is_refused(stepping):
    images = replace(stepping, recipe=load_recipe("digits-gac"))
    for job in (evaluate_live, fit_live):
        with pytest.raises(RunError, match="trained on images"):
            job(images, quiet=True)


def test_the_archive_is_the_one_it_was_trained_on(stepping, archive):
    assert find_or_make(stepping.recipe.dataset) == Path(archive["archive"])
