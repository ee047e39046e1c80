"""`dvspipe describe`: counts of a recipe's network, from the recipe and its dataset card alone."""

from __future__ import annotations

from typing import Any

import torch

from dvspipe.jobs.memory_plan import GIB, plan_memory
from dvspipe.jobs.runs import network_of
from dvspipe.recipes import load_card, load_recipe
from dvspipe.snn.counting import count_network


def describe(pipeline: str, overrides: list[str], batch: int | None = None, steps: int | None = None) -> dict[str, Any]:
    """`params, attention_params, neurons, macs_per_frame, layers, memory_gb, memory` of a recipe's network.

    `memory_gb` is the planned peak of one training step at the recipe's batch and T, or at `batch` and `steps`, in GiB;
    `memory` says it in words, with what is free here. Raises RecipeError.
    """
    recipe = load_recipe(pipeline, overrides)
    asked = [] if batch is None else [f"train.batch={batch}"]
    if steps is not None:
        asked.append(f"{'frames.n_bins' if recipe.frames is not None else 'encoder.steps'}={steps}")
    recipe = load_recipe(pipeline, [*overrides, *asked])
    card = load_card(recipe.dataset)
    with torch.device("meta"):  # shapes without values: nothing is drawn, nothing is held
        network = network_of(recipe, len(card.classes), card.sensor_size, card.images.channels if card.images else 2)
    plan = plan_memory(network, recipe, recipe.train.accumulate)
    counts = count_network(network)  # type: ignore[arg-type]
    return {"pipeline": pipeline, **counts, "memory_gb": plan.step_bytes / GIB, "memory": str(plan)}
