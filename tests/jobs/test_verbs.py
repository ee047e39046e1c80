"""The verbs that need no training, and the demo on the tiny recipes."""

import json

import numpy as np
import pytest
import scipy.io

from dvspipe.jobs import demo as demo_job


@pytest.mark.parametrize(
    ("name", "params", "neurons"),
    [("gesture-none", 2_324_065, 106_763), ("gesture-masnn", 2_340_535, 106_763)],
)
def test_describe_gives_the_published_counts(workplace, name, params, neurons):
    result = workplace.json("describe", name)
    assert (result["params"], result["neurons"]) == (params, neurons)
    assert result["attention_params"] == params - 2_324_065
    assert result["macs_per_frame"] == sum(layer["macs"] for layer in result["layers"])
    assert result["memory_gb"] > 0


def test_datasets_lists_every_card_and_says_what_is_prepared(workplace, archive):
    cards = {card["name"]: card for card in workplace.json("datasets")["cards"]}
    assert set(cards) >= {"gesture", "gesture-sim", "gesture-sim-small"}
    assert cards["gesture"]["licence"] == "CC BY 4.0"
    assert cards["gesture"]["prepared"] is None
    own = workplace.json("datasets", workplace.folder / "tiny.toml")["cards"]
    assert [card["prepared"] for card in own] == [archive["archive"]]


def test_people_get_tables(workplace, archive):
    for arguments in (
        ("datasets",),
        ("datasets", "gesture"),
        ("describe", "demo-none"),
        ("inspect", archive["archive"]),
    ):
        code, out, err = workplace.call(*arguments)
        assert code == 0, err
        assert len(out.splitlines()) > 3
        with pytest.raises(json.JSONDecodeError):
            json.loads(out)


def test_demo_on_tiny_recipes(workplace, archive, monkeypatch, tmp_path):
    """The demo's own path from data to report, with smaller networks and a camera file made here."""
    random = np.random.default_rng(0)
    columns = [
        *random.integers(0, 128, (2, 5000)),
        random.choice([-1, 1], 5000),
        np.sort(random.integers(0, 10**6, 5000)),
    ]
    scipy.io.savemat(tmp_path / "dvs128_garfield.mat", {"events": np.stack(columns, 1).astype(np.int32)})
    monkeypatch.setattr(demo_job, "PIPELINES", ("tiny-none.toml", "tiny-TCSA.toml"))
    monkeypatch.setenv("DVSPIPE_RECORDINGS_DIR", str(tmp_path))
    result = workplace.json("demo", "--out", "demo")
    assert [run["name"] for run in result["runs"]] == ["tiny-none", "tiny-TCSA"]
    for run in result["runs"]:
        assert set(run) >= {"name", "path", "accuracy", "nasar", "spikes_per_sample", "energy_uj", "params"}
        assert run["params"] > 0
    assert [row["source"] for row in result["live"]] == [
        "user24_fluorescent",
        "user24_fluorescent",
        "dvs128_garfield.mat",
    ]
    for row in result["live"]:
        assert set(row) >= {"source", "bins", "decisions", "p50_ms", "p99_ms", "dropped_bins"}
    page = (workplace.folder / "demo" / "report.html").read_text()
    assert "tiny-TCSA" in page
    assert page.count('<div class="map-row">') == 2, "the same clip in both networks"
    assert "Attention over channels" in page
    assert "Simulated data" in page
    assert "dvs128_garfield.mat" in page


def test_tonics_transforms_augment_a_run(workplace, archive):
    arguments = ("train", "tiny-none.toml", "--set", "train.epochs=1", "--out")
    transforms = "augment.transforms=[{name='DropEvent', p=0.3}, {name='TimeJitter', std=100}]"
    plain = workplace.json(*arguments, "without")
    augmented = workplace.json(*arguments, "with", "--set", transforms)
    losses = [
        json.loads((workplace.folder / name / "metrics.jsonl").read_text())["train_loss"]
        for name in ("without", "with")
    ]
    assert plain["epochs"] == augmented["epochs"] == 1
    assert losses[0] != losses[1]
    code, _, err = workplace.call(*arguments, "wrong", "--set", "augment.transforms=[{name='DropEvents'}]")
    assert code == 2
    assert "DropEvent" in err
