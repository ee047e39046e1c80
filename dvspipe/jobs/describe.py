"""`dvspipe describe`: counts of a recipe's network, from the recipe and its dataset card alone."""

from __future__ import annotations

from typing import Any

import torch

from dvspipe.jobs.runs import network_of
from dvspipe.learn.precision import fabric_precision
from dvspipe.recipes import load_card, load_recipe
from dvspipe.snn.counting import count_network, training_memory_bytes


def describe(pipeline: str, overrides: list[str]) -> dict[str, Any]:
    """`params, attention_params, neurons, macs_per_frame, layers, memory_gb` of a recipe's network.

    `memory_gb` estimates one training step at the recipe's batch and T. Raises RecipeError.
    """
    recipe = load_recipe(pipeline, overrides)
    card = load_card(recipe.dataset)
    with torch.device("meta"):  # shapes without values: nothing is drawn, nothing is held
        network = network_of(recipe, len(card.classes), card.sensor_size, card.images.channels if card.images else 2)
    width = 2 if fabric_precision(recipe.train.precision) == "bf16-mixed" else 4
    memory = training_memory_bytes(network, recipe.steps, recipe.train.batch, width)
    return {"pipeline": pipeline, **count_network(network), "memory_gb": memory / 2**30}
