"""`dvspipe runs`, and a run that was carried to another machine."""

import json
import shutil
from dataclasses import replace

import pytest

from dvspipe.errors import DatasetError, UsageError
from dvspipe.jobs.evaluate import evaluate_run
from dvspipe.jobs.list_runs import list_runs
from dvspipe.jobs.runs import load_run, read_record
from dvspipe.jobs.train import train

QUICK = ["train.epochs=2", "train.per_class=30", 'train.precision="32"', "snn.network=lenet", "snn.width=0.25"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    return folder, train("digits-direct", QUICK, folder, quiet=True)


@pytest.fixture
def moved(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "elsewhere" / "one")


def only(folder):
    return next(row for row in list_runs([folder])["runs"] if row["path"] == str(folder))


def test_a_record_says_what_made_the_run(finished):
    record = read_record(finished[0])
    assert record["versions"].keys() >= {"dvspipe", "python", "torch", "norse", "numpy"}
    assert record["seed"] == 0 and record["recipe"]["train"]["epochs"] == 2
    assert record["data"]["fingerprint"] and record["machine"]["threads"] and record["command"]
    names = {path.name for path in finished[0].iterdir()}
    assert names >= {"run.json", "metrics.jsonl", "best.safetensors", "last.safetensors", "last.ckpt"}
    assert load_run(finished[0] / "last.safetensors").recipe == load_run(finished[0]).recipe


def test_numbers_of_a_run(finished, moved):
    row = only(moved)
    assert (row["state"], row["epochs"], row["of"], row["seed"]) == ("finished", 2, 2, 0)
    assert (row["dataset"], row["network"], row["attention"]) == ("digits", "lenet", "none")
    assert row["val_accuracy"] == finished[1]["val_accuracy"] and row["accuracy"] is None
    figures = evaluate_run(load_run(moved), quiet=True)
    row = only(moved)
    assert (row["accuracy"], row["nasar"], row["energy_uj"]) == tuple(
        figures[name] for name in ("accuracy", "nasar", "energy_uj")
    )


def cut_weights(folder):
    path = folder / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def edit_record(folder, **changed):
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda folder: (folder / "run.json").write_text("{"), "run.json cannot be read"),
        (lambda folder: (folder / "run.json").unlink(), "run.json is missing"),
        (lambda folder: (folder / "run.json").write_text('{"recipe": {}}'), "no 'name' in run.json"),
        (lambda folder: (folder / "run.json").write_text("[]"), ""),
        (lambda folder: (folder / "best.safetensors").unlink(), "best.safetensors is missing"),
        (cut_weights, "best.safetensors is not whole"),
        (lambda folder: (folder / "metrics.jsonl").write_bytes(b"\xff\xfe"), ""),
        (lambda folder: (folder / "metrics.jsonl").write_text('{"epoch": 1}\n'), "val_accuracy"),
        (lambda folder: (folder / "evaluation.json").write_text("nothing"), "evaluation.json cannot be read"),
    ],
)
def test_a_damaged_run_is_a_row_and_stops_nothing(damage, word, finished, moved):
    other = shutil.copytree(finished[0], moved.parent / "two")
    damage(moved)
    result = list_runs([moved.parent])
    states = {row["path"]: row["state"] for row in result["runs"]}
    assert states == {str(moved): "damaged", str(other): "finished"} and result["damaged"] == 1
    assert word in only(moved)["reason"]


def test_an_unfinished_run_is_interrupted_and_runs_sort(finished, moved):
    other = shutil.copytree(finished[0], moved.parent / "deep" / "er" / "two")
    lines = (other / "metrics.jsonl").read_text().splitlines()
    row = json.loads(lines[0]) | {"val_accuracy": 0.001}
    (other / "metrics.jsonl").write_text(json.dumps(row) + "\n" + lines[1][:20])
    result = list_runs([moved.parent], sort="val_accuracy")["runs"]
    assert [each["path"] for each in result] == [str(moved), str(other)]
    assert [each["state"] for each in result] == ["finished", "interrupted"] and result[1]["epochs"] == 1


def test_what_cannot_be_listed_is_said(tmp_path):
    assert list_runs([tmp_path]) == {"runs": [], "damaged": 0}
    with pytest.raises(UsageError, match="did you mean 'val_accuracy'"):
        list_runs([tmp_path], sort="val_acuracy")
    with pytest.raises(UsageError, match="no such folder"):
        list_runs([tmp_path / "nothing"])


def test_the_verb_prints_one_row_each(workplace, moved):
    assert workplace.json("runs", moved.parent)["runs"][0]["state"] == "finished"
    code, out, _ = workplace.call("runs", moved.parent, "--sort", "accuracy")
    assert code == 0 and "lenet" in out


def test_a_moved_run_evaluates_and_says_what_differs(finished, moved):
    here = evaluate_run(load_run(finished[0]), quiet=True)
    assert here["differs"] == []
    edit_record(moved, versions={"torch": "1.0", "gone": "2"}, machine={"device": "another"})
    there = evaluate_run(load_run(moved), quiet=True)
    assert there["confusion"] == here["confusion"]
    assert len(there["differs"]) == 2 and "torch: the run was trained with 1.0" in there["differs"][0]
    (moved / "run.json").write_text("{")
    assert "run.json cannot be read" in evaluate_run(load_run(moved), quiet=True)["differs"][0]


def test_a_run_on_data_that_are_not_here_names_them(moved):
    run = load_run(moved)
    run.data["fingerprint"] = "0123456789ab"
    assert "fingerprint 0123456789ab" in evaluate_run(run, quiet=True)["differs"][0]
    other = run.recipe.model_copy(update={"dataset": "/of/another/machine.toml"})
    run = replace(run, recipe=other, data=run.data | {"dataset": other.dataset})
    with pytest.raises(DatasetError, match=r"elsewhere.*fingerprint 0123456789ab.*not to be had here"):
        evaluate_run(run, quiet=True)


def test_tensorboard_gets_every_epoch(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train("digits-direct", [*QUICK, "train.tensorboard=true"], tmp_path / "run", quiet=True)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    shown = [(each.step, each.value) for each in events.Scalars("val/accuracy")]
    assert shown == [(row["epoch"], pytest.approx(row["val_accuracy"])) for row in rows]
