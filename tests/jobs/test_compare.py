"""compare by the real command: cells, resumption, the table."""

import json
import os
import signal
import time
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def compared(workplace, archive):
    arguments = ("compare", "tiny-none.toml", "--vary", "snn.attention=none,relu", "--seeds", "2")
    arguments += ("--set", "train.epochs=1", "--out", "cells", "--json")
    return arguments, json.loads(workplace.run(*arguments)[0])


def test_rows_are_settings_with_spread(compared, workplace):
    _, result = compared
    assert [row["setting"] for row in result["rows"]] == ["attention=none", "attention=relu"]
    cells = {path: json.loads(path.read_text()) for path in (workplace.folder / "cells").glob("*seed*/*.json")}
    assert len(cells) == 4
    for row in result["rows"]:
        own = [cell["accuracy"] for path, cell in cells.items() if path.parent.name.startswith(row["setting"])]
        assert row["seeds"] == len(own) == 2
        assert row["accuracy"]["mean"] == pytest.approx(sum(own) / 2)
    assert result["rows"][0]["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    table = (workplace.folder / "cells" / "table.md").read_text().splitlines()
    assert len(table) == 4
    report = Path(result["report"])
    assert report == workplace.folder / "cells" / "report.html"
    page = report.read_text()
    assert "Where the spikes are" in page
    assert "Accuracy against spikes" in page
    assert "Varied is snn.attention: none, relu" in page
    assert table[2].startswith("| attention=none | 2 | ")


def test_finished_cells_are_picked_up_and_lost_ones_run_again(compared, workplace):
    arguments, before = compared
    folder = workplace.folder / "cells"
    cells = sorted(folder.glob("*seed*/*.json"))
    stamps = [path.stat().st_mtime_ns for path in cells]
    cells[0].unlink()
    again = json.loads(workplace.run(*arguments)[0])
    assert [path.stat().st_mtime_ns != stamp for path, stamp in zip(cells, stamps, strict=True)] == [
        True,
        False,
        False,
        False,
    ]
    for row, old in zip(again["rows"], before["rows"], strict=True):
        assert row["accuracy"] == old["accuracy"]  # the same seed gives the same figures


def test_settings_keep_values_with_dots(workplace, archive, monkeypatch):
    from dvspipe.jobs.compare import _cells

    monkeypatch.chdir(workplace.folder)
    cells = _cells(["tiny-none.toml"], ["train.lr=0.001,0.01", "snn.attention=none,relu"], 1, [], workplace.folder)
    assert [cell.setting for cell in cells][:2] == ["lr=0.001, attention=none", "lr=0.001, attention=relu"]


def test_another_recipe_shares_no_cells(compared, workplace, monkeypatch):
    from dvspipe.jobs.cells import Cell

    monkeypatch.chdir(workplace.folder)
    one = Cell("tiny-none.toml", {"train.epochs": "1"}, (), 0, workplace.folder)
    other = Cell("tiny-none.toml", {"train.epochs": "2"}, (), 0, workplace.folder)
    assert one.result != other.result


def test_no_more_at_a_time_than_memory_allows(workplace, archive, monkeypatch, capsys):
    from dvspipe.jobs import cells, memory_plan

    monkeypatch.chdir(workplace.folder)
    some = [cells.Cell("tiny-none.toml", {"snn.attention": "none"}, (), seed, workplace.folder) for seed in range(4)]
    for free_gib, fitting in ((64, 4), (2.5, 2), (0.1, 1)):
        monkeypatch.setattr(memory_plan, "free_bytes", lambda _, free_gib=free_gib: int(free_gib * 2**30))
        assert cells._as_memory_allows(some, 4) == fitting
        assert (f"{fitting} trainings at a time, not 4" in capsys.readouterr().err) == (fitting < 4)


def test_a_killed_training_is_said_and_finished_cells_stay(compared, workplace):
    cells = workplace.folder / "cells"
    before = sorted(cells.glob("*seed*/*.json"))
    process = workplace.start(*compared[0], "--vary", "snn.width=0.1,0.2")
    while not (running := list(cells.glob("*width=0.2*/run"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    assert running
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
            os.kill(int(child), signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "was killed" in err and "goes on with the rest" in err and "Traceback" not in err
    assert all(path.is_file() for path in before)


@pytest.mark.parametrize("vary", ["snn.attention", "snn.attention=none,TCSB", "snn.attn=none"])
def test_wrong_settings_are_refused_before_anything_runs(workplace, vary):
    code, out, err = workplace.call("compare", "demo-none", "--vary", vary, "--out", "never")
    assert code == 2
    assert out == ""
    assert "attention" in err or "attn" in err
    assert not (workplace.folder / "never").exists()


def test_several_recipes_are_settings_too(compared, workplace):
    """Nothing varies but the recipe."""
    arguments = ("compare", "tiny-none.toml", "tiny-TCSA.toml", "--seeds", "1", "--set", "train.epochs=1")
    result = workplace.json(*arguments, "--out", "recipes")
    assert [row["setting"] for row in result["rows"]] == ["tiny-none", "tiny-TCSA"]
    assert result["rows"][1]["params"]["mean"] > result["rows"][0]["params"]["mean"]
    assert "<h1>tiny: recipe</h1>" in (workplace.folder / "recipes" / "report.html").read_text()


def test_one_recipe_alone_and_two_datasets_are_refused(workplace):
    assert "--vary" in workplace.call("compare", "demo-none", "--out", "never")[2]
    code, _, err = workplace.call("compare", "demo-none", "gait-sim-none", "--out", "never")
    assert code == 2
    assert "gait-sim" in err and "gesture-sim-small" in err
    assert not (workplace.folder / "never").exists()
