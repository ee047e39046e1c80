"""What a dataset card may say: where data come from, what they hold, how they are split. Recipes are `settings.py`.

Knows the *names* of settings, never the code behind them.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from dvspipe.settings import Settings


class SimulateSettings(Settings):
    """[simulate] of a gesture-sim card: how much is simulated, and of whom. Subjects 1..23 train, 24..29 test."""

    subjects: list[int] = Field(description="1..29")
    lightings: list[int] = Field(description="0..2; every subject has one trial under each")
    gesture_s: float = Field(gt=0, description="seconds of every labelled gesture")
    pause_s: float = Field(gt=0, description="seconds between two gestures, ways out and in included")
    seed: int = 0


class WalkSettings(Settings):
    """[walks] of a gait-sim card: who walks past the camera, how often and in which light. Session 1 trains, 2 tests."""

    walkers: list[int] = Field(description="0..19; the walker is the class")
    train_walks: int = Field(gt=0, description="walks of every walker in session 1")
    test_walks: int = Field(gt=0, description="walks of every walker in session 2, other clothes and light")
    walk_s: float = Field(gt=0, description="seconds of every walk")
    light: Literal["day", "night"] = "day"
    seed: int = 0


class TonicSettings(Settings):
    """[tonic] of a card of kind tonic: which of tonic's datasets, and which part of a recording is one sample."""

    name: Literal["NMNIST", "CIFAR10DVS", "NCALTECH101", "POKERDVS", "ASLDVS", "DVSGesture"]
    test_share: float | None = Field(None, gt=0, lt=1, description="last files of every class, where no split is given")


class FolderSettings(Settings):
    """[folder] of a card of kind folder: own recordings, one folder per class, cut into windows."""

    window_ms: float | None = Field(None, gt=0, description="length of a labelled window; default: the whole recording")
    split: Literal["file", "session"] = Field("file", description="what is kept together: files, or session subfolders")
    test_share: float = Field(0.2, gt=0, lt=1, description="share of every class's files or sessions that tests")
    seed: int = 0


ImageKind = Literal["cifar10", "cifar100", "imagenet", "digits", "image-folder"]


class ImageSettings(Settings):
    """[images] of a card of static images: what a network sees of them. Its size is the card's `sensor_size`."""

    channels: Literal[1, 3]
    mean: list[float] = Field(
        description="per channel, of values in [0,1]; used where a recipe wants normalised images"
    )
    std: list[float] = Field(description="per channel, of values in [0,1]")
    resize: int | None = Field(
        None, gt=0, description="shorter side before the centre crop; None: stretched to sensor_size where it differs"
    )
    test_share: float = Field(
        0.2, gt=0, lt=1, description="of every class, where a folder has no test split (also digits)"
    )
    seed: int = Field(0, description="which ones: another seed, other test images")

    @field_validator("mean", "std")
    @classmethod
    def _one_per_channel(cls, given: list[float], info: ValidationInfo) -> list[float]:
        if len(given) != info.data.get("channels", len(given)):
            raise ValueError(f"one value per channel, here {info.data['channels']}")
        if info.field_name == "std" and min(given) <= 0:
            raise ValueError("allowed is more than 0")
        return given


class Card(Settings):
    """A dataset: where it comes from, what it holds, how it is split."""

    title: str
    kind: Literal["gesture", "gesture-sim", "gait", "gait-sim", "tonic", "folder", ImageKind]
    sensor_size: tuple[int, int]
    classes: list[str] = Field(min_length=1, description='names, or how many: 3 means "class 0", "class 1", "class 2"')
    licence: str
    source: list[str] = Field(default_factory=list)
    citation: str = ""
    split: str = ""
    md5: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    simulate: SimulateSettings | None = None
    walks: WalkSettings | None = None
    tonic: TonicSettings | None = None
    folder: FolderSettings | None = None
    images: ImageSettings | None = Field(
        None, validate_default=True, description="of the image kinds, and only of them"
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _names_of_a_number(cls, given: Any) -> Any:
        return [f"class {label}" for label in range(given)] if type(given) is int else given

    @field_validator("images")
    @classmethod
    def _as_the_kind_says(cls, given: ImageSettings | None, info: ValidationInfo) -> ImageSettings | None:
        kind, size = info.data.get("kind"), info.data.get("sensor_size", (1, 1))
        if kind is not None and (given is None) == (kind in get_args(ImageKind)):
            raise ValueError(f"a card of kind {kind} {'needs' if given is None else 'has no'} table [images]")
        if given is not None and given.resize is not None and given.resize < max(size):
            raise ValueError(f"resize = {given.resize} is smaller than the crop of {size[0]}x{size[1]} (sensor_size)")
        return given

    @property
    def is_images(self) -> bool:
        """Whether it holds static images instead of events."""
        return self.kind in get_args(ImageKind)

    @property
    def simulation(self) -> SimulateSettings | WalkSettings | None:
        """What is to be simulated; None for recorded data."""
        return {"gesture-sim": self.simulate, "gait-sim": self.walks}.get(self.kind)

    @property
    def simulated(self) -> bool:
        """Whether no camera was there."""
        return self.simulation is not None
