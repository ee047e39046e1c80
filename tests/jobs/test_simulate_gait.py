"""gait-sim by the same verbs as gesture-sim: simulate, as archive and as files, and prepare."""

import json

import pytest

from dvspipe.recipes import load_card
from dvspipe.simulate.walker import CLASSES

CARD = """# dvspipe simulate walks
title = "Walks"
kind = "gait-sim"
sensor_size = [128, 128]
classes = {classes}
licence = "GPL-3.0-or-later"
{table}
"""
WALKS = """[walks]
walkers = {walkers}
train_walks = 1
test_walks = 1
walk_s = {walk_s}
"""


@pytest.fixture
def card(workplace):
    """Writes a card and gives its path."""

    def write(walkers=(0,), walk_s=0.5, table=WALKS):
        path = workplace.folder / "walks.toml"
        table = table.format(walkers=list(walkers), walk_s=walk_s)
        path.write_text(CARD.format(classes=json.dumps(CLASSES), table=table))
        return path

    return write


def test_walks_as_archive_and_as_text_hold_the_same(workplace, card):
    walks = card(walkers=[0, 7, 19])
    made = workplace.json("simulate", walks)
    assert made["checks"]["totals"] == {"train": 3, "test": 3}
    assert {name for name, count in made["counts"]["test"].items() if count} == {"walker 0", "walker 7", "walker 19"}
    assert made["archive"].startswith(str(workplace.folder / "data" / "walks-"))
    folder = workplace.json("simulate", walks, "--as", "files", "--out", "text")["folder"]
    read = workplace.json("prepare", walks, "--from", folder, "--out", "walks.h5", "--partial")
    assert read["counts"] == made["counts"] and read["damaged"] == {}
    assert read["events"] == workplace.json("inspect", made["archive"])["events"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"walkers": [0, 20]}, "walker 20: the simulator knows walkers 0 to 19"),
        ({"walkers": [4, 4]}, "nobody twice"),
        ({"walk_s": 0.2}, "walk_s = 0.2: a walk must last at least 0.5 s"),
        ({"table": ""}, "with [walks]"),
    ],
)
def test_a_wrong_card_is_told(workplace, card, wrong, message):
    code, out, err = workplace.call("simulate", card(**wrong))
    assert (code, out) == (2, "") and message in err


@pytest.mark.parametrize(("name", "light"), [("gait-sim", "day"), ("gait-sim-night", "night")])
def test_the_cards_that_ship(name, light):
    card = load_card(name)
    assert card.classes == list(CLASSES) and card.simulation == card.walks
    assert card.walks.light == light and card.walks.walkers == list(range(20))
    assert load_card("gait-day").simulation is None
