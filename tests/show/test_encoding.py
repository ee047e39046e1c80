"""Strips of encoders: known codes give known cells; the sheet holds them whole; reports of image runs show them."""

import dataclasses
import re
from html import unescape

import numpy as np
import pytest

from dvspipe.metrics.paired import mean_std, paired_difference
from dvspipe.show import encoding, images, palette
from dvspipe.show.comparison_report import render_comparison
from dvspipe.show.encoding import Strip, code_strip, gate_strips, picture
from dvspipe.show.encoding_sheet import DOTS, MOST_CELLS, WIDTH, Sheet, draw_sheet
from dvspipe.show.report import render
from dvspipe.show.summary import ComparisonSummary, ImageCase, Inside, RunSummary

FACTS = {"name": "latency", "spikes_per_pixel": 0.5, "reconstruction_error": 0.125}


def strip(steps=4, channels=1, size=(6, 8), analog=False):
    random = np.random.default_rng(1)
    code = (random.random((steps, channels, *size)) < 0.3).astype(np.float32)
    shares = [float(step.mean()) for step in code]
    facts = FACTS | {"analog": [analog] * steps, "density_per_step": shares}
    return code_strip(code, facts, random.random((channels, *size)))


def test_grey_spikes_are_black_on_white():
    cells = encoding.spikes(np.array([[[0.0, 1.0], [3.5, 0.0]]]))
    assert (cells[0, 0] == 255).all() and (cells[1, 1] == 255).all()
    assert (cells[0, 1] == palette.rgb(palette.INKS[7])).all(), "a weighed spike is a spike"
    assert (cells[1, 0] == cells[0, 1]).all() and cells[0, 1].max() < 40


def test_colour_spikes_have_the_ink_of_their_channels():
    step = np.array([[[bits >> 2 & 1 for bits in range(8)]], [[bits >> 1 & 1 for bits in range(8)]]], float)
    step = np.concatenate([step, [[[bits & 1 for bits in range(8)]]]])
    assert [tuple(pixel) for pixel in encoding.spikes(step)[0].tolist()] == [palette.rgb(ink) for ink in palette.INKS]
    assert len(set(palette.INKS)) == 8


def test_a_step_of_real_numbers_is_the_picture():
    code = np.stack([np.full((3, 2, 2), 0.5), np.zeros((3, 2, 2))])
    code[1, 0, 0, 0] = 1
    made = code_strip(code, FACTS | {"name": "hybrid", "analog": [True, False], "density_per_step": [1.0, 1 / 12]})
    assert (made.cells[0] == 128).all()
    assert tuple(made.cells[1, 0, 0]) == palette.rgb(palette.INKS[4]) and (made.cells[1, 1] == 255).all()
    assert made.analog == (True, False) and made.bars == (1.0, 1 / 12)
    assert made.figures == (("0.50", "spikes per pixel"), ("0.125", "error"))
    assert (picture(np.array([[[-1.0, 2.0]]])) == [[[0] * 3, [255] * 3]]).all(), "what is outside is cut off"


def test_a_gate_of_one_half_is_dark_and_what_is_missing_is_left_out():
    gate = np.full((2, 3, 3), 0.5)
    gate[1, 0, 0] = 0.7
    spikes, made = gate_strips("gac", np.zeros((2, 3, 3)), gate, None)
    assert spikes.name == "gac, spikes" and (spikes.cells == palette.rgb(palette.BACKGROUND)).all()
    assert np.abs(made.cells[0].astype(int) - palette.rgb(palette.BACKGROUND)).max() < 5
    assert tuple(made.cells[1, 0, 0]) == palette.rgb(palette.ON) and "0.30 and 0.70" in made.words
    assert gate_strips("gac", None, None, None) == []


def sheet(strips, left_out=(), size=(6, 8)):
    image = np.zeros((*size, 3), np.uint8)
    return np.asarray(draw_sheet(Sheet("t", "about", image + 90, image, strips, left_out)))


@pytest.mark.parametrize(
    ("steps", "strips", "size"), [(1, 1, (6, 8)), (4, 12, (32, 32)), (40, 2, (3, 64)), (9, 5, (300, 20))]
)
def test_a_sheet_has_its_width_whatever_it_holds(steps, strips, size):
    drawn = sheet([strip(steps, size=size)] * strips, size=size)
    assert drawn.shape[1:] == (WIDTH * DOTS, 3) and (drawn[:, -DOTS:] == 255).all() and (drawn[-DOTS:] == 255).all()


def test_pixels_of_a_cell_are_whole_and_alike():
    """A checkerboard of colours that nothing else has: every square is as large as every other."""
    board = np.indices((8, 8)).sum(0) % 2
    cells = np.stack([np.where(board[..., None], (250, 0, 250), (0, 250, 1)).astype(np.uint8)] * 4)
    drawn = sheet([Strip("x", "y", cells, (False,) * 4, (0.5,) * 4)], size=(8, 8))
    row = drawn[(drawn == (250, 0, 250)).all(-1).any(1).argmax()]
    inside = ((row == (250, 0, 250)) | (row == (0, 250, 1))).all(-1)
    runs = np.diff(np.flatnonzero(np.diff((row == (250, 0, 250)).all(-1)[inside].astype(int))))
    assert inside.sum() % 32 == 0 and len(runs) and set(runs.tolist()) <= {inside.sum() // 32}


def test_long_codes_show_some_steps_and_many_lines_stay_apart():
    assert sheet([strip(200)]).shape == sheet([strip(MOST_CELLS)]).shape
    assert sheet([strip(16)] * 5).shape[0] > sheet([strip(8)] * 5).shape[0], "two lines of cells"


def test_what_is_left_out_takes_lines_and_tells():
    plain, told = sheet([strip()] * 12), sheet([strip()] * 12, [("rank", "cannot have T = 1 " * 30)] * 30)
    assert told.shape[0] > plain.shape[0] and (told[:, -DOTS:] == 255).all()


def test_words_are_known_for_every_encoder():
    from dvspipe.encoders.choice import ENCODERS

    assert set(encoding.WORDS) == set(ENCODERS)


def image_run(name="digits-x", truth="7", label="7", steps=4, analog=False, gate=False, runs_layers=("conv1", "conv2")):
    random = np.random.default_rng(3)
    made = strip(steps, size=(8, 8), analog=analog)
    strips = [made, *(gate_strips("gac", *(random.random((steps, 8, 8)) for _ in range(3))) if gate else [])]
    facts = FACTS | {"analog": [analog] * steps, "density_per_step": [0.3] * steps}
    answers = [{"label": label if step else None, "confidence": 0.5} for step in range(steps)]
    maps = {layer: random.random((steps, 4, 4)).astype(np.float32) for layer in runs_layers}
    measured = {
        "accuracy": 0.9,
        "per_class": {str(k): 0.9 for k in range(10)},
        "confusion": np.eye(10, dtype=int).tolist(),
        "nasar": 0.05,
        "nasar_per_step": [0.05] * steps,
        "spikes_per_sample": 700.0,
        "spikes_per_layer": dict.fromkeys(runs_layers, 0.05),
        "spikes_per_layer_and_step": {layer: [0.05] * steps for layer in runs_layers},
        "energy_uj": 6.0,
        "energy_ann_uj": 2.0,
        "energy": {"parts": {}, "countings": {"every step": 22.0, "once": 6.0, "gate excluded": 0.75 if gate else 6.0}},
        "accuracy_over_time": [{"step": step + 1, "accuracy": 0.6 + 0.3 * step / steps} for step in range(steps)],
        "mean_decision_step": 1.5 if gate else None,
        "encoder": facts | {"spikes_per_pixel": 0.33, "steps": steps},
        "params": 1000,
        "clip": {"truth": truth, "label": label, "confidence": 0.5},
    }
    recipe = {"dataset": "digits", "frames": None, "encoder": {"name": "latency", "steps": steps}, "snn": {}}
    case = ImageCase(picture(random.random((1, 8, 8))), strips, answers, facts)
    inside = Inside({layer: each.mean(0) for layer, each in maps.items()}, steps=maps)
    classes = [str(k) for k in range(10)]
    return RunSummary(name, name, recipe, measured, [], None, classes, 100, inside, case)


def words_of(page):
    page = re.sub(r"<style>.*?</style>|<footer>.*", "", page, flags=re.DOTALL)  # below: the command that ran this test
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split()).replace("\u00a0", " ")


def test_an_image_report_shows_the_image_and_speaks_of_images():
    page = render("t", [image_run()])
    text = words_of(page)
    assert "One image, step by step" in text and "The first test image: 7 ." in text
    assert "90.0 % of 100 test images" in text and "Accuracy over steps" in text and ">steps seen<" in page
    assert "input spikes per pixel, all test images 0.33" in text
    assert not re.search(r"\bclips?\b|\bbins?\b|\bms\b|observed|events|frames\.", text), "words of events"
    assert "encoder. name latency" in text
    assert page.count('alt="Spikes of conv1, step') == 4 and page.count('alt="latency, step') == 4
    assert "✗ undecided" in text and "✓ 7" in text
    assert "Where the spikes are" not in text, "every step of every layer is there already"


def test_the_gate_stands_below_the_code():
    page = render("t", [image_run(gate=True)])
    places = [page.index(f'alt="{name}, step 1"') for name in ("latency", "gac, spikes", "gac, gate", "gac, code")]
    assert places == sorted(places) and "Spikes of conv1" in page
    assert "step 1.50" in words_of(page) and "first output spike" in page


def test_energy_is_counted_three_ways():
    text = words_of(render("t", [image_run(gate=True)]))
    assert "counted three ways" in text and "22 6 0.75" in text and "published figures of GAC" in text
    assert "more energy, estimated, than its ANN twin 3.0×" in text
    same = images.countings({"a": [{"energy": {"countings": {"every step": 2.0, "once": 2.0, "gate excluded": 2.0}}}]})
    assert same["same"] and images.countings({"a": [{"energy": {}}]}) is None


def test_two_image_runs_are_laid_beside_each_other():
    page = render("t", [image_run("a"), image_run("b", label="1")])
    assert "a: one image, step by step" in page and "b: one image, step by step" in page
    assert "Where the spikes are" in page and 'alt="The image"' in page and "All networks saw the same image" in page


def test_long_codes_and_deep_networks_say_what_is_left_out():
    text = words_of(render("t", [image_run(steps=30, runs_layers=[f"conv{k}" for k in range(20)])]))
    assert "12 of 30 steps are shown" in text and "12 layers in between are left out" in text


def test_event_reports_know_nothing_of_it(runs, live):
    text = words_of(render("t", runs, [live]))
    for said in ("step by step", "counted three ways", "input spikes", "Accuracy over steps", "images", "encoder"):
        assert said not in text, said


def test_an_absent_table_is_no_setting(runs):
    with_none = [dataclasses.replace(run, recipe={**run.recipe, "encoder": None}) for run in runs]
    assert words_of(render("t", with_none)) == words_of(render("t", runs))


def test_a_comparison_of_image_runs_speaks_of_images():
    looked = [image_run("encoder=direct", analog=True), image_run("encoder=gac", gate=True)]
    cells = {run.name: [run.evaluation | {"seconds": 3.0, "nasar_untrained": 0.04}] * 3 for run in looked}
    rows = []
    for setting, every in cells.items():
        keys = ("accuracy", "nasar", "nasar_untrained", "spikes_per_sample", "energy_uj", "params", "seconds")
        figures = {key: mean_std([cell[key] for cell in every]) for key in keys}
        ones = {key: mean_std([1.0] * 3) for key in ("spikes_saved", "energy_ratio")}
        rows.append(
            {"setting": setting, "seeds": 3, **figures, **ones, "difference": paired_difference([0.9] * 3, [0.9] * 3)}
        )
    result = {"pipeline": "digits", "seeds": 3, "rows": rows}
    varied = {run.name: {"encoder.name": run.name.partition("=")[2]} for run in looked}
    page = render_comparison(
        "t", ComparisonSummary(result, cells, looked[0].recipe, varied, looked, looked[0].classes, 100)
    )
    text = words_of(page)
    assert "(100 images)" in text and "Accuracy over steps" in text and ">steps seen<" in page
    assert "input spikes per pixel" in text and "0.33" in text and "counted three ways" in text
    assert "gac: one image, step by step" in text and "Spikes of conv1, step" not in page
    assert not re.search(r"\bclips?\b|\bbins?\b|\bms\b|observed", text)
