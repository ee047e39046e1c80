"""Static images end to end: real digits through encoder, network, training, evaluation; folders; what is refused."""

import json
import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image

from dvspipe.errors import DatasetError, RecipeError, RunError, UsageError
from dvspipe.jobs.compare import compare
from dvspipe.jobs.data import open_data
from dvspipe.jobs.describe import describe
from dvspipe.jobs.evaluate import evaluate, evaluate_run
from dvspipe.jobs.live import Playing, play
from dvspipe.jobs.prepare import prepare
from dvspipe.jobs.runs import load_run, read_history
from dvspipe.jobs.train import train
from dvspipe.metrics.energy import COUNTINGS
from dvspipe.recipes import load_card, load_recipe

QUICK = ["train.epochs=2", "train.per_class=30", 'train.precision="32"', "snn.width=0.5"]


@pytest.fixture(scope="module")
def gac(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gac") / "run"
    torch.set_num_threads(1)  # a fixture of a module comes before what sets it for every test; sums depend on it
    trained = train("digits-gac", ['train.precision="32"', "train.epochs=4"], folder, quiet=True)
    return folder, trained


@pytest.mark.parametrize("depth,params", [(18, 11_867_960), (34, 22_116_552), (104, 78_369_598)])
def test_describe_needs_no_weights(depth, params):
    start = time.perf_counter()
    result = describe(f"imagenet-attres{depth}", ['train.precision="32"'])
    assert result["params"] == params and result["layers"][0]["macs"] == 3 * 64 * 49 * 112 * 112
    assert 1.5 < result["memory_gb"] < 20
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("recipe", "params"),
    [
        ("cifar10-direct", 12_502_090),
        ("cifar10-gac", 12_633_198),
        ("cifar100-gac", 12_679_368),
        ("imagenet-gac18", 11_824_824),
        ("imagenet-gac34", 21_932_984),
    ],
)
def test_published_recipes_have_their_published_size(recipe, params):
    assert describe(recipe, [])["params"] == params


def test_settings_of_image_networks_reach_them():
    attended = describe("imagenet-attres18", ["snn.attention=CA", "snn.c_ratio=16", "snn.block=sum"])
    assert attended["attention_params"] == sum(2 * 2 * width * (width // 16) for width in (64, 128, 256, 512))
    assert describe("imagenet-attres18", ["snn.network=att-vgg-7"])["layers"][-1]["name"] == "out"


def test_a_card_may_give_the_number_of_its_classes(tmp_path):
    images = "[images]\nchannels=3\nmean=[0,0,0]\nstd=[1,1,1]\n"
    text = "title='x'\nkind='image-folder'\nsensor_size=[8,8]\nlicence='y'\nclasses={}\n" + images
    (tmp_path / "few.toml").write_text(text.format(3))
    (tmp_path / "none.toml").write_text(text.format(0))
    assert load_card(str(tmp_path / "few.toml")).classes == ["class 0", "class 1", "class 2"]
    assert len(load_card("imagenet").classes) == 1000
    with pytest.raises(RecipeError, match="classes"):
        load_card(str(tmp_path / "none.toml"))


def test_digits_are_learnt_and_reported(gac):
    folder, trained = gac
    result = evaluate(folder)
    assert trained["val_accuracy"] > 0.8 and result["accuracy"] > 0.8 and result["samples"] == 359
    assert [point["step"] for point in result["accuracy_over_time"]] == [1, 2, 3, 4]
    assert result["accuracy_over_time"][-1]["accuracy"] == pytest.approx(result["accuracy"])
    assert result["encoder"]["name"] == "gac" and result["encoder"]["reconstruction_error"] == 0
    cost = result["energy"]["countings"]
    assert list(cost) == list(COUNTINGS) and cost["every step"] > cost["once"] > cost["gate excluded"] > 0
    assert cost["once"] == result["energy_uj"] and 0 < result["nasar"] < 1
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "gac" in report and " ms" not in report.split("</style>")[1].split("provenance")[0]


def test_a_resumed_run_is_the_uninterrupted_one(gac, tmp_path):
    folder, _ = gac
    cut = ['train.precision="32"', "train.epochs=4"]

    class Stop(Exception):
        pass

    def stop(self, epoch, trainer, call=None):
        whole(self, epoch, trainer)
        if epoch.epoch == 2:
            raise Stop

    from dvspipe.jobs import train as module

    whole = module.KeepBest.__call__
    try:
        module.KeepBest.__call__ = stop
        with pytest.raises(Stop):
            train("digits-gac", cut, tmp_path / "run", quiet=True)
    finally:
        module.KeepBest.__call__ = whole
    train("digits-gac", cut, tmp_path / "run", resume=True, quiet=True)
    kept = [{**row, "seconds": 0} for row in read_history(tmp_path / "run")]
    assert kept == [{**row, "seconds": 0} for row in read_history(folder)]
    ours, theirs = (load_run(each).model.state_dict() for each in (tmp_path / "run", folder))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("name", ["poisson", "hybrid", "rank"])
def test_other_encoders_train_and_evaluate_twice_alike(name, tmp_path):
    train("digits-direct", [*QUICK, f"encoder.name={name}"], tmp_path / "run", quiet=True)
    first, second = (evaluate_run(load_run(tmp_path / "run"), quiet=True) for _ in range(2))
    assert first["confusion"] == second["confusion"] and first["nasar"] == second["nasar"]
    entered = first["encoder"]
    assert entered["analog"] == [name == "hybrid", False, False, False]
    assert 0 < entered["spikes_per_pixel"] <= 4


def test_first_spikes_answer(tmp_path):
    sets = [*QUICK, "snn.spiking_out=true", "snn.readout=first-spike", "train.loss=first-spike"]
    train("digits-direct", [*sets, "encoder.name=latency"], tmp_path / "run", quiet=True)
    result = evaluate_run(load_run(tmp_path / "run"), quiet=True)
    assert 1 <= result["mean_decision_step"] <= 5 and 0 <= result["accuracy"] <= 1


def test_mixed_images_have_soft_labels(tmp_path):
    mix = 'augment.transforms=[{name="CutMix"}]'
    trained = train("digits-direct", [*QUICK, mix, "train.label_smoothing=0.1"], tmp_path / "run", quiet=True)
    assert trained["epochs"] == 2


def test_images_compare(tmp_path):
    result = compare(["digits-direct"], ["encoder.name=direct,threshold"], 1, QUICK, tmp_path / "cells")
    assert [row["setting"] for row in result["rows"]] == ["name=direct", "name=threshold"]
    assert (tmp_path / "cells" / "report.html").is_file()


def pictures(folder, classes=("cat", "dog"), count=6, size=(12, 10)):
    random = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 120, (*size, 3)) + 120 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A card and a recipe for own pictures; (recipe's path, the pictures' folder)."""
    monkeypatch.setenv("DVSPIPE_DATA", str(tmp_path / "data"))
    pictures(tmp_path / "pictures")
    card = tmp_path / "mine.toml"
    card.write_text(
        "title='mine'\nkind='image-folder'\nsensor_size=[8,8]\nlicence='mine'\nclasses=['cat','dog']\n"
        "[images]\nchannels=3\nmean=[0.5,0.5,0.5]\nstd=[0.25,0.25,0.25]\ntest_share=0.34\n"
    )
    recipe = tmp_path / "learn.toml"
    recipe.write_text(
        f"dataset='{card}'\n[encoder]\nname='direct'\nsteps=2\n[snn]\nnetwork='lenet'\nwidth=0.25\n"
        "[train]\nepochs=1\nbatch=4\nval_share=0.25\nloss='ce'\nprecision='32'\n"
    )
    return recipe, tmp_path / "pictures"


def test_own_pictures_train(own, tmp_path):
    recipe, folder = own
    with pytest.raises(DatasetError, match=r"not prepared here.*\n.*\n.*dvspipe prepare"):
        train(str(recipe), [], tmp_path / "run", quiet=True)
    result = prepare(str(tmp_path / "mine.toml"), folder)
    assert result["counts"]["train"] == {"cat": 4, "dog": 4} and result["checks"]["totals"]["test"] == 4
    assert json.loads((tmp_path / "data" / "mine.images.json").read_text())["root"] == str(folder)
    train(str(recipe), [], tmp_path / "run", quiet=True)
    assert evaluate(tmp_path / "run")["samples"] == 4


def test_a_picture_that_breaks_later_is_named_and_the_run_is_kept(own, tmp_path):
    recipe, folder = own
    prepare(str(tmp_path / "mine.toml"), folder)
    learnt = open_data(load_recipe(str(recipe))).training().train.dataset  # those that validate are read first
    names = [learnt.images._pixels["train"].names[index] for index in learnt.indices]
    broken = folder / next(name for name in names if name.startswith("dog"))
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(DatasetError, match=rf"{broken.name}.*--resume"):
        train(str(recipe), [], tmp_path / "run", quiet=True)
    shutil.rmtree(folder)
    pictures(folder)
    assert train(str(recipe), [], tmp_path / "run", resume=True, quiet=True)["epochs"] == 1


@pytest.mark.parametrize(
    ("sets", "kind", "match"),
    [
        (["encoder.name=latency", "encoder.normalise=true"], UsageError, r"\[0,1\].*direct"),
        (["encoder.name=hybrid", "encoder.steps=1"], UsageError, "T = 1"),
        (["encoder.steps=0"], RecipeError, "encoder.steps"),
        (["encoder.kernel=3"], UsageError, "encoder 'direct' has no setting 'kernel'"),
        (["snn.network=three-conv", "encoder.name=gac"], UsageError, "has no stem"),
        (["dataset=gesture-sim"], DatasetError, r"holds events.*\[frames\]"),
        (["train.loss=first-spike"], UsageError, "first-spike.*snn.spiking_out = true"),
        (["snn.readout=first-spike"], UsageError, "first-spike.*snn.spiking_out = true"),
        (["train.loss=mse-rate", "train.label_smoothing=0.1"], UsageError, "mse-rate"),
        (["snn.attention=TA"], UsageError, "t_ratio from 1 to 4"),
        (['augment.transforms=[{name="RandomCorp"}]'], RecipeError, "did you mean 'RandomCrop'"),
        (["train.per_class=10000"], DatasetError, "per_class = 10000"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_run_exists(sets, kind, match, tmp_path):
    with pytest.raises(kind, match=match):
        train("digits-direct", [*QUICK, *sets], tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_recipes_for_events_want_events():
    recipe = load_recipe("gesture-sim-none", ["dataset=digits"])
    with pytest.raises(DatasetError, match=r"holds images.*\[encoder\].*digits-gac"):
        open_data(recipe)


def test_an_image_run_does_not_play_recordings(gac, recordings_dir):
    with pytest.raises(RunError, match="no time bins"):
        play(recordings_dir / "dvs128_garfield.mat", load_run(gac[0]), Playing(speed=0))


def test_weights_of_another_t_are_refused_with_both(gac, tmp_path):
    with pytest.raises(RunError, match=r"The run has T = 4, this recipe 6.*encoder.steps=4"):
        train("digits-gac", [f"train.start={gac[0]}", "encoder.steps=6"], tmp_path / "run", quiet=True)
