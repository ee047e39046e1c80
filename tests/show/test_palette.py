"""The palette's promises: readable on both pages, and apart for colour-blind eyes."""

import itertools

import numpy as np
import pytest

from dvspipe.show import palette

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    parts = np.array(palette.rgb(colour)) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(colour, vision):
    seen = np.clip(np.array(VISIONS[vision]) @ linear(colour), 0, 1)
    x, y, z = np.cbrt(TO_XYZ @ seen / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one, other):
    bright, dark = sorted((linear(each) @ TO_XYZ[1] for each in (one, other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_stay_apart(vision):
    def closest(colours):
        return min(np.linalg.norm(lab(a, vision) - lab(b, vision)) for a, b in itertools.combinations(colours, 2))

    assert np.linalg.norm(lab(palette.ON, vision) - lab(palette.OFF, vision)) > 40
    assert closest(palette.SERIES) > 14
    assert closest(palette.CLASSES) > 12


@pytest.mark.parametrize("page", ["#ffffff", "#171b22"])
def test_lines_are_readable_on_light_and_dark(page):
    assert min(contrast(colour, page) for colour in palette.SERIES) >= 3


def test_on_is_warm_and_off_is_cool():
    assert palette.rgb(palette.ON)[0] > palette.rgb(palette.ON)[2]
    assert palette.rgb(palette.OFF)[2] > palette.rgb(palette.OFF)[0]


def test_colours_by_place_repeat_but_never_run_out():
    assert len(palette.class_colours([str(k) for k in range(30)])) == 30
    assert palette.series(len(palette.SERIES)) == palette.series(0)
