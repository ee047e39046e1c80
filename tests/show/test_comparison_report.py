"""The report of a comparison: says what the rows say, leaves out what nobody measured, and stays readable."""

import copy
import dataclasses
import itertools
import re
from html import unescape

import numpy as np
import pytest

from dvspipe.metrics.paired import mean_std, paired_difference
from dvspipe.show import comparison_plots, comparison_words
from dvspipe.show.comparison_plots import Point
from dvspipe.show.comparison_report import render_comparison, write_comparison
from dvspipe.show.summary import ComparisonSummary, Inside

SPEC = {  # accuracy, NASAR trained, NASAR untrained
    "none": (0.80, 0.16, 0.16),
    "relu": (0.81, 0.08, 0.10),
    "constant": (0.72, 0.02, 0.012),
    "TCSA": (0.90, 0.02, 0.008),
    "TCSA, far longer a name than usual": (0.85, 0.03, 0.01),
}


def row(cells, control):
    keys = (
        "accuracy",
        "val_accuracy",
        "nasar",
        "nasar_untrained",
        "spikes_per_sample",
        "energy_uj",
        "params",
        "seconds",
        "ece",
    )
    pairs = list(zip(cells, control))
    known = [key for key in keys if all(key in cell for cell in cells)]
    return {
        "seeds": len(cells),
        **{key: mean_std([cell[key] for cell in cells]) for key in known},
        "difference": paired_difference([cell["accuracy"] for cell in cells], [cell["accuracy"] for cell in control]),
        "spikes_saved": mean_std([1 - own["spikes_per_sample"] / other["spikes_per_sample"] for own, other in pairs]),
        "energy_ratio": mean_std([other["energy_uj"] / own["energy_uj"] for own, other in pairs]),
    }


@pytest.fixture(scope="module")
def cells(runs):
    random, made = np.random.default_rng(0), {}
    for word, (accuracy, nasar, untrained) in SPEC.items():
        made[f"attention={word}"] = []
        for seed in range(3):
            cell = copy.deepcopy(runs[1].evaluation)
            cell |= {"accuracy": accuracy + 0.005 * random.normal(), "val_accuracy": accuracy, "nasar": nasar}
            cell |= {"nasar_untrained": untrained, "spikes_per_sample": nasar * 1e5, "ece": 0.1, "seed": seed}
            cell |= {"energy_uj": 1000 * nasar, "seconds": 60.0 + seed}
            cell["spikes_per_layer_and_step"] = {"conv1": [nasar] * 20, "out": [2 * nasar] * 20}
            made[f"attention={word}"].append(cell)
    return made


@pytest.fixture(scope="module")
def summary(cells, runs):
    return build(cells, runs)


def build(cells, runs, seeds=3):
    cells = {setting: every[:seeds] for setting, every in cells.items()}
    control = next(iter(cells.values()))
    rows = [{"setting": setting, **row(every, control)} for setting, every in cells.items()]
    varied = {setting: {"snn.attention": setting.partition("=")[2]} for setting in cells}
    result = {"pipeline": "gesture", "seeds": seeds, "rows": rows}
    looked = [
        dataclasses.replace(run, name=name, inside=Inside({"conv1": np.full((4, 4), 0.1)}, {}))
        for run, name in zip(runs, ("attention=none", "attention=TCSA"))
    ]
    return ComparisonSummary(result, cells, runs[0].recipe, varied, looked, runs[0].classes, 264)


@pytest.fixture(scope="module")
def page(summary):
    return render_comparison("t", summary, ["One note."])


def words(page):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split()).replace("\u00a0", " ")


def test_prints_every_row_with_its_interval(summary, page):
    text = words(page)
    for each in summary.rows:
        assert f"{100 * each['accuracy']['mean']:.1f} ± {100 * each['accuracy']['std']:.1f}" in text
        assert f"{each['nasar']['mean']:.4f}" in text
    for each in summary.rows[1:]:
        low, high = (f"{100 * each['difference'][end]:+.1f}".replace("-", "−") for end in ("low", "high"))
        assert f"{low} to {high}" in text
    assert text.count("includes 0") == sum(not comparison_words.clear(each) for each in summary.rows[1:])
    assert (
        "One note." in text and "Varied is snn.attention: none, relu, constant, TCSA" in text and "Seeds 0 to 2" in text
    )


def test_needs_nothing_from_outside_and_fits_into_a_mail(page):
    assert not re.search(r"@import|url\((?!#)|<script|<link|<iframe", page)
    assert all(load.startswith(("data:", "#")) for load in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert len(page) < 3_000_000 and "&lt;svg" not in page


def test_the_verdict_says_what_is_won_and_who_earns_it(summary):
    text = comparison_words.verdict(summary).replace("\u00a0", " ")
    assert re.search(
        r"TCSA, the best setting on validation data, recognises (89|90|91)\.\d % .* points more than none", text
    )
    assert "88 % fewer spikes and 8.0 times less energy" in text
    assert "Untrained, its network is already 95 % quieter than none untrained; trained, 88 % quieter" in text
    assert re.search(r"relu saves 50 % of the spikes .*; constant saves 88 % of the spikes \(−", text)


def test_the_test_split_chooses_nothing(cells, runs):
    """The setting spoken of has the best validation accuracy, whatever the test split says, and is no control."""
    validated = {"attention=relu": 0.99, list(cells)[-1]: 0.95}
    other = {
        setting: [cell | {"val_accuracy": validated.get(setting, 0.5)} for cell in every]
        for setting, every in cells.items()
    }
    assert "longer" in comparison_words.headline(build(other, runs))["setting"]


def test_a_control_that_spends_more_is_not_said_to_save(cells, runs):
    louder = {setting: [cell | {"spikes_per_sample": 2e4} for cell in every] for setting, every in cells.items()}
    for cell in louder["attention=none"]:
        cell["spikes_per_sample"] = 1e4
    assert "relu spends 100\u00a0% more spikes" in comparison_words.verdict(build(louder, runs))
    only = {setting: cells[setting] for setting in ("attention=none", "attention=relu")}
    assert "Controls" not in comparison_words.verdict(build(only, runs)), "it is the one spoken of"


def test_one_seed_claims_nothing(cells, runs):
    one = build(cells, runs, seeds=1)
    text = words(render_comparison("t", one))
    assert "with one seed nobody knows" in text and "One seed: no spread" in text
    assert "interval +" not in text and "±" not in text.split("The front")[0]


def test_unclear_differences_are_called_so(cells, runs):
    shaky = {
        setting: [cell | {"accuracy": 0.8 + 0.1 * (seed - 1) * ("TCSA" in setting)} for seed, cell in enumerate(every)]
        for setting, every in cells.items()
    }
    assert "no clear difference to none" in comparison_words.verdict(build(shaky, runs))


HEADINGS = {
    "nasar_untrained": "NASAR before and after training",
    "accuracy_over_time": "Accuracy over observed time",
    "nasar_per_step": "Spiking activity per time step",
    "seconds": "What a training takes",
    "spikes_per_layer_and_step": "Spikes by layer and time step",
}


@pytest.mark.parametrize("half", [0, 1])
def test_what_no_cell_measured_is_left_out(cells, runs, page, half):
    missing = list(HEADINGS)[half::2]
    less = {
        setting: [{key: value for key, value in cell.items() if key not in missing} for cell in every]
        for setting, every in cells.items()
    }
    short = render_comparison("t", build(less, runs))
    for key, heading in HEADINGS.items():
        assert heading in page
        assert (heading in short) is (key not in missing)


def test_without_a_look_inside_there_are_no_maps(summary, page):
    assert "Where the spikes are" in page
    blind = render_comparison("t", dataclasses.replace(summary, looked=[]))
    assert "Where the spikes are" not in blind and 'header class="plain"' in blind


def test_hostile_words_stay_words(cells, runs, tmp_path):
    evil = "attention=<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
    bad = {evil if "TCSA" in setting else setting: every for setting, every in cells.items()}
    text = write_comparison(tmp_path / "r.html", evil, build(bad, runs), [evil]).read_text(encoding="utf-8")
    assert "<script" not in text and "<img src=x" not in text and "alert(1)&gt;49" not in text


def test_several_varied_keys_keep_their_names(summary):
    assert comparison_words.short_names(summary)["attention=TCSA"] == "TCSA"
    both = {setting: values | {"train.lr": "0.1"} for setting, values in summary.varied.items()}
    names = comparison_words.short_names(dataclasses.replace(summary, varied=both))
    assert names["attention=TCSA"] == "attention=TCSA"
    assert comparison_words.is_control(dataclasses.replace(summary, varied=both), "attention=relu")


def test_the_front_holds_what_nothing_beats():
    points = [
        Point("a", [100.0], [0.9]),
        Point("b", [50.0], [0.9]),
        Point("c", [10.0], [0.5]),
        Point("d", [60.0], [0.7]),
    ]
    assert [point.name for point in comparison_plots.front(points)] == ["c", "b"]
    twins = [Point("a", [10.0], [0.5]), Point("b", [10.0], [0.5])]
    assert len(comparison_plots.front(twins)) == 2


def test_every_point_is_named_and_names_do_not_cover_each_other():
    """Twelve settings, three of them nearly in one place: every name is there, all at places of their own."""
    random = np.random.default_rng(2)
    points = [
        Point(f"setting {k}", 10 ** random.uniform(2, 4) * random.normal(1, 0.02, 3), random.normal(0.8, 0.05, 3))
        for k in range(9)
    ] + [Point(f"close {k}", [500.0 + 5 * k] * 3, [0.8 + 0.001 * k] * 3) for k in range(3)]
    svg = comparison_plots.accuracy_spikes(points)
    for point in points:
        assert svg.count(f">{point.name}<") == 1
    boxes = []
    for anchor, x, y in re.findall(r'text-anchor: (\w+)[^>]*? x="([\d.-]+)" y="([\d.-]+)"[^>]*>close \d<', svg):
        left = float(x) - {"start": 0, "middle": 18, "end": 36}[anchor]
        boxes.append((left, left + 36, float(y)))
    assert len(boxes) == 3
    for one, other in itertools.combinations(boxes, 2):
        beside = one[0] >= other[1] or other[0] >= one[1]
        assert beside or abs(one[2] - other[2]) > 8, boxes


def test_a_dozen_panels_carry_their_names_and_numbers():
    curves = {f"s{k}": ([1, 2, 3], [0.1 * k, 0.0, 0.2]) for k in range(12)}
    svg = comparison_plots.panels(curves, {name: f"mean {name}" for name in curves}, "step", "rate", log=True)
    assert all(svg.count(f">{name}<") == 1 and f">mean {name}<" in svg for name in curves)
    assert "mathdefault" not in svg
