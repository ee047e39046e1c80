"""Figures of decisions on uncut recordings, every one worked out by hand."""

import numpy as np
import pytest

from dvspipe.metrics.live_quality import (
    SINCE_ONSET_MS,
    Timeline,
    Window,
    argmax_labels,
    live_quality,
    overlap_f1,
    windows_found,
)

MS = 1000
CLASSES = ["a", "b", "c"]


def timeline(letters, windows, bin_ms=100, resets=None):
    """Decisions, a letter per bin, '.' for none; windows as (letter, start_ms, stop_ms)."""
    labels = np.array(["abc.".index(each) for each in letters])
    labels[labels == 3] = -1
    ends = bin_ms * MS * np.arange(1, len(labels) + 1)
    said = [Window("abc".index(name), start * MS, stop * MS) for name, start, stop in windows]
    return Timeline(ends, labels, bin_ms * MS, said, resets)


# Bin ends 100, 200, ... 2000 ms. The window of a holds ends 300 to 900, that of b ends 1300 to 1900.
ONE = timeline("..ba.aaacccab.bbbcb", [("a", 200, 900), ("b", 1200, 1950)])


def test_one_window_by_hand():
    first, second = windows_found(ONE)
    # Since onset: b at 100, a at 200, none at 300, a at 400 to 600, c at 700 (its last bin end).
    assert first.first_ms == 200
    assert first.stable_ms is None  # c at its last bin end
    assert first.at == {25: False, 50: False, 100: False, 200: True, 400: True}  # 700 ms long: no answer at 800
    assert first.area == pytest.approx((100 + 300) / 700)  # in force from 400 to 500 ms and from 600 to 900 ms
    # Since onset: b at 100, none at 200, b at 300 to 500, c at 600, b at 700.
    assert second.first_ms == 100
    assert second.stable_ms == 700
    assert second.at == {25: False, 50: False, 100: True, 200: False, 400: True}


def test_figures_of_the_recording_by_hand():
    found = live_quality([ONE], CLASSES)
    points = {point["t_ms"]: (point["accuracy"], point["windows"]) for point in found["accuracy_since_onset"]}
    assert points == {25: (0, 2), 50: (0, 2), 100: (0.5, 2), 200: (0.5, 2), 400: (1, 2)}
    assert found["windows"] == 2
    assert found["area"] == pytest.approx((4 / 7 + (100 + 300 + 50) / 750) / 2)
    assert found["first_correct_ms"] == {"median": 150, "p90": 190, "share": 1, "median_of_all": 150}
    assert found["stable_correct_ms"] == {"median": 700, "p90": 700, "share": 0.5, "median_of_all": None}
    assert found["detection_rate"] == 1
    assert found["labelled_s"] == pytest.approx(1.4) and found["outside_s"] == pytest.approx(0.5)
    # b>a, a>., a>c in the first; b>., b>c, c>b in the second. What changes across an edge is no flip of a window.
    assert found["flips_per_s"] == pytest.approx(6 / 1.4)
    # Outside end 100, 200, 1000, 1100, 1200, of which 1200 begins an a; c has been there since 900.
    assert found["false_per_min"] == pytest.approx(60 / 0.5 * 1)
    assert found["early_per_min"] == 0
    assert found["outside_share"] == pytest.approx(3 / 5)


def test_a_decision_before_the_onset_is_early_and_in_force_at_once():
    found = live_quality([timeline("a.aaaa", [("a", 400, 600)])], CLASSES)
    assert found["false_per_min"] == pytest.approx(2 / (0.4 / 60))
    assert found["early_per_min"] == pytest.approx(1 / (0.4 / 60))  # the first one did not last
    assert found["first_correct_ms"]["median"] == found["stable_correct_ms"]["median"] == 100
    assert [point["accuracy"] for point in found["accuracy_since_onset"]] == [1, 1, 1, 1]  # 25 to 200 ms
    assert found["area"] == 1 and found["flips_per_s"] == 0


def test_what_is_forgotten_at_the_onset_is_not_in_force_after_it():
    resets = np.array([False] * 4 + [True] + [False])
    found = live_quality([timeline("a.aaaa", [("a", 400, 600)], resets=resets)], CLASSES)
    assert [point["accuracy"] for point in found["accuracy_since_onset"]] == [0, 0, 1, 1]
    assert found["area"] == 0.5


def test_overlap_f1_by_hand():
    # In force: a 100 to 600 (overlap with its window 500 of 600), b 600 to 700, c 700 to 900 (100 of 600), b 900 to 1000.
    line = timeline("aaaaabccb", [("a", 0, 600), ("c", 800, 1300), ("b", 600, 700)])
    found = overlap_f1([line], CLASSES)
    assert found["per_class"] == {"a": 1.0, "b": pytest.approx(2 / 3), "c": 0.0}
    assert found["macro"] == pytest.approx((1 + 2 / 3) / 3)
    assert overlap_f1([timeline("aa..", [("a", 0, 300)])], CLASSES)["per_class"] == {"a": 1.0, "b": None, "c": None}


def test_a_window_is_found_once():
    # 0 to 1000 ms is covered by 100 to 700 and 800 to 900; only the first is half of it.
    line = timeline("aaaaaa.a..", [("a", 0, 1000)])
    assert overlap_f1([line], CLASSES)["per_class"]["a"] == pytest.approx(2 / 3)


def test_overlapping_windows_are_each_judged_and_time_counts_once():
    found = live_quality([timeline("aabb", [("a", 0, 300), ("b", 100, 400)])], CLASSES)
    assert found["labelled_s"] == pytest.approx(0.4) and found["outside_s"] == 0
    assert found["detection_rate"] == 1
    assert found["flips_per_s"] == pytest.approx(1 / 0.4)  # inside both windows, one change
    assert found["false_per_min"] is None and found["outside_share"] is None


def test_a_window_between_two_bin_ends_cannot_be_detected():
    found = live_quality([timeline("aaa", [("a", 120, 180)])], CLASSES)
    assert found["detection_rate"] == 0 and found["first_correct_ms"]["median"] is None
    assert found["accuracy_since_onset"] == [
        {"t_ms": 25, "accuracy": 1.0, "windows": 1},
        {"t_ms": 50, "accuracy": 1.0, "windows": 1},
    ]  # but what was decided before is in force
    assert found["area"] == 1 and found["labelled_s"] == 0 and found["flips_per_s"] is None


def test_no_windows_and_no_bins():
    found = live_quality([timeline("a.b", [])], CLASSES)
    assert found["windows"] == 0 and found["area"] is None and found["detection_rate"] is None
    assert found["accuracy_since_onset"] == [] and found["f1"]["macro"] == 0
    assert found["false_per_min"] == pytest.approx(2 / (0.3 / 60))
    found = live_quality([timeline("", [("a", 0, 100)])], CLASSES)
    assert found["detection_rate"] == 0 and found["area"] == 0 and found["f1"]["per_class"]["a"] == 0
    assert live_quality([], CLASSES)["windows"] == 0


def test_a_window_that_outlasts_the_recording():
    (found,) = windows_found(timeline(".aa", [("a", 100, 2000)]))
    assert found.first_ms == found.stable_ms == 100
    assert set(found.at) == set(SINCE_ONSET_MS)
    assert found.area == pytest.approx(200 / 1500)  # in force until one bin after the last end


def test_recordings_of_other_bins_add_up_in_time():
    lines = [timeline("aa", [("a", 0, 200)]), timeline("a.a.", [("a", 0, 200)], bin_ms=50)]
    found = live_quality(lines, CLASSES)
    assert found["labelled_s"] == pytest.approx(0.4)
    assert found["flips_per_s"] == pytest.approx(2 / 0.4)
    assert found["first_correct_ms"]["median"] == 75


def test_argmax_of_silent_spikes_is_no_class():
    outputs = np.array([[0.0, 0.2, 0.1], [0.0, 0.0, 0.0], [-3.0, -1.0, -2.0]])
    assert argmax_labels(outputs, spikes=True).tolist() == [1, -1, -1]
    assert argmax_labels(outputs, spikes=False).tolist() == [1, 0, 1]
