"""The event tables at a size of nothing: structure, equal work, and what happens without a peer or with one that is wrong."""

from importlib import import_module

import numpy as np
import pytest

from dvspipe.bench import decode, event_inputs, events_to_frames, loader
from dvspipe.bench.choice import run_table
from dvspipe.bench.peers.choice import library
from dvspipe.bench.rates import check_arrays, numpy_peak_mb, rate_row
from dvspipe.bench.settings import BenchSettings
from dvspipe.recordings import open_recording

TINY = BenchSettings(quick=True, extra={"events": 160_000, "clips": 1})
TABLES = {
    "events_to_frames": ("Mev/s", "tonic ToFrame"),
    "decode": ("Mev/s", "numpy"),
    "loader": ("samples/s", loader.PEER),
}


@pytest.fixture(autouse=True)
def few_calls(monkeypatch):
    monkeypatch.setattr(BenchSettings, "repeats", 1)
    monkeypatch.setattr(BenchSettings, "warmup", 0)
    for name in TABLES:
        monkeypatch.setattr(import_module(f"dvspipe.bench.{name}"), "keep_freed_memory", lambda: False)


@pytest.fixture
def without_tonic(monkeypatch):
    for name in ("events_to_frames", "loader"):
        monkeypatch.setattr(import_module(f"dvspipe.bench.{name}"), "library", lambda _: None)


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_of_equal_work_and_has_its_columns(name):
    unit, peer = TABLES[name]
    heard = []
    table = run_table(name, BenchSettings(quick=True, extra=TINY.extra, progress=lambda *told: heard.append(told)))
    assert (table.name, bool(heard)) == (name, True)
    assert len({row.case for row in table.rows}) == len(table.rows) >= 4
    for row in table.rows:
        assert row.unit == unit
        assert row.ours > 0 and row.memory_mb > 0 and row.first_call_s > 0 and row.iqr >= 0
        for found in row.peers.values():
            assert found.ratio == pytest.approx(row.ours / found.value) or "less work" in found.note
    assert any(peer in row.peers for row in table.rows)


@pytest.mark.parametrize("name", ["events_to_frames", "loader"])
def test_without_tonic_rows_stay_and_a_note_says_why(name, without_tonic):
    table = run_table(name, TINY)
    assert not any("tonic" in peer for row in table.rows for peer in row.peers)
    assert any("tonic is not installed" in note for note in table.notes)
    assert all(row.ours > 0 for row in table.rows)


def test_a_peer_that_makes_other_frames_gets_no_ratio(monkeypatch):
    monkeypatch.setattr(events_to_frames, "_bincount", lambda *_: np.zeros((1, 2, 128, 128)))
    for row in run_table("events_to_frames", TINY).rows:
        if "np.bincount" in row.peers:
            assert row.peers["np.bincount"].ratio is None
            assert "not equal work" in row.peers["np.bincount"].note


def test_a_loader_that_gives_other_batches_gets_no_ratio(monkeypatch):
    tonic = library("tonic")
    real = tonic.to_frame
    monkeypatch.setattr(tonic, "to_frame", lambda *which: lambda table: real(*which)(table) + 1)
    table = run_table("loader", TINY)
    assert [row.peers[loader.PEER].ratio for row in table.rows] == [None] * len(table.rows)


def test_real_files_are_rows_of_their_own(recordings_dir):
    settings = BenchSettings(quick=True, extra=TINY.extra, recordings=recordings_dir)
    assert {"dvs128_garfield", "dvs128_stripes"} <= {row.case for row in run_table("events_to_frames", settings).rows}
    rows = {row.case: row for row in run_table("decode", settings).rows}
    assert "gen3_scene_evt2.raw, whole file" in rows
    assert "faery cannot read it" in rows["atis_ncars.dat, whole file"].note


def test_the_numpy_decoder_reads_what_we_read(tmp_path, recordings_dir):
    path = recordings_dir / "derived" / "user99_fluorescent.aedat"
    events = open_recording(path).load()
    words = np.frombuffer(decode.aedat31_body(path.read_bytes()), "<u4")
    assert check_arrays(decode.numpy_aedat31(words), (events.t, events.x, events.y, events.p), "columns").equal


def test_check_arrays_sees_numbers_and_lengths_not_types():
    one = np.arange(3, dtype=np.int16)
    assert check_arrays([one], [one.astype(np.int64)], "x").equal
    assert not check_arrays([one], [one + 1], "x").equal
    assert not check_arrays([one], [one, one], "x").equal


def test_rates_are_work_by_time_and_the_floor_is_no_peer():
    row = rate_row("sleep", "Mev/s", 3.0, {"ours": lambda: None, "floor": lambda: None}, {}, TINY)
    assert row.peers == {}
    assert row.floor > 0
    assert numpy_peak_mb(lambda: np.zeros(2**20, np.uint8)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("make", [event_inputs.cloud, event_inputs.noise])
def test_made_events_are_the_same_on_every_machine(make):
    events = make(1_000, 1e6, 5)
    assert (len(events), int(events.t[0]), int(events.t[-1])) == (1_000, 0, 999)
    assert np.all(np.diff(events.t) >= 0)
    again = make(1_000, 1e6, 5)
    assert all(np.array_equal(getattr(events, name), getattr(again, name)) for name in "txyp")
    assert not np.array_equal(make(1_000, 1e6, 6).x, events.x)
