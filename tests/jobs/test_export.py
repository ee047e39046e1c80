"""`dvspipe export`: files, model cards, and what is refused before anything is written."""

import contextlib
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from dvspipe import load_run


@pytest.fixture(scope="module")
def live_run(workplace, archive):
    """A run whose network has a single step and attention."""
    causal = ("--set", "snn.placement=causal", "--set", "snn.gate_gain=2", "--set", "train.epochs=1")
    return Path(workplace.json("train", "tiny-TCSA.toml", *causal, "--out", "to-export")["run"])


@pytest.fixture(scope="module")
def exported(workplace, plain, live_run):
    """Results by format, of the runs that have each."""
    runs = {"safetensors": live_run, "onnx": live_run, "nir": Path(plain["run"])}
    return {form: workplace.json("export", run, "--format", form) for form, run in runs.items()}


@pytest.mark.parametrize("form", ["safetensors", "nir", "onnx"])
def test_a_file_and_its_card(exported, form):
    result = exported[form]
    file = Path(result["file"])
    assert file == Path(result["run"]) / "export" / file.name and file.suffix == f".{form}"
    assert result["bytes"] == file.stat().st_size
    assert result["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    page = Path(result["card"]).read_text(encoding="utf-8")
    for said in (
        result["sha256"],
        "licence GPL-3.0-or-later",
        "hand clapping",
        "one frame per 50 ms",
        "Simulated",
        "train",
    ):
        assert said in page, said
    assert "Not evaluated" in page and "## Limits" in page
    assert not list(file.parent.glob("*.part"))


def test_safetensors_read_back_as_the_run(exported, live_run):
    ours, theirs = load_run(live_run), load_run(exported["safetensors"]["file"])
    assert (theirs.classes, theirs.recipe, theirs.name) == (ours.classes, ours.recipe, ours.name)
    frames = torch.poisson(torch.full((8, 2, 2, 32, 32), 0.3))
    assert torch.equal(theirs.model(frames)[0], ours.model(frames)[0])


def test_the_cards_example_runs(exported, live_run):
    """Ten lines that need numpy and onnxruntime alone answer as the network does."""
    result = exported["onnx"]
    page = Path(result["card"]).read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    assert "dvspipe" not in code and "torch" not in code
    run = load_run(live_run)
    frames = np.random.default_rng(1).poisson(0.4, (12, 1, *run.model.frame_shape)).astype(np.float32)
    printed = io.StringIO()
    with contextlib.chdir(Path(result["file"]).parent), contextlib.redirect_stdout(printed):
        exec(code, {"frames": frames})
    with torch.no_grad():
        out, _ = run.model(torch.from_numpy(frames))
    assert printed.getvalue().strip() == run.classes[int(out.sum(0)[0].argmax())]


def test_onnx_says_its_opset_and_state(exported):
    result = exported["onnx"]
    model = onnx.load(result["file"])
    assert model.opset_import[0].version == result["opset"] == 18
    assert [part["name"] for part in result["state"]] == [each.name for each in model.graph.input][1:]
    assert result["checked"]["spikes"] > 0
    told = {each.key: each.value for each in model.metadata_props}
    assert json.loads(told["bin_us"]) == 50_000 and json.loads(told["sensor_size"]) == [128, 128]


def test_the_card_knows_the_evaluation(workplace, plain):
    result = workplace.json("evaluate", plain["run"])
    exported = workplace.json("export", plain["run"], "--format", "safetensors", "--out", "evaluated.safetensors")
    page = Path(exported["card"]).read_text(encoding="utf-8")
    assert f"{result['accuracy']:.1%} (95 % interval" in page
    assert "validation subjects" in page


def test_nothing_is_overwritten_unasked(workplace, plain):
    arguments = ("export", plain["run"], "--format", "nir", "--out", "twice.nir")
    first = workplace.json(*arguments)
    code, _, err = workplace.call(*arguments)
    assert code == 2 and "is there already" in err and "--overwrite" in err
    assert workplace.json(*arguments, "--overwrite", "--dt-us", "100")["sha256"] != first["sha256"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "nir"), "layer 'conv1' has attention"),
        (("--format", "onnx"), "layer 'conv1' has no single step"),
        (("--format", "onnx", "--opset", "7"), "--opset 7"),
        (("--format", "nir", "--opset", "18"), "--opset is for --format onnx"),
        (("--format", "onnx", "--dt-us", "100"), "--dt-us is for --format nir"),
        (("--format", "nir", "--dt-us", "-1"), "more than 0"),
        (("--format", "safetensors", "--merge"), "--merge is for --format nir"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(workplace, trained, arguments, message):
    code, _, err = workplace.call("export", trained["run"], *arguments, "--out", "refused/file")
    assert code == 2 and message in err
    assert not (workplace.folder / "refused" / "file").exists()


def test_changed_weights_are_noticed(workplace, plain, tmp_path):
    whole = (Path(plain["run"]) / "best.safetensors").read_bytes()
    for changed, message in (
        (whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:], "are not those that were written"),
        (whole[:-100], "not a whole safetensors file"),
    ):
        (tmp_path / "best.safetensors").write_bytes(changed)
        code, _, err = workplace.call("export", tmp_path, "--format", "safetensors")
        assert code == 1 and message in err
    assert not (tmp_path / "export").exists()


def test_a_full_disk_leaves_nothing(workplace, plain, monkeypatch, tmp_path):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nir.write", full)
    code, _, err = workplace.call("export", plain["run"], "--format", "nir", "--out", tmp_path / "a.nir")
    assert code == 1 and "No space left" in err
    assert not list(tmp_path.iterdir())
