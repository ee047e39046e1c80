"""What train and evaluate ask of data, events or images alike: loaders, a fingerprint, the network that fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch.utils.data import DataLoader

from dvspipe.errors import DatasetError
from dvspipe.jobs.training import Training
from dvspipe.recipes import Recipe, load_card
from dvspipe.show.progress import say


class Data(Protocol):
    """A dataset as a recipe wants it. `sensor_size` (W,H) is that of the camera, or of an image."""

    @property
    def path(self) -> Path: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def sensor_size(self) -> tuple[int, int]: ...
    @property
    def channels(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...

    def training(self) -> Training:
        """Loaders of the training split and of what is held out of it. Raises DatasetError."""
        ...

    def testing(self) -> DataLoader:
        """A loader of the test split, in its order."""
        ...


def open_data(recipe: Recipe) -> Data:
    """The data that a recipe names. Simulated sets are made on first use. Raises DatasetError where they are missing,
    or are not of the kind that the recipe is for.
    """
    card = load_card(recipe.dataset)
    if card.is_images != (recipe.encoder is not None):
        held, needed, other = (
            ("images", "[encoder]", "[frames]") if card.is_images else ("events", "[frames]", "[encoder]")
        )
        raise DatasetError(
            f"dataset '{recipe.dataset}' holds {held}: the recipe needs a table {needed} instead of {other}. See the "
            f"recipe {'digits-gac' if card.is_images else 'gesture-sim-none'}."
        )
    if card.is_images:
        from dvspipe.jobs.image_data import ImageData

        return ImageData(recipe, card)
    from dvspipe.jobs.event_data import EventData

    return EventData(recipe)


def check_trained_on(data: Data, facts: Any) -> None:
    """`facts` are a run's: classes, sensor_size, data. Raises DatasetError when it was trained on other data; says so
    when only the fingerprint differs.
    """
    if data.classes != facts.classes or data.sensor_size != facts.sensor_size:
        raise DatasetError(
            f"{data.path}: has {len(data.classes)} classes on {data.sensor_size}, the run was trained on "
            f"{len(facts.classes)} on {facts.sensor_size}. Prepare the dataset the run names: {facts.data['dataset']}."
        )
    if data.fingerprint != facts.data["fingerprint"]:
        say(
            f"note: the data here have fingerprint {data.fingerprint}, the run was trained on {facts.data['fingerprint']}"
        )
