"""`dvspipe bench`: what it prints, saves and refuses."""

import json

import pytest

from dvspipe.bench.choice import TABLES
from dvspipe.bench.table import Peer, Row, Table
from dvspipe.cli.main import run
from dvspipe.errors import DvspipeError
from dvspipe.show.bench import bench_cells, bench_markdown, number
from dvspipe.show.bench_plot import ratios

PEERS = {"a[t]": Peer(3.0, 3.0, "reads x[t]"), "b": Peer(2.0, None, "not equal work")}
ROWS = [
    Row("fast", 1.0, "ms", 0.5, PEERS, 7.0, 0.2, 0.1),
    Row("slow", 2000.0, "ms", None, {"a[t]": Peer(1000.0, 0.5)}, note="a negative row"),
]


@pytest.fixture
def measured(monkeypatch):
    """Tables that take no time."""
    asked = []

    def table(name, settings):
        asked.append((name, settings))
        if name == "decode":
            raise DvspipeError("no recording here")
        return Table(name, "A table.", ROWS, ["a note"])

    monkeypatch.setattr("dvspipe.jobs.bench.run_table", table)
    return asked


def test_without_a_name_it_lists_the_tables(capsys):
    assert run(["bench", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in shown["tables"]] == list(TABLES)
    assert run(["bench"]) == 0
    assert all(choice.sentence.split(",")[0][:30] in capsys.readouterr().out for choice in [TABLES["lif"]])


def test_json_is_one_document_with_the_contract_s_rows(measured, capsys, tmp_path):
    assert run(["bench", "lif", "--quick", "--threads", "1", "--out", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert [row["case"] for row in result["rows"]] == ["fast", "slow"]
    assert {"case", "ours", "unit", "floor", "peers"} <= set(result["rows"][0])
    assert result["rows"][0]["peers"]["a[t]"] | {"value": 3.0, "ratio": 3.0} == result["rows"][0]["peers"]["a[t]"]
    assert {"machine", "versions", "date", "out"} <= set(result)
    assert result["machine"]["threads"] == "1"
    assert "fast" in printed.err and "reads x[t]" in printed.err  # the table for people
    (name, settings), *_ = measured
    assert (name, settings.quick, settings.threads) == ("lif", True, 1)


def test_everything_is_saved_whole(measured, tmp_path):
    assert run(["bench", "lif", "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lif.json", "lif.md", "lif.svg"]
    saved = json.loads((tmp_path / "lif.json").read_text(encoding="utf-8"))
    assert saved["versions"]["torch"] in (tmp_path / "lif.md").read_text(encoding="utf-8")
    assert (tmp_path / "lif.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_all_goes_on_when_a_table_fails(measured, capsys, tmp_path):
    assert run(["bench", "all", "--quick", "--out", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["failed"] == {"decode": "no recording here"}
    tables = [name for name, _ in measured]
    assert tables == [name for name in TABLES if name not in ("demo", "accuracy")]
    assert {row["table"] for row in result["rows"]} == set(tables) - {"decode"}


def test_one_table_that_fails_is_an_error(measured, capsys, tmp_path):
    assert run(["bench", "decode", "--out", str(tmp_path)]) == 1
    assert "no recording here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["trainig"], "did you mean 'training'"), (["lif", "--threads", "0"], "--threads 0")],
)
def test_wrong_words_are_refused_before_anything_is_measured(arguments, words, measured, capsys, tmp_path):
    assert run(["bench", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not measured
    assert not (tmp_path / "out").exists()


def facts():
    machine = {"device": "CPU", "processor": "a processor", "threads": "2", "cores": "4", "python": "3.11"}
    return {**Table("lif", "A table.", ROWS, ["a note"]).as_json(), "machine": machine, "versions": {}, "date": "today"}


def test_markdown_has_every_figure():
    text = bench_markdown(facts())
    assert "| fast | 1 ± 0.05 ms | 0.5 | 2 | 7 | 0.2 | 3 (3×) | 2 (no ratio) |" in text
    assert "| slow | 2,000 ms | - | - | - | - | 1,000 (0.5×) |  |" in text
    notes = ("- a note", "- slow: a negative row", "- a[t]: reads x[t]", "- b: not equal work", "today, a processor")
    assert [words for words in notes if words not in text] == []


def test_columns_that_no_row_fills_are_left_out():
    table = {**facts(), "rows": Table("t", "", [Row("a", 1.0, "s")]).as_json()["rows"]}
    assert bench_cells(table) == [["case", "ours"], ["a", "1 s"]]


def test_no_ratio_no_figure():
    table = {**facts(), "rows": Table("t", "", [Row("a", 1.0, "s")]).as_json()["rows"]}
    assert ratios(table) is None
    assert ratios(facts()).startswith("<svg")


@pytest.mark.parametrize(("value", "shown"), [(None, "-"), (0.01234, "0.0123"), (12.34, "12.3"), (1234.5, "1,234")])
def test_numbers_have_three_figures(value, shown):
    assert number(value) == shown
