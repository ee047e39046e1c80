"""The main job by the real command: simulate, train, evaluate, live, and the library beside it."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import dvspipe
from dvspipe.decision.decider import Decider, event_rates
from dvspipe.jobs.live_fitting import decision_settings


def test_simulate_counts_every_class(archive, workplace):
    assert set(archive) >= {"archive", "counts", "checks"}
    assert archive["checks"]["totals"] == {"train": 33, "test": 11}
    assert set(archive["counts"]["train"].values()) == {3}
    found = workplace.json("inspect", archive["archive"])
    assert found["sensor_size"] == [128, 128]
    assert found["damage"] is None
    assert found["events"] > 10_000


@pytest.fixture(scope="module")
def ibm(workplace):
    """The same simulation as AEDAT 3.1 + CSV."""
    return Path(workplace.json("simulate", workplace.folder / "tiny.toml", "--as", "files", "--out", "ibm")["folder"])


def test_simulated_aedat_is_read_as_the_real_set_is(workplace, archive, ibm):
    """Prepared by the reader of the IBM folder, it holds the same events."""
    prepared = workplace.json("prepare", "gesture", "--from", ibm, "--out", "ibm.h5", "--partial")
    assert prepared["checks"]["totals"] == {"train": 33, "test": 11}
    direct, through_files = workplace.json("inspect", archive["archive"]), workplace.json("inspect", "ibm.h5")
    assert direct == through_files


def test_train_leaves_a_whole_run(trained, workplace):
    assert set(trained) == {"run", "val_accuracy", "epochs", "seconds"}
    folder = workplace.folder / "masnn"
    assert trained["run"] == str(folder)
    assert {path.name for path in folder.iterdir()} >= {"run.json", "best.safetensors", "last.ckpt", "metrics.jsonl"}
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert trained["val_accuracy"] == max(row["val_accuracy"] for row in rows)
    record = json.loads((folder / "run.json").read_text())
    assert record["recipe"]["snn"]["attention"] == "TCSA"
    assert len(record["val_subjects"]) == 1
    assert record["val_subjects"][0] in (1, 2, 3)
    assert 0 < record["nasar_untrained"] < 1


def test_a_training_can_start_from_a_run(trained, workplace):
    """With no learning to speak of, what comes out is what the run before had learnt."""
    start = ("--set", f"train.start={trained['run']}", "--set", "train.epochs=1", "--set", "train.lr=1e-12")
    again = workplace.json("train", "tiny-TCSA.toml", *start, "--out", "continued")
    weights = [load_file(Path(run["run"]) / "best.safetensors") for run in (trained, again)]
    name = "layers.conv1.conv.weight"
    assert np.allclose(weights[0][name], weights[1][name], atol=1e-6)


def test_the_published_protocol_says_so(workplace, archive):
    run = workplace.json("train", "tiny-none.toml", "--set", "train.protocol=published", "--out", "published")["run"]
    result = workplace.json("evaluate", run)
    assert result["accuracy"] == run_accuracy(run)  # chosen on the very clips that it is evaluated on
    assert "best epoch on the test split" in Path(result["report"]).read_text()


def run_accuracy(run):
    rows = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    return max(row["val_accuracy"] for row in rows)


def test_evaluate_keeps_the_contract(trained, workplace):
    result = workplace.json("evaluate", trained["run"])
    for key in ("accuracy", "per_class", "confusion", "nasar", "nasar_per_step", "spikes_per_sample", "energy_uj"):
        assert key in result
    assert result["samples"] == 11
    assert np.sum(result["confusion"]) == 11
    assert result["accuracy"] == pytest.approx(np.trace(result["confusion"]) / 11)
    assert len(result["nasar_per_step"]) == 8
    assert result["nasar"] == pytest.approx(np.mean(result["nasar_per_step"]))
    assert result["spikes_per_sample"] == pytest.approx(result["nasar"] * result["neurons"] * 8)
    assert result["energy_uj"] == pytest.approx(sum(result["energy"]["parts"].values()))
    assert np.mean(list(result["spikes_per_layer_and_step"]["out"])) == pytest.approx(result["spikes_per_layer"]["out"])
    assert 0 <= result["calibration"]["ece"] <= 1
    assert result["decision_time"]["stable_correct_share"] == pytest.approx(result["accuracy"])
    assert result["accuracy_over_time"][-1] == {"t_ms": 400.0, "accuracy": result["accuracy"]}
    report = (workplace.folder / "masnn" / "report.html").read_text()
    assert result["report"].endswith("masnn/report.html")
    assert not re.search(r'(src|href)="https?:', report)


@pytest.mark.parametrize(("run", "mode"), [("trained", "sliding-clip"), ("plain", "stepwise")])
def test_live_at_speed_0_is_deterministic(run, mode, request, workplace, archive):
    path = request.getfixturevalue(run)["run"]
    source = f"{archive['archive']}#user24_fluorescent"
    results = []
    for out in ("a.jsonl", "b.jsonl"):
        result = workplace.json("live", source, "--run", path, "--speed", "0", "--view", "none", "--out", out)
        rows = [json.loads(line) for line in (workplace.folder / out).read_text().splitlines()]
        results.append([(row["bin"], row["t_us"], row["label"], row["confidence"]) for row in rows])
    assert results[0] == results[1]
    assert result["mode"] == mode
    assert result["bins"] == len(rows)
    assert result["dropped_bins"] == result["dropped_events"] == result["late_bins"] == 0
    assert [row["bin"] for row in rows] == list(range(len(rows)))
    assert rows[0]["t_us"] % 50_000 == 0
    assert result["p50_ms"] <= result["p95_ms"] <= result["p99_ms"] <= result["max_ms"]
    assert result["agreement"] is not None


def test_causal_attention_runs_live_bin_by_bin(workplace, archive):
    sets = ("--set", "snn.placement=causal", "--set", "train.epochs=1", "--set", "snn.attention_bins=4")
    run = workplace.json("train", "tiny-TCSA.toml", *sets, "--out", "causal")["run"]
    source = f"{archive['archive']}#user24_fluorescent"
    result = workplace.json("live", source, "--run", run, "--speed", "0", "--view", "none")
    assert result["mode"] == "stepwise"
    assert result["bins"] > 100


def test_live_decisions_are_the_offline_networks(plain, workplace, archive):
    """What live decides bin by bin is what the same network says about the same frames in one whole call."""
    source = f"{archive['archive']}#user24_fluorescent"
    workplace.json("live", source, "--run", plain["run"], "--speed", "0", "--view", "none", "--out", "c.jsonl")
    rows = [json.loads(line) for line in (workplace.folder / "c.jsonl").read_text().splitlines()]
    run = dvspipe.load_run(plain["run"])
    frames, _ = dvspipe.to_frames(dvspipe.open_recording(source), bin_us=run.bin_us, downsample=run.downsample)
    with torch.no_grad():
        out, _ = run.model(torch.from_numpy(frames[:, None]))
    settings, _ = decision_settings(run)
    decider = Decider(settings, 11, run.bin_us / 1000, run.model.spiking_out)
    labels, confidences = decider.replay(out[:, 0].numpy(), event_rates(frames, run.bin_us))
    assert [row["label"] for row in rows] == [None if label < 0 else run.classes[label] for label in labels]
    assert [row["confidence"] for row in rows] == pytest.approx(confidences.tolist(), abs=1e-5)
    assert [row["events"] for row in rows] == frames.sum((1, 2, 3)).tolist()


def test_live_in_real_time_with_the_terminal_view(plain, workplace, archive):
    source = f"{archive['archive']}#user24_fluorescent"
    start = time.perf_counter()
    result = workplace.json("live", source, "--run", plain["run"], "--speed", "4", "--view", "terminal")
    assert time.perf_counter() - start > result["bins"] * 0.05 / 4
    assert result["bins"] > 100
    assert result["dropped_bins"] < result["bins"]


def test_live_on_real_recordings_of_other_cameras(plain, workplace, recordings_dir):
    for name, damaged in (("dvs128_garfield.mat", None), ("dvxplorer_person.aedat4", None)):
        result = workplace.json("live", recordings_dir / name, "--run", plain["run"], "--speed", "0", "--view", "none")
        assert result["damage"] is damaged
        assert result["bins"] in (11, 12, 14)


def test_a_cut_recording_plays_to_the_damage_and_says_so(plain, workplace, ibm, tmp_path):
    whole, cut = (ibm / "user24_fluorescent.aedat").read_bytes(), tmp_path / "cut.aedat"
    cut.write_bytes(whole[: len(whole) // 2 + 3])
    inspected = workplace.json("inspect", cut, code=3)
    assert inspected["damage"]["kind"] == "truncated"
    played = workplace.json("live", cut, "--run", plain["run"], "--speed", "0", "--view", "none", code=3)
    assert played["damage"]["last_good_t_us"] == inspected["t_last_us"]
    assert played["bins"] > 20


def test_resume_equals_one_go(workplace, archive):
    """One epoch, a real Ctrl-C, --resume: bit for bit the weights of the run that was not interrupted."""
    arguments = ("train", "tiny-TCSA.toml", "--set", "train.epochs=8", "--out")
    metrics = workplace.folder / "stopped" / "metrics.jsonl"
    err = workplace.interrupt(metrics, *arguments, "stopped")
    assert "--resume" in err
    assert "Traceback" not in err
    assert len(metrics.read_text().splitlines()) < 8
    assert workplace.json("evaluate", "stopped")["samples"] == 11
    assert workplace.json(*arguments, "stopped", "--resume")["epochs"] == 8
    assert workplace.json(*arguments, "straight")["epochs"] == 8
    straight, resumed = (
        torch.load(workplace.folder / name / "last.ckpt", weights_only=True)["network"]
        for name in ("straight", "stopped")
    )
    assert straight.keys() == resumed.keys()
    for name in straight:
        assert torch.equal(straight[name], resumed[name]), name


def test_an_interrupt_while_something_is_imported_is_130_too(tmp_path):
    """Dataclasses are made by `exec`, after which `python -m` ends by the signal however it was caught."""
    (tmp_path / "begun.py").write_text("""
import sys
from dvspipe.cli.main import main
def interrupted():
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        return 130
sys.modules[main.__module__].run = interrupted
main()
""")
    assert subprocess.run([sys.executable, "-m", "begun"], cwd=tmp_path, timeout=60).returncode == 130


def test_an_early_interrupt_still_leaves_a_usable_run(workplace, archive):
    begun = workplace.folder / "early" / "run.json"
    workplace.interrupt(begun, "train", "tiny-none.toml", "--out", "early", "--set", "train.epochs=200")
    assert workplace.json("evaluate", "early")["samples"] == 11
