"""A look inside a network, as the page gets it."""

import dataclasses
import itertools

import numpy as np
import pytest

from dvspipe.show import inside, inside_plots
from dvspipe.show.figures import spread
from dvspipe.show.maps import heat
from dvspipe.show.report import render
from dvspipe.show.summary import Inside, RunSummary


def an_inside(scale=1.0, attention=True, layers=3, per_step=False):
    random = np.random.default_rng(5)
    names = [f"conv{k + 1}" for k in range(layers)]
    spikes = {name: scale * random.random((8, 8)).astype(np.float32) for name in names}
    rates = {name: scale * random.random(20).astype(np.float32) for name in (*names, "out")}
    if not attention:
        return Inside(spikes, rates)
    steps = (20,) if per_step else ()
    time = {name: random.random(20).astype(np.float32) for name in names}
    channel = {name: random.random((*steps, 16)).astype(np.float32) for name in names}
    space = {name: random.random((*steps, 8, 8)).astype(np.float32) for name in names}
    return Inside(spikes, rates, time, channel, space, 0.5)


def run(name, clip=None, **found):
    return RunSummary(name, name, clip=clip, inside=an_inside(**found))


def test_rows_share_one_scale_per_layer(clip):
    loud, quiet = run("none", clip, attention=False), run("TCSA", scale=0.1)
    case = inside.case_study([("none", loud), ("TCSA", quiet)])
    tops = [layer["top"] for layer in case["layers"]]
    assert tops == [float(loud.inside.spikes[layer["name"]].max()) for layer in case["layers"]]
    for row, summary in zip(case["rows"], (loud, quiet)):
        for (image, mean), layer, top in zip(row["cells"], case["layers"], tops):
            assert image == heat(summary.inside.spikes[layer["name"]], top)
            assert mean == pytest.approx(summary.inside.spikes[layer["name"]].mean())
    assert case["given"].startswith("data:image/png")


def test_a_layer_that_one_run_lacks_stays_empty():
    case = inside.case_study([("two", run("two", layers=2)), ("three", run("three", layers=3))])
    assert [image is None for image, _ in case["rows"][0]["cells"]] == [False, False, True]


def test_deep_networks_show_some_layers_and_say_so():
    case = inside.case_study([("deep", run("deep", layers=30))])
    names = [layer["name"] for layer in case["layers"]]
    assert len(names) == inside.MOST_LAYERS and names[0] == "conv1" and names[-1] == "conv30"
    assert case["left_out"] == 30 - inside.MOST_LAYERS
    page = render("deep", [run("deep", layers=30)])
    assert "22 layers in between are left out" in page


def test_without_attention_there_are_no_weights():
    assert inside.weights("none", an_inside(attention=False), 50.0) is None
    assert inside.weights("nothing", None, None) is None


@pytest.mark.parametrize("per_step", [False, True])
def test_weights_made_at_every_step_are_said_to_be_so(per_step):
    found = inside.weights("TCSA", an_inside(per_step=per_step), 50.0)
    assert found["space"]["averaged"] is per_step
    assert [row["over_time"] for row in found["channel"]["rows"]] == [per_step] * 3
    assert {row["channels"] for row in found["channel"]["rows"]} == {16}
    low, high = found["channel"]["low"], found["channel"]["high"]
    assert (low + high) / 2 == pytest.approx(0.5), "the scale is symmetric about neutral"
    page = render("t", [run("TCSA", per_step=per_step)])
    assert ("averaged over time" in page) is per_step


def test_activity_writes_means_and_shares_a_scale():
    loud, quiet = {"conv1": [0.2, 0.4]}, {"conv1": [0.0, 0.1]}
    found = inside.activity({"none": loud, "TCSA": quiet, "nothing": {}})
    (group,) = found["groups"]
    assert group["top"] == 0.4
    assert [(row["name"], row["note"]) for row in group["rows"]] == [("none", "0.3000"), ("TCSA", "0.0500")]
    assert group["rows"][1]["image"] == heat(np.array([0.0, 0.1]), 0.4)
    assert inside.activity({"none": {}}) is None


HEADINGS = ["Where the spikes are", "Attention over time", "Attention over channels", "Attention over space"]


def test_sections_appear_when_there_are_data_and_not_otherwise(runs, clip):
    bare = render("t", runs)
    full = render(
        "t",
        [
            dataclasses.replace(runs[0], inside=an_inside(attention=False)),
            dataclasses.replace(runs[1], inside=an_inside()),
        ],
    )
    for heading in HEADINGS:
        assert heading in full and heading not in bare
    assert full.count("Attention over time") == 1, "the plain network has no weights to show"
    partly = dataclasses.replace(an_inside(), channel={}, space={})
    only = render("t", [dataclasses.replace(runs[1], inside=partly)])
    assert "Attention over time" in only and "Attention over channels" not in only and "&lt;svg" not in only


def test_calibration_and_decision_times_are_printed(runs):
    sure = {
        "ece": 0.123,
        "rule": "how sure",
        "bins": [{"low": 0, "high": 1, "count": 4, "confidence": 0.5, "accuracy": 0.25}],
    }
    times = {
        "first_correct_ms": 120.0,
        "first_correct_share": 0.9,
        "stable_correct_ms": None,
        "stable_correct_share": 0.0,
    }
    told = dataclasses.replace(runs[1], evaluation=runs[1].evaluation | {"calibration": sure, "decision_time": times})
    page = render("t", [told])
    assert "ECE 0.123" in page and "How sure. Dashed" in page
    assert "120 ms" in page and "first right answer (90 %)" in page and "right from then on" not in page
    assert "How long it has to look" not in render("t", [runs[1]])


def test_energy_stands_beside_the_twin_without_attention(runs):
    """r_EE = E of the twin / own; without a twin there is no such table."""
    page = render("t", runs)
    ratio = runs[0].evaluation["energy_uj"] / runs[1].evaluation["energy_uj"]
    assert "no-attention twin ÷ own" in page and f"{ratio:.2f}×" in page
    assert "no-attention twin" not in render("t", [runs[1]])


def test_reliability_of_nothing_can_be_drawn():
    assert "<svg" in inside_plots.reliability({"a": (), "b": {"ece": None, "bins": [], "rule": "r"}})


@pytest.mark.parametrize("places", [[], [1.0], [0, 0, 0, 5], [0, 0.5, 0.9, 1.0, 7, 7.2], [3, 3, 3, 3.1, 6.5]])
def test_labels_are_moved_apart_around_where_they_belong(places):
    moved = spread(places, 1.0)
    assert len(moved) == len(places)
    assert all(after - before >= 1.0 - 1e-9 for before, after in itertools.pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places))
    if len(places) == 1:
        assert moved == places
