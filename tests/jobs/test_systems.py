"""The settings of the added systems: what makes no sense together is told before anything is trained."""

import pytest

from dvspipe.errors import RecipeError
from dvspipe.jobs.describe import describe
from dvspipe.recipes import load_recipe


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ("digits-direct", ["snn.fire_at=0.5"], "fire_at = 0.5 needs gradient = 'dsr'"),
        ("demo-none", ["snn.window=4"], "window = 4 needs head = 'ann'"),
        ("demo-none", ["snn.head=ann"], "snn.head = 'ann' needs train.loss = 'ce'"),
        ("gesture-sim-hybrid", ["snn.window=5"], "snn.window = 5 must divide the 16 steps"),
        ("gesture-sim-hybrid", ["snn.readout=first-spike"], "readout = 'first-spike' needs head = 'spiking'"),
        ("gesture-sim-conv3d", ["snn.stem=conv3d", "snn.stem_bins=4"], "stem_bins = 4 must be odd"),
        ("digits-hsd", ["train.loss=ce-rate"], "need train.loss = 'ce' or 'tet'"),
        ("digits-hsd", ["train.temperature=0"], "greater than 0"),
        ("digits-tet", ["train.tet_share=2"], "less than or equal to 1"),
    ],
)
def test_what_makes_no_sense_together_is_told(recipe, overrides, message):
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, overrides)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "kinds"),
    [
        ("gesture-sim-hybrid", ["conv", "conv", "conv", "head", "head"]),
        ("gesture-sim-conv3d", ["conv", "conv", "conv", "fc", "fc"]),
        ("digits-dsr", ["conv", "lif", "conv", "conv", "fc", "fc"]),
    ],
)
def test_describe_knows_the_new_parts(recipe, kinds):
    found = describe(recipe, [])
    assert [each["kind"] for each in found["layers"]] == kinds and found["memory_gb"] > 0
    assert found["params"] == sum(each["parameters"] for each in found["layers"])
    assert ("head_macs_per_clip" in found) == (recipe == "gesture-sim-hybrid")
