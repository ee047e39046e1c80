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
    assert record.rows is None


def test_no_truth_means_no_agreement():
    record = LiveRecord(keep=True)
    record.add(row("a", 2.0), None)
    assert record.result()["agreement"] is None
    assert record.result()["p50_ms"] == 2.0
    assert [each["label"] for each in record.rows] == ["a"]


def test_recent_figures_forget():
    record = LiveRecord()
    for latency in [50.0] * 30 + [1.0] * 100:
        record.add(row("a", latency), None)
    assert record.recent()["max_ms"] == 1.0
    assert record.result()["max_ms"] == 50.0
