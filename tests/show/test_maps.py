"""Pictures of numbers: every pixel has the colour that the scale gives its value."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from dvspipe.show import maps, palette


def pixels(address):
    kind, _, data = address.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def near(pixel, colour):
    return np.abs(np.array(palette.rgb(colour), int) - pixel).max() <= 6


def test_heat_runs_from_the_first_to_the_last_colour():
    seen = pixels(maps.heat(np.array([[0.0, 1.0], [2.0, 9.0]]), top=2.0))
    assert seen.shape == (2, 2, 3)
    assert near(seen[0, 0], palette.HEAT[0])
    assert near(seen[0, 1], palette.HEAT[len(palette.HEAT) // 2])
    assert near(seen[1, 0], palette.HEAT[-1])
    assert (seen[1, 0] == seen[1, 1]).all(), "what is above the top is shown as the top"


def test_heat_gets_lighter_all_the_way():
    row = pixels(maps.heat(np.linspace(0, 1, 100), top=1.0))[0] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(row) >= -0.5).all()
    assert row[-1] > row[0] + 200


def test_balance_is_dark_where_nothing_is_said():
    row = pixels(maps.balance(np.array([0.4, 0.5, 0.6]), neutral=0.5, reach=0.1))[0]
    assert [near(pixel, colour) for pixel, colour in zip(row, palette.BALANCE)] == [True] * 3


@pytest.mark.parametrize("picture", [lambda v: maps.heat(v, 0.0), lambda v: maps.balance(v, 0.5, 0.0)])
def test_a_flat_map_can_be_drawn(picture):
    assert pixels(picture(np.zeros((3, 4)))).shape == (3, 4, 3)


def test_a_photo_keeps_its_colours():
    photo = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    assert (pixels(maps.photo(photo)) == photo).all()


@pytest.mark.parametrize("page", ["#ffffff", "#171b22"])
def test_layers_are_readable_on_light_and_dark(page):
    def light(colour):
        parts = np.array(palette.rgb(colour)) / 255
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    for colour in palette.LAYERS:
        bright, dark = sorted((light(colour), light(page)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 3, colour
