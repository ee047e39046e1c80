"""Every network table at a size of nothing: its structure, and that no ratio stands beside unequal work."""

import builtins
import importlib
import sys
from dataclasses import replace

import pytest
import torch

from dvspipe.bench import live, memory, steps
from dvspipe.bench.choice import TABLES, chosen, run_table
from dvspipe.bench.peers import choice as peer_choice
from dvspipe.bench.peers.neurons import TRIANGLE, Peer, PlainNeurons
from dvspipe.bench.settings import BenchSettings
from dvspipe.errors import UsageError
from dvspipe.snn.surrogates import fire

TINY = BenchSettings(quick=True, grid=((4, 2),), width=0.125, extra={"bins": 60})


@pytest.fixture(autouse=True)
def few_calls(monkeypatch):
    """One call that counts; and no allocator that stays changed for the tests after these."""
    monkeypatch.setattr(BenchSettings, "repeats", 1)
    monkeypatch.setattr(BenchSettings, "warmup", 0)
    for name in ("lif", "attention", "training", "inference"):
        monkeypatch.setattr(importlib.import_module(f"dvspipe.bench.{name}"), "keep_freed_memory", lambda: False)


def missing(monkeypatch, *libraries):
    """As where they are not installed."""
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] in libraries:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in libraries:
        monkeypatch.delitem(sys.modules, f"dvspipe.bench.peers.{name}", raising=False)


def plain_torch(monkeypatch, neuron=TRIANGLE):
    """One peer that needs no library."""
    peer = Peer(lambda _: PlainNeurons(neuron, lambda u: fire(u, neuron.surrogate, neuron.surrogate_scale, False)))
    for module in ("lif", "training", "inference", "live", "memory", "steps"):
        monkeypatch.setattr(importlib.import_module(f"dvspipe.bench.{module}"), "peers", lambda: ({"plain": peer}, []))


@pytest.mark.parametrize(
    ("name", "rows", "peer"),
    [("lif", 6, "plain"), ("attention", 4, "unfused"), ("training", 4, "plain fp32"), ("inference", 4, "plain fp32")],
)
def test_tables_have_every_column(name, rows, peer, monkeypatch):
    plain_torch(monkeypatch)
    heard = []
    table = run_table(name, replace(TINY, progress=lambda *told: heard.append(told)))
    assert table.name == name
    assert len(table.rows) == rows
    assert heard
    for row in table.rows:
        assert row.unit == "ms"
        assert row.ours > 0 and row.floor > 0 and row.memory_mb > 0 and row.first_call_s > 0 and row.iqr >= 0
    column = table.rows[0].peers[peer]
    assert column.ratio == pytest.approx(column.value / table.rows[0].ours)


def test_a_peer_that_does_other_work_has_a_time_but_no_ratio(monkeypatch):
    plain_torch(monkeypatch, replace(TRIANGLE, keep=0.5))
    for row in run_table("lif", TINY).rows:
        assert row.peers["plain"].value > 0
        assert row.peers["plain"].ratio is None
        assert "not equal work" in row.peers["plain"].note
    with_attention = [row.peers for row in run_table("training", TINY).rows[:2]]
    assert all(peers["plain fp32"].ratio is None for peers in with_attention)


@pytest.mark.parametrize("library", ["spikingjelly", "snntorch"])
def test_a_missing_peer_leaves_a_note(library, monkeypatch):
    called = peer_choice.LIBRARIES[library]
    missing(monkeypatch, library)
    found, notes = peer_choice.peers()
    assert "Norse" in found
    assert called not in found
    assert any(called in note and "dvspipe[bench]" in note for note in notes)


def test_attention_without_spikingjelly_still_has_rows(monkeypatch):
    missing(monkeypatch, "spikingjelly")
    table = run_table("attention", TINY)
    assert [set(row.peers) for row in table.rows] == [{"unfused"}] * 4
    assert any("SpikingJelly is not installed" in note for note in table.notes)


def test_live_has_two_quantiles_of_each_network(monkeypatch):
    plain_torch(monkeypatch)
    table = run_table("live", TINY)
    assert [row.case for row in table.rows] == ["none, p50", "none, p99", "causal TCSA, p50", "causal TCSA, p99"]
    for p50, p99 in (table.rows[:2], table.rows[2:]):
        assert 0 < p50.ours <= p99.ours
        assert p50.peers["plain torch fp32"].ratio == pytest.approx(p50.peers["plain torch fp32"].value / p50.ours)
        assert "spikes per neuron" in p50.note


def test_live_refuses_a_ratio_to_another_answer():
    expected = torch.ones(4, 1, 11)
    assert live._check(lambda frame: torch.ones(1, 11), torch.zeros(4, 1, 2, 32, 32), expected).equal
    assert not live._check(lambda frame: torch.zeros(1, 11), torch.zeros(4, 1, 2, 32, 32), expected).equal


def test_memory_is_of_fresh_processes(monkeypatch):
    """The processes themselves are not started here (seconds each); one is, below."""
    plain_torch(monkeypatch)
    asked = []
    monkeypatch.setattr(memory, "_added_mb", lambda name, *rest: asked.append(name) or {"floor": 5.0}.get(name, 10.0))
    table = run_table("memory", replace(TINY, quick=False))
    assert {row.unit for row in table.rows} == {"MB"}
    assert {"bf16", "fp32", "floor", "plain fp32", "plain bf16"} <= set(asked)
    assert table.rows[0].peers["plain fp32"].ratio == 1.0
    assert table.rows[0].over_floor == 2.0


def test_a_child_measures_what_a_step_adds():
    assert memory._added_mb(steps.FP32, (4, 2), "none", TINY) > 0


def test_every_name_means_a_table_and_all_means_each():
    assert chosen("all") == list(TABLES)
    assert set(TABLES) - set(chosen("all", quick=True)) == {"demo", "accuracy"}
    assert chosen("events-to-frames") == ["events_to_frames"]
    with pytest.raises(UsageError, match=r"did you mean 'lif'"):
        chosen("lfi")


def test_threads_are_those_asked_for_and_afterwards_as_before(monkeypatch):
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr("dvspipe.bench.demo.run", lambda settings: seen.append(torch.get_num_threads()))
    run_table("demo", replace(TINY, threads=2))
    assert seen == [2]
    assert torch.get_num_threads() == before
