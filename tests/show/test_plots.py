"""Every figure draws the numbers it was given: they are read back from the SVG's texts and shapes."""

import re
from html import unescape
from xml.etree import ElementTree

import numpy as np
import pytest

from dvspipe.metrics.accuracy import wilson
from dvspipe.show import live_plots, palette, plots


def texts(svg):
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def test_every_figure_is_one_wellformed_element_without_outside_references(runs, live):
    run = runs[0]
    figures = [
        plots.confusion_matrix(run.evaluation["confusion"], run.classes),
        plots.accuracy_over_time({"a": run.evaluation["accuracy_over_time"]}, {"a": 264}, 1 / 11),
        plots.class_recall({"a": run.evaluation["per_class"]}),
        plots.nsar_per_step({"a": run.evaluation["nasar_per_step"]}, 50.0),
        plots.layer_rates({"a": run.evaluation["spikes_per_layer"]}),
        plots.energy_bars({"a": {"snn": 3.0, "ann": 9.0, "parts": {"conv": 3.0}}}),
        plots.training_curves(run.history),
        live_plots.decision_timeline(live.decisions, live.truth),
        live_plots.latency_histogram([1.0, 2.0, 3.0], {"p50": 2.0}),
    ]
    for svg in figures:
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert not re.search(r'(?:href|src)="(?!#)', svg)
        assert "#01010" not in svg, "a stand-in colour was left in the figure"
        assert "var(--" in svg
    ids = [name for svg in figures for name in set(re.findall(r' id="([^"]*)"', svg))]
    assert len(ids) == len(set(ids)), "figures on one page must not share ids"


def test_confusion_matrix_writes_every_count_and_class():
    table = np.arange(9).reshape(3, 3) + 101
    table[0, 1] = 0
    written = texts(plots.confusion_matrix(table.tolist(), ["ape", "bee", "cat"]))
    assert sorted(int(text) for text in written if text.isdigit() and int(text) > 100) == sorted(
        table[table > 0].tolist()
    )
    assert [name for name in ("ape", "bee", "cat") if any(text.startswith(name) for text in written)] == [
        "ape",
        "bee",
        "cat",
    ]


def test_confusion_shade_is_the_share_of_the_row():
    svg = plots.confusion_matrix([[3, 1], [0, 0]], ["a", "b"])
    opacities = {float(value) for value in re.findall(r"(?<![-\w])opacity: ([\d.]+)", svg)}
    assert opacities == {0.08 + 0.92 * 0.75, 0.08 + 0.92 * 0.25}


def test_a_large_confusion_matrix_leaves_its_counts_out():
    assert "777" not in texts(
        plots.confusion_matrix((np.eye(30, dtype=int) * 777).tolist(), [f"c{k}" for k in range(30)])
    )


def test_accuracy_over_time_ends_at_the_given_accuracy_inside_its_band():
    curve = [{"t_ms": 100.0, "accuracy": 0.25}, {"t_ms": 400.0, "accuracy": 0.75}]
    svg = plots.accuracy_over_time({"one": curve, "two": curve}, {"one": 40, "two": 40}, 0.125)
    assert {"one   75.0 %", "two   75.0 %", "chance 12 %"} <= set(texts(svg))
    # the band's height at its right end over the axis' height is the width of the Wilson interval
    shapes = re.findall(r'<path id="[^"]*" d="([^"]*)"', svg)
    corners = [[(float(x), float(y)) for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", shape)] for shape in shapes]
    band = max(corners, key=lambda shape: max(x for x, _ in shape) - min(x for x, _ in shape))
    right = max(x for x, _ in band)
    heights = [y for x, y in band if x == right]
    grid = sorted({float(y) for y in re.findall(r'd="M [\d.]+ ([\d.]+) \nL [\d.]+ \1 \n" clip', svg)})
    low, high = wilson(30, 40)
    assert (max(heights) - min(heights)) / (grid[-1] - grid[0]) == pytest.approx(high - low, rel=0.01)


def test_nsar_writes_the_mean_of_every_run_and_the_length_of_a_bin():
    written = texts(plots.nsar_per_step({"vanilla": [0.1, 0.3], "attention": [0.02, 0.04]}, bin_ms=15.0))
    assert {"vanilla   mean 0.200", "attention   mean 0.030", "time step (one bin = 15 ms)"} <= set(written)


def test_layer_rates_and_energies_are_written_beside_their_bars():
    written = texts(plots.layer_rates({"a": {"conv1": 0.125, "fc": 0.5}, "b": {"conv1": 0.25}}))
    assert {"0.125", "0.500", "0.250", "conv1", "fc", "a", "b"} <= set(written)
    energies = {
        "a": {"snn": 30.0, "ann": 120.0, "parts": {"conv": 20.0, "attention": 10.0}},
        "b": {"snn": 7.0, "ann": None, "parts": {}},
    }
    written = texts(plots.energy_bars(energies))
    assert {"30 µJ  (4.0× less)", "120 µJ", "7 µJ", "conv", "attention", "its ANN twin"} <= set(written)
    assert written.count("its ANN twin") == 1


def test_a_run_without_a_number_keeps_its_colour_for_itself():
    svg = plots.nsar_per_step({"silent": [], "heard": [0.1, 0.2]})
    assert palette.series(1) in svg and palette.series(0) not in svg


def test_training_curves_leave_out_what_was_not_measured():
    rows = [{"epoch": 1, "train_loss": 0.5, "val_loss": None}, {"epoch": 2, "train_loss": 0.4}]
    written = texts(plots.training_curves(rows))
    assert "training" in written and "validation" not in written and "epoch" in written


def test_decision_blocks_join_equal_neighbours_and_hold_until_the_next_decision():
    rows = [{"t_us": t * 10_000, "label": label, "confidence": 0.5} for t, label in enumerate("aabbb")]
    assert live_plots.decision_blocks(rows) == [("a", 0.0, 0.02), ("b", pytest.approx(0.02), pytest.approx(0.05))]
    assert live_plots.decision_blocks([]) == []


def test_timeline_names_what_was_seen_and_only_that(live):
    written = texts(live_plots.decision_timeline(live.decisions, live.truth, ["hand clapping", "never seen"]))
    assert {"labelled", "decided", "confidence", "hand clapping", "sensor time (s)"} <= set(written)
    assert "never seen" not in written
    assert "labelled" not in texts(live_plots.decision_timeline(live.decisions, []))


def test_a_timeline_of_nothing_decided_can_be_drawn():
    rows = [{"t_us": t, "label": None, "confidence": 0.0} for t in (0, 1000)]
    assert "decided" in texts(live_plots.decision_timeline(rows, []))


def test_latency_percentiles_are_written():
    written = texts(live_plots.latency_histogram([1, 2, 3, 4], {"p50": 2.5, "p99": 3.97, "max": 4.0}))
    assert {"p50 2.50 ms", "p99 3.97 ms"} <= set(written)


@pytest.mark.parametrize("name", ["$x$", "$\\frac$", "手拍き", "<b>&", '"quoted"', "a" * 80, "_hidden"])
def test_any_class_name_can_be_drawn(name):
    svg = plots.confusion_matrix([[1, 0], [0, 1]], [name, "b"])
    assert any(text.startswith(name[:20]) for text in texts(svg))
    assert ElementTree.fromstring(svg) is not None
