"""The record of a live session."""

from dvspipe.metrics.live import LiveRecord


def row(label, latency_ms=1.0):
    return {"label": label, "latency_ms": latency_ms}


def test_counts_decisions_and_agreement():
    record = LiveRecord()
    for label, truth in (("a", "a"), ("b", "a"), (None, "a"), ("a", None)):
        record.add(row(label), truth)
    result = record.result()
    assert result["decisions"] == 3
    assert result["agreement"] == 1 / 3


def test_no_truth_means_no_agreement():
    record = LiveRecord()
    record.add(row("a", 2.0), None)
    assert record.result()["agreement"] is None
    assert record.result()["p50_ms"] == 2.0


def test_recent_figures_forget():
    record = LiveRecord()
    for latency in [50.0] * 30 + [1.0] * 100:
        record.add(row("a", latency), None)
    assert record.recent()["max_ms"] == 1.0
    assert record.result()["max_ms"] == 50.0


def test_a_decision_is_late_where_it_took_longer_than_it_may():
    record = LiveRecord()
    for latency in (1.0, 24.0, 26.0):
        record.add(row("a", latency), None, due_ms=25.0)
    record.add(row("a", 99.0), None)
    assert record.result()["late_bins"] == 1


def test_stages_have_percentiles_of_their_own():
    record = LiveRecord()
    for milliseconds in range(1, 102):
        record.stages({"queue": 0.5, "step": float(milliseconds)})
    stages = record.result()["stages"]
    assert stages["queue"]["p99_ms"] == 0.5
    assert stages["step"]["p50_ms"] == 56.0, "after ten bins of warm-up"
