"""The report: self-contained, safe, whole or absent, and without empty sections."""

import dataclasses
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from dvspipe.metrics.accuracy import wilson
from dvspipe.show import verdict
from dvspipe.show.report import render, write_report
from dvspipe.show.summary import LiveSummary, RunSummary

VOID = {"meta", "br", "img", "wbr", "link", "hr", "input", "path", "use", "rect", "circle", "line", "polygon"}


class Nesting(HTMLParser):
    """Fails where tags are not closed in order; collects what a browser would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.tags = [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "xlink:href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(runs, live):
    return render("Eleven gestures", runs, [live], ["Simulated data: says nothing about the real set."])


def test_needs_nothing_from_outside(page):
    parsed = Nesting(page)
    assert parsed.loads and all(load.startswith(("data:", "#")) for load in parsed.loads)
    assert not re.search(r"@import|url\((?!#)", page)
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)


def test_prints_the_numbers_it_was_given(page, runs):
    words = " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
    for run in runs:
        low, high = wilson(round(run.evaluation["accuracy"] * run.test_samples), run.test_samples)
        assert f"{100 * run.evaluation['accuracy']:.1f} %" in words
        assert f"{100 * low:.1f} – {100 * high:.1f} %, n = {run.test_samples}" in words
        assert f"{run.evaluation['nasar']:.4f}" in words
        assert f"{run.evaluation['spikes_per_sample']:,.0f}" in words
        assert f"{run.evaluation['energy_uj']:.4g} µJ" in words
    assert "2,324,065" in words and "4.6 pJ" in words and "BN is folded" in words
    assert "Simulated data: says nothing about the real set." in words
    assert re.search(r"frames\. ?bin_us 50000 50000", words) and "Python 3" in words


def test_marks_the_settings_that_differ(page):
    rows = re.findall(r'<tr class="differs"><th>(.*?)</th>', page)
    assert [row.replace("<wbr>", "") for row in rows] == ["snn.attention"]


def test_hostile_words_stay_words(runs, live, tmp_path):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
    run = runs[1]
    measured = run.evaluation | {
        "per_class": {evil: 1.0},
        "confusion": [[3, 1], [1, 3]],
        "spikes_per_layer": {evil: 0.1},
        "energy": {"parts": {evil: 1.0}, "rules": [evil]},
        "clip": {"truth": evil, "label": evil, "confidence": 0.5},
    }
    hostile = dataclasses.replace(
        run, name=evil, path=evil, classes=[evil, "b"], recipe={evil: {evil: evil}}, evaluation=measured
    )
    source = dataclasses.replace(
        live,
        source=evil,
        result=live.result | {"damage": evil},
        decisions=[row | {"label": evil} for row in live.decisions],
        truth=[{"label": evil, "start_us": 0, "stop_us": 10**7}],
    )
    text = write_report(tmp_path / "report.html", evil, [hostile], [source], [evil]).read_text(encoding="utf-8")
    assert "<script" not in text and "<img src=x" not in text and "49" not in re.findall(r"<h1>(.*?)</h1>", text)[0]
    assert all(load.startswith(("data:", "#")) for load in Nesting(text).loads)


HEADINGS = {
    "accuracy_over_time": "Accuracy over observed time",
    "per_class": "Every class by itself",
    "nasar_per_step": "Spiking activity per time step",
    "spikes_per_layer": "Spike rate of every layer",
    "energy_uj": "How it is counted",
    "confusion": "What is taken for what",
}


@pytest.mark.parametrize("missing", HEADINGS)
def test_a_missing_number_leaves_its_section_out(runs, page, missing):
    less = dataclasses.replace(runs[1], evaluation={k: v for k, v in runs[1].evaluation.items() if k != missing})
    text = render("t", [less])
    assert HEADINGS[missing] in page and HEADINGS[missing] not in text
    assert all(heading in text for key, heading in HEADINGS.items() if key != missing)
    assert not re.search(r'<div class="(?:grid|plot|scroll)">\s*</div>', text), "an empty frame"


def test_nothing_at_all_still_makes_a_page():
    text = render("nothing yet", [], [], [])
    Nesting(text)
    assert "nothing yet" in text and "<section>" not in text and "None" not in text


def test_bare_summaries_make_a_page_without_empty_frames():
    text = render("bare", [RunSummary("a", "runs/a"), RunSummary("a", "runs/b")], [LiveSummary("camera")])
    Nesting(text)
    assert "a (1)" in text and "a (2)" in text and "<svg" not in text and "None" not in text


def test_dropped_bins_are_not_called_real_time(live):
    late = dataclasses.replace(live, result=live.result | {"dropped_bins": 50})
    assert "not real time" in render("t", [], [late]) and "not real time" not in render("t", [], [live])


def test_is_written_whole_or_not_at_all(runs, tmp_path):
    target = tmp_path / "new" / "report.html"
    assert write_report(target, "first", runs[:1]) == target
    before = target.read_text(encoding="utf-8")
    broken = dataclasses.replace(runs[0], evaluation=runs[0].evaluation | {"accuracy": "many"})
    with pytest.raises(TypeError):
        write_report(target, "second", [broken])
    assert target.read_text(encoding="utf-8") == before
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_stays_small_enough_to_mail(page):
    assert len(page) < 2_000_000


def summary(name, accuracy, samples=1000, attention="TCSA", **more):
    return RunSummary(
        name, name, {"snn": {"attention": attention}}, {"accuracy": accuracy, **more}, test_samples=samples
    )


def test_verdict_calls_a_difference_one_only_when_it_is():
    base = summary("plain", 0.70, attention="none")
    assert "10.0 points more" in verdict.verdict([base, summary("ours", 0.80)])
    assert "5.0 points less" in verdict.verdict([summary("ours", 0.65), base])
    assert "no clear difference" in verdict.verdict([base, summary("ours", 0.72)])


def test_verdict_says_what_is_saved_and_what_is_not():
    base = summary("plain", 0.7, attention="none", spikes_per_sample=1000, energy_uj=10.0)
    text = verdict.verdict([base, summary("ours", 0.7, spikes_per_sample=200, energy_uj=12.0)])
    assert "80\u00a0% fewer spikes" in text and "20\u00a0% more energy" in text


def test_verdict_of_one_run_compares_with_its_twin():
    text = verdict.verdict([summary("ours", 0.7, energy_uj=10.0, energy_ann_uj=35.0)])
    assert "70.0\u00a0% of 1,000 test clips" in text and "3.5 times lower" in text
    assert verdict.verdict([]) == ""


def test_newcombe_interval_matches_the_published_example():
    """56/70 against 48/80: 0.0524 to 0.3339 (Newcombe 1998, Table II, method 10)."""
    gap = verdict.difference(summary("a", 56 / 70, 70), summary("b", 48 / 80, 80))
    assert gap == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_agreement_counts_only_inside_labelled_windows():
    rows = [{"bin": k, "t_us": 10 * k, "label": label, "confidence": 1.0} for k, label in enumerate("xabb")]
    truth = [{"label": "a", "start_us": 0, "stop_us": 20}]
    assert verdict.agreement(LiveSummary("s", {}, rows, truth)) == 0.5
    assert verdict.agreement(LiveSummary("s", {}, rows, [])) is None
