"""evaluate --beside: two runs on the same data in one report, and others refused."""

import json
from pathlib import Path

import pytest

from dvspipe.errors import RunError
from dvspipe.jobs.evaluate import check_same_data
from dvspipe.jobs.runs import load_run


@pytest.fixture(scope="module")
def both(workplace, trained, plain):
    return workplace.json("evaluate", trained["run"], "--beside", plain["run"])


def test_beside_holds_what_is_saved(both, plain):
    theirs = json.loads((Path(plain["run"]) / "evaluation.json").read_text())
    beside = both["beside"]
    assert set(beside) == {"run", "accuracy", "spikes_per_sample", "energy_uj", "energy_ratio", "spikes_saved"}
    assert beside["run"] == plain["run"]
    assert [beside[key] for key in ("accuracy", "energy_uj")] == [theirs[key] for key in ("accuracy", "energy_uj")]
    assert beside["energy_ratio"] == pytest.approx(theirs["energy_uj"] / both["energy_uj"])
    saved = 1 - both["spikes_per_sample"] / theirs["spikes_per_sample"]
    assert beside["spikes_saved"] == pytest.approx(saved)


def test_report_shows_both_on_one_clip(both):
    page = Path(both["report"]).read_text()
    assert "beside tiny-none" in page
    assert page.count('<div class="map-row">') == 2
    assert "no-attention twin ÷ own" in page
    assert "Attention over space" in page
    assert len(page) < 3_000_000


def test_alone_there_is_nothing_beside(workplace, trained):
    result = workplace.json("evaluate", trained["run"])
    assert "beside" not in result
    page = Path(result["report"]).read_text()
    assert page.count('<div class="map-row">') == 1
    assert "no-attention twin ÷ own" not in page
    code, out, err = workplace.call("evaluate", trained["run"], "--beside", trained["run"])
    assert code == 0, err
    assert "energy_ratio" in out


def test_a_run_on_other_data_is_refused_before_anything_is_read(workplace, trained, plain, archive):
    card = (workplace.folder / "tiny.toml").read_text().replace("[1, 2, 3, 24]", "[1, 4, 24]")
    card = card.replace("gesture_s = 0.6", "gesture_s = 0.45")  # sooner made
    (workplace.folder / "other.toml").write_text(card)
    recipe = (workplace.folder / "tiny-none.toml").read_text().replace("tiny.toml", "other.toml")
    (workplace.folder / "other-none.toml").write_text(recipe)
    other = workplace.json("train", "other-none.toml", "--set", "train.epochs=1", "--out", "elsewhere")["run"]
    before = (Path(trained["run"]) / "report.html").read_bytes()
    code, out, err = workplace.call("evaluate", trained["run"], "--beside", other)
    assert code == 1
    assert out == ""
    assert "another dataset" in err and "other.toml" in err and "fingerprint" in err
    assert (Path(trained["run"]) / "report.html").read_bytes() == before
    assert not (Path(other) / "evaluation.json").exists()
    code, _, err = workplace.call("evaluate", trained["run"], "--beside", "nowhere")
    assert code == 1 and "no such run folder" in err


def test_other_classes_are_refused(trained, plain):
    run, other = load_run(trained["run"]), load_run(plain["run"])
    check_same_data(run, other)
    other.classes.pop()
    with pytest.raises(RunError, match="classes"):
        check_same_data(run, other)
