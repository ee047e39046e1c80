"""Tables that run whole commands in their own processes; the commands have tests elsewhere and are stood in for here."""

import pytest

from dvspipe.bench.children import Finished, run_module
from dvspipe.bench.choice import run_table
from dvspipe.bench.settings import BenchSettings
from dvspipe.errors import DvspipeError


def standing_in(monkeypatch, table, result, seconds=1.0):
    asked = []

    def run(module, arguments, threads):
        asked.append((module, list(arguments), threads))
        return Finished(result, seconds)

    monkeypatch.setattr(f"dvspipe.bench.{table}.run_module", run)
    return asked


def test_demo_is_timed_from_outside(monkeypatch):
    asked = standing_in(monkeypatch, "demo", {"runs": [{"name": "demo-none", "accuracy": 0.5}]}, 123.0)
    (row,) = run_table("demo", BenchSettings(threads=1)).rows
    assert (row.ours, row.unit) == (123.0, "s")
    assert "demo-none 50.0 %" in row.note
    assert asked[0][0] == "dvspipe" and asked[0][1][0] == "demo" and asked[0][2] == 1


def test_accuracy_puts_the_reference_beside_the_fast_kernels(monkeypatch):
    fast = {"accuracy": {"mean": 0.8, "std": 0.01}, "seconds": {"mean": 10.0}, "seeds": 3}
    difference = {"mean": 0.01, "low": -0.02, "high": 0.04}
    slow = {"accuracy": {"mean": 0.81, "std": 0.02}, "seconds": {"mean": 40.0}, "seeds": 3, "difference": difference}
    asked = standing_in(monkeypatch, "accuracy", {"rows": [fast, slow]})
    accuracy, seconds = run_table("accuracy", BenchSettings(extra={"set": ["train.epochs=1"]})).rows
    assert (accuracy.ours, accuracy.peers["reference"].value) == (80.0, 81.0)
    assert "+1.0 points (95 % -2.0 to +4.0)" in accuracy.note
    assert seconds.peers["reference"].ratio == 4.0
    (_, arguments, _), *_ = asked
    assert arguments[:3] == ["compare", "demo-none", "--vary"]
    assert "snn.kernels=auto,reference" in arguments
    assert arguments[arguments.index("--set") + 1] == "train.epochs=1"


def test_a_process_that_fails_says_what_it_said():
    with pytest.raises(DvspipeError, match="No module named"):
        run_module("dvspipe.no_such_module", [])


def test_a_process_s_last_line_is_its_result():
    assert run_module("dvspipe", ["datasets", "--json"]).result["cards"]
