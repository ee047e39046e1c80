"""Time in turn, ratios, memory: the arithmetic that every table shares."""

import json
import mmap

import pytest
import torch

from dvspipe.bench.gate import Verdict
from dvspipe.bench.measuring import Measured, row
from dvspipe.bench.peak import ProcessPeak, peak_mb
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Peer, Row, Table, ratio
from dvspipe.bench.timing import FEWEST, Timing, interleaved, summary


def test_cases_take_turns():
    calls = []
    times = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2, warmup=1)
    assert calls == ["a", "b"] * 4
    assert list(times) == ["a", "b"]


def test_first_and_warm_up_calls_do_not_count():
    timing = summary([9.0, 5.0, 1.0, 2.0, 3.0], warmup=1)
    assert (timing.first_s, timing.median_s, timing.iqr_s) == (9.0, 2.0, 1.0)


def test_slow_cases_are_repeated_less():
    calls = []
    interleaved({"a": lambda: calls.append("a")}, repeats=100, warmup=0, budget_s=0.0)
    assert len(calls) == 1 + FEWEST


def test_progress_hears_of_every_call():
    heard = []
    interleaved({"a": int, "b": int}, 2, 0, lambda *told: heard.append(told))
    assert heard[0] == ("a", 1, 6)
    assert heard[-1] == ("b", 6, 6)


@pytest.mark.parametrize(
    ("peer", "ours", "unit", "expected"),
    [
        (4.0, 2.0, "ms", 2.0),
        (4.0, 2.0, "MB", 2.0),
        (4.0, 2.0, "Mev/s", 0.5),
        (None, 2.0, "ms", None),
        (4.0, 0, "s", None),
    ],
)
def test_a_ratio_above_one_means_ours_is_better(peer, ours, unit, expected):
    assert ratio(peer, ours, unit) == expected


def test_over_the_floor_is_a_time_whatever_the_unit():
    assert Row("a", 3.0, "ms", floor=2.0).over_floor == 1.5
    assert Row("a", 2.0, "Mev/s", floor=3.0).over_floor == 1.5
    assert Row("a", 2.0, "ms").over_floor is None


def test_unequal_work_has_a_value_and_no_ratio():
    measured = {"ours": Measured(Timing(1.0, 0.1, 3.0), 7.0), "theirs": Measured(Timing(4.0, 0.1, 5.0), 9.0)}
    made = row("case", "ours", measured, {"theirs": Verdict(False, "not equal work")})
    assert made.peers["theirs"] == Peer(4000.0, None, "not equal work", 9.0, 5.0)
    made = row("case", "ours", measured, {"theirs": Verdict(True, "")}, floor_ms=500.0)
    assert made.peers["theirs"].ratio == 4.0
    assert (made.ours, made.floor, made.over_floor, made.first_call_s, made.memory_mb) == (1000.0, 500.0, 2.0, 3.0, 7.0)


def test_json_has_the_contract_s_keys():
    table = Table("t", "A table.", [Row("a", 1.0, "ms", 0.5, {"p": Peer(2.0, 2.0)})], ["note"])
    shown = json.loads(json.dumps(table.as_json(), allow_nan=False))
    assert shown["notes"] == ["note"]
    (line,) = shown["rows"]
    assert {"case", "ours", "unit", "floor", "peers"} <= set(line)
    assert {"value", "ratio"} <= set(line["peers"]["p"])


def test_peak_is_what_a_call_holds_at_once():
    def call():
        kept = torch.empty(4 * 2**20, dtype=torch.uint8)
        for _ in range(3):
            torch.empty(2 * 2**20, dtype=torch.uint8)
        return kept

    assert peak_mb(call) == pytest.approx(6.0, abs=0.1)


def test_the_process_s_peak_sees_what_is_gone_again():
    peak = ProcessPeak()
    peak.start()
    with mmap.mmap(-1, 64 * 2**20) as pages:  # not malloc's, which may have so much in hand
        for page in range(0, len(pages), mmap.PAGESIZE):
            pages[page] = 1
    assert 50 < peak.added() < 200


def test_quick_is_the_first_size_and_few_repeats():
    quick, full = BenchSettings(quick=True), BenchSettings()
    assert quick.sizes == ((20, 8),)
    assert full.sizes == ((20, 8), (60, 4))
    assert quick.repeats < full.repeats and quick.budget_s < full.budget_s
