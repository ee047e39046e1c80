"""Recipes: every TOML loads, and a wrong one is told all its faults at once."""

import pytest

from dvspipe.errors import RecipeError, UsageError
from dvspipe.recipes import folder, load_card, load_recipe, names, recipe_from_json


def test_there_are_recipes():
    assert len(names("pipelines")) >= 4
    assert len(names("datasets")) >= 2


@pytest.mark.parametrize("name", names("pipelines"))
def test_every_pipeline_loads_and_names_its_command(name):
    recipe = load_recipe(name)
    load_card(recipe.dataset)
    first = (folder("pipelines") / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# dvspipe train {name}"


@pytest.mark.parametrize("name", names("datasets"))
def test_every_card_loads(name):
    card = load_card(name)
    assert len(card.classes) > 1
    first = (folder("datasets") / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# dvspipe ")
    assert name in first


def test_overrides_are_typed_and_survive_json():
    recipe = load_recipe("gesture-sim-masnn", ["train.lr=1e-4", "snn.attention=CSA", "frames.random_start=false"])
    assert recipe.train.lr == 1e-4
    assert recipe.snn.attention == "CSA"
    assert recipe.frames.random_start is False
    assert recipe_from_json(recipe.model_dump_json(), "here") == recipe


def test_all_faults_at_once_with_the_nearest_key():
    wrong = ["trian.lr=1", "train.epoch=3", "snn.attention=TCSB", "frames.bin_us=-1", "train.batch=many", "snn.lr=1"]
    with pytest.raises(RecipeError) as caught:
        load_recipe("gesture-sim-none", wrong)
    message = str(caught.value)
    assert len(caught.value.faults) == 6
    assert "'trian' (did you mean 'train" in message
    assert "'train.epoch' (did you mean 'train.epochs'?)" in message
    assert "'TCSB'" in message
    assert "greater than 0" in message
    assert "'snn.lr' (did you mean 'train.lr'?)" in message


@pytest.mark.parametrize("override", ["train.lr", "=3", "dataset.x=1"])
def test_a_malformed_override_is_refused(override):
    with pytest.raises(RecipeError, match=r"--set|is a value"):
        load_recipe("gesture-sim-none", [override])


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'gesture-sim-masnn'"):
        load_recipe("gesture-sim-masn")
    with pytest.raises(UsageError, match="did you mean 'gesture"):
        load_card("gestur")


def test_a_file_that_is_not_toml(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("dataset = \n")
    with pytest.raises(RecipeError, match="not TOML"):
        load_recipe(str(path))


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("dataset='gesture-sim'\n[frames]\nbin_us=1000\nn_bins=3\n[train]\nepochs=1\nval_subjects=1\n")
    assert load_recipe(str(path)).frames.n_bins == 3
