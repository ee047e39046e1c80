"""Recordings of one's own, by the real command: a card, a recipe, prepare, train, evaluate, live."""

import json

import numpy as np
import pytest

from dvspipe.events import Events
from dvspipe.recordings.formats.aedat31 import write_aedat31

CARD = """# dvspipe prepare mine
title = "Mine"
kind = "folder"
sensor_size = [32, 32]
classes = ["left", "right"]
licence = "mine"
[folder]
window_ms = 100
test_share = 0.25
"""
RECIPE = """# dvspipe train mine
dataset = "{card}"
[frames]
bin_us = 20_000
n_bins = 5
[snn]
width = 0.1
[train]
epochs = 1
batch = 4
lr = 1e-2
val_share = 0.3
precision = "32"
"""


def events(side, seed):
    """Half a second of activity on one side of the sensor."""
    rng = np.random.default_rng(seed)
    t = 1_000_000 + np.linspace(0, 499_999, 3_000).astype(np.int64)
    x = rng.integers(16 * side, 16 * side + 16, 3_000)
    return Events.of(t, x, rng.integers(0, 32, 3_000), rng.integers(0, 2, 3_000), (32, 32))


def write(folder, stem, number, held):
    """In a format that changes with the number."""
    columns = np.stack([held.t, held.x, held.y, held.p], 1)
    match number % 3:
        case 0:
            np.save(folder / f"{stem}.npy", columns)
        case 1:
            np.savetxt(folder / f"{stem}.csv", columns, "%d", ",", header="t,x,y,p", comments="")
        case 2:
            write_aedat31(folder / f"{stem}.aedat", [held])


@pytest.fixture(scope="module")
def mine(workplace):
    """A folder of own recordings with its card and its recipe."""
    place = workplace.folder / "own"
    for side, name in enumerate(("left", "right")):
        (place / "recorded" / name).mkdir(parents=True)
        for number in range(6):
            write(place / "recorded" / name, f"take{number}", number, events(side, 10 * side + number))
    (place / "mine.toml").write_text(CARD)
    (place / "mine-none.toml").write_text(RECIPE.format(card=place / "mine.toml"))
    return place


def test_own_recordings_train_with_one_card_and_one_recipe(workplace, mine):
    code, _, err = workplace.call("train", mine / "mine-none.toml")
    assert code == 1
    assert "is not prepared here" in err
    assert f"dvspipe prepare {mine / 'mine.toml'} --from FOLDER" in err
    prepared = workplace.json("prepare", mine / "mine.toml", "--from", mine / "recorded")
    assert prepared["archive"] == str(workplace.folder / "data" / "mine.h5")
    assert prepared["counts"] == {"train": {"left": 20, "right": 20}, "test": {"left": 10, "right": 10}}
    assert (prepared["damaged"], prepared["notes"]) == ({}, [])
    shown = workplace.json("datasets", mine / "mine.toml")["cards"][0]
    assert shown["prepared"] == prepared["archive"]
    trained = workplace.json("train", mine / "mine-none.toml", "--out", "own-run")
    record = json.loads((workplace.folder / "own-run" / "run.json").read_text())
    assert (record["classes"], record["sensor_size"]) == (["left", "right"], [32, 32])
    assert record["segments"] == {"train": 30, "val": 10, "test": 20}
    result = workplace.json("evaluate", trained["run"])
    assert (result["samples"], np.shape(result["confusion"])) == (20, (2, 2))
    live = workplace.json(
        "live", mine / "recorded" / "left" / "take0.npy", "--run", trained["run"], "--speed", "0", "--view", "none"
    )
    assert live["bins"] == 24  # 0.5 s in bins of 20 ms, the last one not whole
