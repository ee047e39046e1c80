"""A real teacher, end to end: images and events, what run.json says of it, and runs that cannot teach."""

import json
import os
import re

import pytest
import torch

from dvspipe.errors import RecipeError, RunError
from dvspipe.jobs.data import open_data
from dvspipe.jobs.runs import BEST, load_run, read_record
from dvspipe.jobs.teaching import find_run, open_teacher
from dvspipe.jobs.train import train
from dvspipe.learn.distilling import fewer_bins
from dvspipe.recipes import load_recipe

QUICK = ["train.epochs=1", "train.per_class=20", 'train.precision="32"', "snn.width=0.5"]
EVENTS = ["snn.head=ann", "train.loss=ce", "train.epochs=1"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "run"
    train("digits-direct", QUICK, folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def on_events(workplace, archive):
    sets = [word for each in EVENTS for word in ("--set", each)]
    return workplace.json("train", "tiny-none.toml", *sets, "--out", "events-teacher")["run"]


def test_a_pupil_of_few_steps_learns_from_a_teacher_of_many(teacher, tmp_path):
    before = (teacher / BEST).read_bytes()
    overrides = [*QUICK, f"train.teacher={teacher}", "train.teacher_weight=5"]
    taught = train("digits-hsd", overrides, tmp_path / "taught", quiet=True)
    alone = train("digits-hsd", [*overrides, "train.teacher_weight=0"], tmp_path / "alone", quiet=True)
    record = read_record(tmp_path / "taught")["teacher"]
    assert (record["name"], record["steps"]) == ("digits-direct", 4) and len(record["fingerprint"]) == 12
    assert (teacher / BEST).read_bytes() == before  # a teacher never learns
    runs = [load_run(each["run"]) for each in (taught, alone)]
    assert all(run.recipe.steps == 2 for run in runs)
    ours, other = (run.model.state_dict() for run in runs)
    assert any(not torch.equal(ours[name], other[name]) for name in ours)


def test_a_run_goes_on_with_the_same_teacher_only(teacher, tmp_path):
    overrides, folder = [*QUICK, f"train.teacher={teacher}"], tmp_path / "run"
    train("digits-hsd", overrides, folder, quiet=True)
    assert train("digits-hsd", overrides, folder, resume=True, quiet=True)["epochs"] == 1
    record = read_record(folder)
    record["teacher"]["fingerprint"] = "0" * 12
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=r"its teacher was digits-direct with weights 000000000000"):
        train("digits-hsd", overrides, folder, resume=True, quiet=True)


def test_the_newest_run_of_a_recipe_teaches(teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        RunError, match=r"train.teacher = 'digits-direct': neither a run folder.*dvspipe train digits-direct"
    ):
        find_run("digits-direct")
    for age, name in ((20, "digits-direct-1"), (10, "digits-direct-2"), (30, "digits-direct-3")):
        made = tmp_path / "runs" / name / "run.json"
        made.parent.mkdir(parents=True)
        made.write_text("{}")
        os.utime(made, (1e9 - age, 1e9 - age))
    assert find_run("digits-direct").name == "digits-direct-2" and find_run(str(teacher)) == teacher


def test_events_are_shown_as_their_teacher_saw_them(workplace, on_events, monkeypatch):
    """Teacher: 8 bins of 50 ms; pupil: 3 of 100 ms, the first 300 ms of the same clips."""
    for name in ("DVSPIPE_DATA",):
        monkeypatch.setenv(name, workplace.environment[name])
    recipe = str(workplace.folder / "tiny-none.toml")
    recipe = load_recipe(recipe, [*EVENTS, "frames.bin_us=100_000", "frames.n_bins=3", f"train.teacher={on_events}"])
    data = open_data(recipe)
    training, pupil = data.training(), load_run(on_events).model
    teaching = open_teacher(recipe, pupil, data, training)
    assert teaching.training.val is training.val and teaching.record["teacher"]["steps"] == 8
    frames, _ = next(iter(teaching.training.train))
    own, taught = teaching.teacher.lesson(frames)
    assert frames.shape[0] == 8 and torch.equal(own, fewer_bins(frames, 2, 3)) and own.shape[0] == 3
    assert taught(torch.zeros(3, frames.shape[1], 11)).item() > 0


def test_events_end_to_end(workplace, on_events):
    sets = ["frames.bin_us=100_000", "frames.n_bins=4", f"train.teacher={on_events}", *EVENTS]
    words = [word for each in sets for word in ("--set", each)]
    made = workplace.json("train", "tiny-none.toml", *words, "--out", "events-pupil")
    result = workplace.json("evaluate", "events-pupil")
    assert made["epochs"] == 1 and result["energy"]["parts"]["ANN head (MAC)"] > 0
    bits = result["energy"]["interface_bits"]
    assert bits["dense"] == 4 * load_run(made["run"]).model.layers["head"].hidden.in_features and bits["events"] >= 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["frames.bin_us=75_000"], "a pupil's bin is a whole number of its teacher's"),
        (["frames.bin_us=100_000", "frames.n_bins=5"], "8 bins of 50000 us.* 5 of 100000 us"),
        (["frames.downsample=8"], "at downsample 4"),
        (["snn.head=spiking"], "this recipe's network answers in spikes"),
    ],
)
def test_who_cannot_teach_this_is_told(workplace, on_events, overrides, message):
    sets = [*EVENTS, f"train.teacher={on_events}", *overrides]
    words = [word for each in sets for word in ("--set", each)]
    code, _, err = workplace.call("train", "tiny-none.toml", *words, "--out", "refused")
    assert code == 1 and re.search(message, " ".join(err.split()))


def test_other_tasks_and_answers_in_spikes_are_refused(workplace, teacher, plain):
    events = ["--set", "snn.head=ann", "--set", "train.loss=ce", "--set", f"train.teacher={teacher}"]
    code, _, err = workplace.call("train", "tiny-none.toml", *events, "--out", "refused")
    assert code == 1 and "cannot teach on" in err
    events[-1] = f"train.teacher={plain['run']}"
    code, _, err = workplace.call("train", "tiny-none.toml", *events, "--out", "refused")
    assert code == 1 and "the teacher answers in spikes" in err
    with pytest.raises(RunError, match="one of teacher and pupil takes normalised images"):
        train("digits-hsd", [*QUICK, f"train.teacher={teacher}", "encoder.name=latency"], quiet=True)
    with pytest.raises(RecipeError, match=r"a teacher's scores need train.loss = 'ce' or 'tet', not 'mse-rate'"):
        load_recipe("digits-hsd", ["train.loss=mse-rate"])
