"""Image recipes before images can be read: described at no cost, refused clearly."""

import time

import pytest

from dvspipe.errors import DatasetError, RecipeError
from dvspipe.jobs.describe import describe
from dvspipe.jobs.train import train
from dvspipe.recipes import load_card


@pytest.mark.parametrize(("depth", "params"), [(18, 11_867_960), (34, 22_116_552), (104, 78_369_598)])
def test_describe_needs_no_weights(depth, params):
    start = time.perf_counter()
    result = describe(f"imagenet-attres{depth}", ['train.precision="32"'])
    assert result["params"] == params and result["layers"][0]["macs"] == 3 * 64 * 49 * 112 * 112
    assert 1.5 < result["memory_gb"] < 20
    assert time.perf_counter() - start < 5


def test_training_on_images_says_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match=r"ImageNet.*images cannot be read yet.*describe"):
        train("imagenet-attres18", [], tmp_path / "run", quiet=True)
    assert not list(tmp_path.iterdir())


def test_settings_of_image_networks_reach_them():
    attended = describe("imagenet-attres18", ["snn.attention=CA", "snn.c_ratio=16", "snn.block=sum"])
    assert attended["attention_params"] == sum(2 * 2 * width * (width // 16) for width in (64, 128, 256, 512))
    assert describe("imagenet-attres18", ["snn.network=att-vgg-7"])["layers"][-1]["name"] == "out"


def test_a_card_may_give_the_number_of_its_classes(tmp_path):
    text = "title='x'\nkind='images'\nsensor_size=[8,8]\nlicence='y'\nclasses={}\n"
    (tmp_path / "few.toml").write_text(text.format(3))
    (tmp_path / "none.toml").write_text(text.format(0))
    assert load_card(str(tmp_path / "few.toml")).classes == ["class 0", "class 1", "class 2"]
    assert len(load_card("imagenet").classes) == 1000
    with pytest.raises(RecipeError, match="classes"):
        load_card(str(tmp_path / "none.toml"))
