"""The report of a live session: what it tells, how large it gets, and the trace it is made of."""

import dataclasses
import re
from html import unescape

import numpy as np
import pytest

from dvspipe.show.live_figures import thinned, timeline
from dvspipe.show.live_report import damage_words, not_real_time, render_live_report, write_live_report
from dvspipe.show.live_trace import STRETCH, LiveTrace, Trace
from dvspipe.show.moment import Label, Looks, Moment, Stage
from dvspipe.show.summary import LiveSummary

CLASSES = ("walk", "run", "jump")
STAGE = Stage("a recording", "a run", CLASSES, 25_000, (32, 32), stop_us=10**9)
RESULT = {
    "bins": 400, "decisions": 300, "p50_ms": 1.25, "p95_ms": 2.5, "p99_ms": 3.75, "p999_ms": 4.5, "max_ms": 9.5,
    "late_bins": 2, "dropped_bins": 3, "dropped_events": 456, "merged_bins": 1, "late_events": 7, "tail_events": 89,
    "resets": 5, "drop": "oldest", "x_real_time": 1.0, "agreement": 0.875,
}  # fmt: skip
SETTINGS = {"speed": 1.0, "decision": {"high": 0.61, "low": 0.4}}
DAMAGE = {"kind": "flipped bits", "offset": 1_234_567, "lost_bytes": 512, "last_good_t_us": 29_812_345}
FRAME = np.zeros((2, 32, 32), np.int32)


def moment(number, label="walk", truth=None, looks=None, frame=FRAME, start_us=0, **stats):
    evidence = {name: 0.7 if name == label else 0.1 for name in CLASSES}
    stats = {"event_rate": 1000.0 * (number % 7), "latency_ms": 1.0 + number % 5} | stats
    return Moment(number, start_us + (number + 1) * 25_000, frame, evidence, label, 0.7, truth, stats, looks)


def looks(time=12):
    return Looks(
        {"conv1": 0.03, "hidden": 0.02},
        {"conv1": np.linspace(0.2, 0.9, time)},
        {"conv1": np.linspace(0, 1, 64).reshape(8, 8)},
        0.5,
    )


def traced(moments, stage=STAGE, columns=4096):
    trace = Trace(stage, columns)
    for each in moments:
        trace.add(each)
    return trace


def session(count=400, **summary):
    """Gestures of 100 bins with 20 bins of rest before them, every third one taken for another."""
    labels = [
        Label(CLASSES[index % 3], 2_500_000 * index + 500_000, 2_500_000 * (index + 1)) for index in range(count // 100)
    ]
    moments = []
    for number in range(count):
        label = CLASSES[(number // 100) % 3] if number % 100 >= 20 else None
        said = "jump" if label == "walk" and number % 100 > 80 else label
        moments.append(moment(number, said, label, looks() if number % 4 == 0 else None))
    stage = dataclasses.replace(STAGE, labels=tuple(labels))
    return traced(moments, stage).summary(RESULT, SETTINGS, DAMAGE)


def words(page):
    body = re.sub(r"<style>.*?</style>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.fixture(scope="module")
def page():
    return render_live_report(session(), {"network": "three-conv, TCSA", "parameters": 12_345}, ["Simulated data."])


def test_needs_nothing_from_outside(page):
    loads = re.findall(r'(?:src|href|xlink:href|action)\s*=\s*"([^"]*)"', page)
    assert loads and all(load.startswith(("data:", "#")) for load in loads)
    assert not re.search(r"@import|url\((?!#)|<script|<link|<iframe", page)


def test_tells_the_numbers_it_was_given(page):
    text = words(page)
    for word in (
        "Live on a recording", "88 %", "3.8 ms", "1.25 ms", "2.50 ms", "3.75 ms", "4.50 ms", "9.50 ms",
        "events dropped with them 456",
        "events after the last whole bin 89", "resets after a silence 5", "the bin that waits longest is dropped",
        "Flipped bits at byte 1,234,567; 512 bytes lost; the last good event before it at 29.8 s.",
        "decision.high 0.61", "speed 1.0", "three-conv, TCSA", "12345", "Simulated data.", "Python 3",
    ):  # fmt: skip
        assert word in text.replace("\u00a0", " "), word
    assert "None" not in text and "not real time" not in text


def test_shows_every_panel(page):
    labels = " ".join(re.findall(r'aria-label="([^"]*)"', page))
    for name in ("below the labelled classes", "evidence", "event rate", "latency", "rates", "Attention weight"):
        assert name in labels, name
    assert "Attention over space" in page and 'src="data:image/gif' in page


@pytest.mark.parametrize(
    ("missing", "word"),
    [
        ({"evidence": None}, "evidence by class"),
        ({"event_rate": None}, "events per second"),
        ({"rates": {}}, "spikes per neuron, by layer"),
        ({"inside": None}, "What attention attended to"),
        ({"settings": {}}, "How it was played"),
        ({"clip": None}, "and what was decided:"),
        ({"truth": []}, "below what was labelled"),
        ({"result": {}}, "resets after"),
    ],
)  # fmt: skip
def test_what_is_missing_is_left_out(page, missing, word):
    less = words(render_live_report(dataclasses.replace(session(), **missing)))
    assert word in words(page) and word not in less and "None" not in less


def test_bare_sessions_make_a_page():
    row = {"bin": 0, "t_us": 5, "label": None, "confidence": 0.0, "latency_ms": 1.0}
    for bare in (LiveSummary("camera"), [], LiveSummary("camera", decisions=[row])):
        assert "None" not in words(render_live_report(bare))


def test_a_playlist_has_a_section_per_recording():
    first, second = session(), dataclasses.replace(session(), source="another one")
    text = words(render_live_report([first, second]))
    assert "Live on 2 recordings" in text and text.count("another one") >= 2 and text.count("Latency and losses") == 2


def test_more_than_one_percent_dropped_is_not_real_time():
    assert not_real_time({"bins": 980, "dropped_bins": 20}) and not not_real_time({"bins": 990, "dropped_bins": 10})
    assert not not_real_time({}) and not not_real_time({"bins": 0, "dropped_bins": 0})
    late = dataclasses.replace(session(), result=RESULT | {"dropped_bins": 20})
    assert "not real time" in render_live_report(late)


def test_damage_is_told_with_what_is_known():
    assert damage_words({"kind": "truncated"}) == "Truncated."
    assert damage_words({"kind": "zero_filled", "offset": 0, "lost_bytes": None}) == "Zero filled at byte 0."
    several = dataclasses.replace(session(), damage=[DAMAGE, {"kind": "truncated", "offset": 9}])
    assert "Truncated at byte 9." in words(render_live_report(several))


def test_hostile_words_stay_words(tmp_path):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}$x$\x1b"
    stage = Stage(evil, evil, (evil, "b"), 25_000, (32, 32), labels=(Label(evil, 0, 10**6),))
    looked = Looks({evil: 0.1}, {evil: np.ones(3)}, {evil: np.ones((4, 4))}, 1.0)
    each = Moment(3, 100_000, FRAME, {evil: 1.0, "b": 0.0}, evil, 1.0, evil, {"latency_ms": 1.0}, looked)
    hostile = traced([each, dataclasses.replace(each, bin=4)], stage).summary(
        {"drop": evil}, {evil: evil}, {"kind": evil}
    )
    text = write_live_report(tmp_path / "r.html", hostile, {evil: evil}, [evil]).read_text(encoding="utf-8")
    assert "<script" not in text.lower() and "<img src=x" not in text


def test_an_hour_fits_into_a_mail(tmp_path):
    """144,000 bins of 25 ms, decisions that change all the time."""
    rng, trace = np.random.default_rng(0), Trace(dataclasses.replace(STAGE, labels=session().truth and ()))
    names = [None, *CLASSES]
    shown = looks()
    for number, which in enumerate(rng.integers(4, size=144_000).tolist()):
        trace.add(moment(number, names[which], looks=shown if number % 8 == 0 else None))
    path = write_live_report(tmp_path / "hour.html", trace.summary(RESULT, SETTINGS))
    assert path.stat().st_size < 3_000_000
    assert "sensor time (min)" in path.read_text(encoding="utf-8")


def test_many_rows_of_a_caller_are_thinned_too(tmp_path):
    rows = [
        {"bin": k, "t_us": 25_000 * (k + 1), "label": CLASSES[k % 3], "confidence": 0.5, "latency_ms": 1.0 + k % 3}
        for k in range(100_000)
    ]
    evidence = np.random.default_rng(1).random((100_000, 3))
    summary = LiveSummary("rows", {"bins": 100_000}, rows, classes=list(CLASSES), bin_us=25_000, evidence=evidence)
    assert write_live_report(tmp_path / "r.html", summary).stat().st_size < 3_000_000


# ------------------------------------------------------------------------------------------------------------ the trace


def test_a_short_session_is_kept_bin_by_bin():
    summary = traced(moment(number, CLASSES[number % 3]) for number in range(30)).summary({})
    assert [row["label"] for row in summary.decisions] == [CLASSES[number % 3] for number in range(30)]
    assert [row["t_us"] for row in summary.decisions] == [25_000 * (number + 1) for number in range(30)]
    assert summary.event_rate.tolist() == [1000.0 * (number % 7) for number in range(30)]
    assert summary.evidence.shape == (30, 3) and summary.evidence[1].tolist() == pytest.approx([0.1, 0.7, 0.1])


def test_a_long_session_keeps_means_worst_latencies_and_the_usual_label():
    count, columns = 1000, 64
    trace = traced((moment(number, "walk" if number % 16 < 10 else "run") for number in range(count)), columns=columns)
    summary = trace.summary({})
    assert trace.per == 16 and len(summary.decisions) == -(-count // 16)
    assert {row["label"] for row in summary.decisions[:-1]} == {"walk"} and summary.decisions[0]["latency_ms"] == 5.0
    rates = np.array([1000.0 * (number % 7) for number in range(count)])
    assert summary.event_rate[:62].tolist() == pytest.approx(rates[:992].reshape(62, 16).mean(1).tolist())
    assert len(summary.latencies_ms) == count and summary.decisions[-1]["t_us"] >= count * 25_000


@pytest.mark.parametrize("length", [1, 63, 64, 65, 127, 128, 129, 1000])
def test_every_bin_counts_once_however_often_columns_are_folded(length):
    trace = traced((moment(number) for number in range(length)), columns=64)
    assert trace._sums["bins"].sum() == length and trace._decided.sum() == length
    summary = trace.summary({})
    assert len(summary.decisions) == len(summary.evidence) == -(-length // trace.per)


def test_memory_does_not_grow_with_the_session():
    trace = traced(moment(number) for number in range(10))
    held = sum(each.nbytes for each in (*trace._sums.values(), trace._evidence, trace._decided, trace._slowest))
    for number in range(10, 20_000):
        trace.add(moment(number, looks=looks() if number == 11 else None))
    assert sum(each.nbytes for each in (*trace._sums.values(), trace._evidence, trace._decided, trace._slowest)) == held
    assert len(trace._stretch._now) < STRETCH and trace._latencies.itemsize == 4


def test_gaps_and_seeks_are_no_trouble():
    numbers = [*range(50, 60), *range(200, 210), *range(40, 45)]
    summary = traced(moment(number, start_us=5_000_000) for number in numbers).summary({})
    assert [row["bin"] for row in summary.decisions] == sorted(numbers)
    assert len(summary.evidence) == 170 and np.isnan(summary.evidence[30]).all()
    assert render_live_report(summary)


def test_labels_that_only_the_moments_know():
    truth = ["walk"] * 5 + [None] * 3 + ["run"] * 2
    summary = traced(moment(number, "walk", each) for number, each in enumerate(truth)).summary({})
    assert summary.truth == [
        {"label": "walk", "start_us": 0, "stop_us": 125_000}, {"label": "run", "start_us": 200_000, "stop_us": 250_000},
    ]  # fmt: skip


def test_the_animation_is_a_stretch_with_decisions():
    bright = np.ones((2, 32, 32), np.int32)
    moments = [moment(number, None) for number in range(3 * STRETCH)]
    moments += [moment(3 * STRETCH + number, "run", "run", frame=bright) for number in range(STRETCH)]
    moments += [moment(4 * STRETCH + number, None) for number in range(STRETCH)]
    summary = traced(moments).summary({})
    assert summary.clip_bin == 3 * STRETCH and summary.clip.shape == (STRETCH, 2, 32, 32) and summary.clip.all()


def test_attention_is_averaged():
    trace = traced(
        [moment(0, looks=looks(3)), moment(1, looks=looks(12)), moment(2, looks=Looks({}, {"conv1": np.ones(12)}))]
    )
    inside = trace.summary({}).inside
    assert inside.neutral == 0.5 and inside.time["conv1"] == pytest.approx((np.linspace(0.2, 0.9, 12) + 1) / 2)
    assert traced([moment(0)]).summary({}).inside is None


def test_a_view_that_keeps_a_trace_per_recording():
    with LiveTrace() as view:
        for name in ("one", "two"):
            view.open(dataclasses.replace(STAGE, title=name))
            view.update(moment(0))
        view.finish("the end")
    assert [trace.summary({}).source for trace in view.traces] == ["one", "two"]


# ---------------------------------------------------------------------------------------------------------- the figures


def test_thinning_keeps_means_and_extremes():
    values = np.arange(10, dtype=float)
    assert thinned(values, 5).tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]
    assert thinned(values, 5, worst=True).tolist() == [1, 3, 5, 7, 9] and thinned(values, 10) is values
    assert (
        thinned(np.array([np.nan, 1, np.nan, np.nan]), 2).tolist()[0] == 1 and len(thinned(np.ones(1001), 1000)) == 501
    )


def test_a_long_timeline_is_broken_into_rows():
    rows = [{"t_us": 10**6 * (k + 1), "label": "walk", "confidence": 0.5} for k in range(3600)]
    short, long = (timeline(rows[:count], [], CLASSES, 1e6) for count in (60, 3600))
    assert short.count("<image") == 1 and long.count("<image") == 8
    assert "sensor time (s)" in short and "sensor time (min)" in long
