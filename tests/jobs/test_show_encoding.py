"""`dvspipe show-encoding`: a picture and figures of any image, with and without a run; clear errors, no half-written file."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from dvspipe.cli import run as command
from dvspipe.encoders.choice import ENCODERS
from dvspipe.errors import DatasetError, RunError, UsageError
from dvspipe.jobs.looking_at_images import look_at_image
from dvspipe.jobs.runs import load_run, network_of, save_run_weights
from dvspipe.jobs.show_encoding import NEEDS_NETWORK, show_encoding
from dvspipe.recipes import load_card, load_recipe

KEYS = {"name", "analog", "spikes_per_pixel", "density_per_step", "reconstruction_error"}


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ramp = np.linspace(0, 255, 40 * 60 * 3).reshape(40, 60, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    return tmp_path / "ramp.png"


RECIPE = """dataset = "digits"
[encoder]
name = "{}"
steps = 4
[snn]
network = "lenet"
neuron = "spikingjelly"
[train]
epochs = 1
val_share = 0.2
"""


def untrained(folder, name="gac", sets=()):
    """A run on digits as train would leave it, with the weights it starts with."""
    torch.manual_seed(0)
    path = folder.with_suffix(".toml")
    path.write_text(RECIPE.format(name))
    recipe, card = load_recipe(str(path), list(sets)), load_card("digits")
    folder.mkdir()
    facts = {"name": folder.name, "classes": card.classes, "sensor_size": [8, 8], "channels": 1}
    facts["data"] = {"dataset": "digits", "fingerprint": "x"}
    save_run_weights(folder, network_of(recipe, 10, (8, 8), 1), recipe, facts)
    return folder


def test_gives_a_strip_of_every_encoder_that_needs_no_network(photo):
    result = show_encoding(photo)
    names = [name for name in ENCODERS if name not in NEEDS_NETWORK]
    assert list(result) == ["image", "steps", "encoders", "left_out", "picture"] and result["steps"] == 4
    assert [each["name"] for each in result["encoders"]] == names and result["left_out"] == []
    for each in result["encoders"]:
        assert set(each) == KEYS and len(each["density_per_step"]) == len(each["analog"]) == 4
    by_name = {each["name"]: each for each in result["encoders"]}
    assert by_name["latency"]["spikes_per_pixel"] == pytest.approx(1) and by_name["direct"]["analog"] == [True] * 4
    assert by_name["direct"]["spikes_per_pixel"] == 0.0 == by_name["direct"]["reconstruction_error"]
    assert 0 < by_name["latency"]["reconstruction_error"] < 1 / 6
    with Image.open(result["picture"]) as drawn:
        assert drawn.format == "PNG" and drawn.size[0] == 2560
    assert result["picture"].endswith("ramp-encoding.png")
    assert sorted(path.name for path in photo.parent.iterdir()) == ["ramp-encoding.png", "ramp.png"]
    assert show_encoding(photo) == result, "chance is the same every time"


def test_temporal_codes_need_two_steps_and_say_so(photo):
    result = show_encoding(photo, steps=1)
    told = {each["name"]: each["reason"] for each in result["left_out"]}
    assert {"latency", "threshold", "rank", "hybrid", "single-spike"} <= set(told)
    assert "T = 1" in told["latency"] and "poisson" in [each["name"] for each in result["encoders"]]
    with pytest.raises(UsageError, match=r"latency.*T = 1"):
        show_encoding(photo, steps=1, encoders="latency")


def test_grey_files_have_one_channel_and_small_ones_stay_small(photo):
    Image.fromarray(np.full((5, 3), 100, np.uint8)).save("small.png")
    (made,) = show_encoding(photo.parent / "small.png", encoders="latency")["encoders"]
    assert made["density_per_step"] == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": 0}, "--steps 0: allowed is 1 to"),
        ({"steps": 1000}, "--steps 1000"),
        ({"encoders": "latancy"}, "did you mean 'latency'"),
        ({"encoders": " , "}, "no name in it"),
        ({"encoders": "gac"}, "--run"),
        ({"size": 1}, "--size 1: allowed"),
        ({"out": "x.jpg"}, "ends in .png"),
        ({"out": "ramp.png"}, "the image itself"),
    ],
)
def test_wrong_words_are_told(photo, given, said):
    before = photo.read_bytes()
    paths = {key: photo.parent / value if key == "out" else value for key, value in given.items()}
    with pytest.raises(UsageError, match=said):
        show_encoding(photo, **paths)
    assert [path.name for path in photo.parent.iterdir()] == ["ramp.png"] and photo.read_bytes() == before


def test_what_is_no_image_is_told(photo):
    text, dot = photo.parent / "note.png", photo.parent / "dot.png"
    text.write_text("no image")
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(dot)
    cut = photo.parent / "cut.png"
    cut.write_bytes(photo.read_bytes()[:200])
    for path, said in (
        (text, "not an image"),
        (dot, "1x1 pixels"),
        (cut, "cut.png"),
        (photo.parent / "none", "no such file"),
    ):
        with pytest.raises(DatasetError, match=said):
            show_encoding(path)
    with pytest.raises(DatasetError):
        show_encoding(photo.parent)


def test_an_unwritable_place_is_told_and_nothing_stays(photo):
    with pytest.raises(RunError, match="cannot be written"):
        show_encoding(photo, encoders="direct", out=photo.parent / "nowhere" / "x.png")
    (photo.parent / "folder.png").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        show_encoding(photo, encoders="direct", out=photo.parent / "folder.png")
    assert sorted(path.name for path in photo.parent.iterdir()) == ["folder.png", "ramp.png"]


def test_a_gac_run_shows_its_gate(photo):
    run = untrained(photo.parent / "gac")
    result = show_encoding(photo, run=run)
    own = result["encoders"][-1]
    assert own["name"] == "gac" and result["steps"] == 4
    assert set(own) == KEYS | {"spikes_per_step", "gate_per_step", "coded_per_step"}
    assert all(0 < gate < 1 for gate in own["gate_per_step"]) and len(own["spikes_per_step"]) == 4
    assert show_encoding(photo, run=run, encoders="gac")["encoders"] == [own]
    with pytest.raises(UsageError, match="T = 4"):
        show_encoding(photo, run=run, steps=5)
    with pytest.raises(UsageError, match="takes"):
        show_encoding(photo, run=run, size=99)
    with pytest.raises(UsageError, match="direct-lif"):
        show_encoding(photo, run=run, encoders="direct-lif")


@pytest.mark.parametrize(
    ("name", "sets", "more"),
    [
        ("direct-lif", [], {"spikes_per_step"}),
        ("phase", ["encoder.order=msb"], set()),
        ("gac", ["encoder.spiking=false"], {"gate_per_step", "coded_per_step"}),
        ("gac", ["encoder.gate=constant"], {"spikes_per_step", "gate_per_step", "coded_per_step"}),
    ],
)
def test_every_run_shows_its_own_encoder(photo, name, sets, more):
    folder = untrained(photo.parent / "run", name, sets)
    (own,) = show_encoding(photo, run=folder, encoders=name)["encoders"]
    assert set(own) == KEYS | more
    if name == "phase":
        (other,) = show_encoding(photo, encoders="phase", size=8)["encoders"]
        assert own["density_per_step"] != other["density_per_step"], "the run's order is not the default's"


def test_a_report_looks_at_the_first_test_image(photo):
    loaded = load_run(untrained(photo.parent / "gac"))
    case, answer, inside = look_at_image(loaded)
    assert case.picture.shape == (8, 8, 3) and [strip.name for strip in case.strips][1:] == [
        "gac, spikes",
        "gac, gate",
        "gac, code",
    ]
    assert len(case.answers) == 4 and case.answers[-1]["label"] == answer["label"] and answer["truth"] in loaded.classes
    assert set(inside.steps) == set(inside.spikes) and inside.steps["code"].shape == (4, 8, 8)
    assert (case.strips[0].cells == case.picture).all(), "not normalised, as the picture"


def test_the_command(photo, capsys):
    assert command(["show-encoding", str(photo), "--encoders", "latency,direct", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in out["encoders"]] == ["latency", "direct"]
    assert command(["show-encoding", str(photo), "--steps", "1"]) == 0
    printed = capsys.readouterr().out
    assert "Picture to look at" in printed and "left out" in printed and "poisson" in printed
    assert command(["show-encoding", str(photo), "--steps", "0"]) == 2
    assert command(["show-encoding", "nothing.png"]) == 1
    assert "no such file" in capsys.readouterr().err
