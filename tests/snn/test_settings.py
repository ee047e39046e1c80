"""The words a recipe may say are the words the networks know, and `learn_leak` reaches the neurons."""

from typing import get_args

import pytest

from dvspipe.jobs.runs import network_of
from dvspipe.recipes import Recipe
from dvspipe.settings import SnnSettings
from dvspipe.snn.attention.choice import KNOWN, PLACEMENTS
from dvspipe.snn.networks.choice import NETWORKS
from dvspipe.snn.neurons import PRESETS


def words(setting):
    annotation = SnnSettings.model_fields[setting].annotation
    return {word for part in get_args(annotation) for word in get_args(part) or [part]} - {type(None)}


@pytest.mark.parametrize(
    ("setting", "known"), [("neuron", PRESETS), ("attention", KNOWN), ("placement", PLACEMENTS), ("network", NETWORKS)]
)
def test_a_recipe_knows_the_same_words(setting, known):
    assert words(setting) == set(known)


@pytest.mark.parametrize(
    ("snn", "learned"),
    [
        ({"neuron": "plif"}, True),
        ({"neuron": "plif", "learn_leak": False}, False),
        ({"neuron": "ma-snn", "learn_leak": True, "reset": "zero"}, True),
        ({}, False),
    ],
)
def test_learn_leak_reaches_every_layer(snn, learned):
    recipe = Recipe.model_validate(
        {
            "dataset": "gesture",
            "frames": {"bin_us": 300_000, "n_bins": 20},
            "snn": {"network": "five-conv-a", "width": 0.125, **snn},
            "train": {"epochs": 1, "val_subjects": 1},
        }
    )
    network = network_of(recipe, 11, (128, 128))
    neurons = [layer.spiking.lif for layer in network.layers.values()]
    assert network.frame_shape == (2, 128, 128) and len(neurons) == 7
    assert all((lif.w is not None) == learned for lif in neurons)
    assert all(lif.neuron.reset == "zero" for lif in neurons) == bool(snn)
