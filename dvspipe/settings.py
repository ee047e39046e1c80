"""What a recipe and a dataset card may say: every setting, its type, its range and its default.

Knows the *names* of settings, never the code behind them. Where TOML files lie and how faults are told is `recipes.py`.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Settings(BaseModel):
    """One table of a recipe: frozen, typed, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FramesSettings(Settings):
    """[frames]: events -> time bins."""

    bin_us: int = Field(gt=0, description="length of one time bin = one neuron step, µs")
    n_bins: int = Field(gt=0, description="bins in a clip (T)")
    downsample: int = Field(1, gt=0, description="integer division of pixel coordinates")
    clips: int = Field(1, gt=0, description="evaluation clips spread over a segment")
    random_start: bool = Field(True, description="training clips start anywhere in the segment")


class AugmentSettings(Settings):
    """[augment]: tonic's event transforms, applied to training clips only."""

    transforms: list[dict[str, Any]] = Field(default_factory=list, description="e.g. {name='DropEvent', p=0.1}")


class SnnSettings(Settings):
    """[snn]: network, neuron and attention. One attention slot per layer, filled by `attention`."""

    network: Literal[
        "three-conv",
        "five-conv-a",
        "five-conv-b",
        "att-res-18",
        "att-res-34",
        "att-res-104",
        "att-vgg-7",
        "att-vgg-11",
    ] = "three-conv"
    width: float = Field(1.0, gt=0, description="multiplies every hidden channel count")
    block: Literal["branch", "sum"] | None = Field(None, description="att-res: where attention acts; default: branch")
    neuron: Literal["ma-snn", "ma-snn-paper", "ms-resnet", "gac", "norse", "spikingjelly", "plif"] = "ma-snn"
    reset: Literal["clamp_threshold", "zero", "subtract"] | None = Field(None, description="default: the neuron's own")
    learn_leak: bool | None = Field(None, description="one learned leak per layer; default: the neuron's own")
    surrogate_scale: float | None = Field(
        None, gt=0, description="half width of rectangle and triangle, slope of the others; default: the neuron's own"
    )
    attention: Literal[
        "none", "relu", "constant", "TA", "CA", "SA", "TCA", "TSA", "CSA", "TCSA", "TCJA", "ECA", "SimAM"
    ] = "none"
    placement: Literal["released", "paper", "causal"] = Field(
        "released", description="where attention acts; see README"
    )
    relu: bool | None = Field(None, description="ReLU after attention; default: released yes, paper and causal no")
    gate_start: Literal["random", "neutral"] = Field(
        "random", description="neutral: every gate starts at its neutral value, gate_gain / 2, whatever it sees"
    )
    attention_bins: int = Field(8, gt=0, description="how far causal temporal attention looks back")
    t_ratio: int = Field(5, gt=0, description="reduction of the temporal MLP")
    c_ratio: int = Field(8, gt=0, description="reduction of the channel MLP")
    gate_gain: float = Field(1.0, gt=0, description="1 = published sigmoid (neutral gate 0.5), 2 = neutral gate 1")


class TrainSettings(Settings):
    """[train]: the optimisation. Selection is on a validation split taken from the training data."""

    epochs: int = Field(gt=0)
    batch: int = Field(16, gt=0)
    lr: float = Field(1e-3, gt=0)
    schedule: Literal["one-cycle", "cosine", "plateau", "constant"] = "one-cycle"
    loss: Literal["mse-rate", "ce-rate"] = Field("mse-rate", description="mse-rate: mean output rate against one-hot")
    weight_decay: float = Field(0.0, ge=0)
    spike_penalty: float = Field(0.0, ge=0, description="weight of the network's NASAR in the training loss")
    protocol: Literal["validated", "published"] = Field(
        "validated", description="published: the checkpoint is chosen on the test split, as the papers' code does"
    )
    val_subjects: int | None = Field(None, gt=0, description="training subjects held out to choose the checkpoint")
    val_share: float | None = Field(None, gt=0, lt=1, description="or this share of every class's training recordings")
    start: str | None = Field(None, description="RUN whose weights the training starts from")
    seed: int = 0
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="auto: bf16 autocast where the CPU or GPU has it"
    )
    workers: int = Field(0, ge=0, description="loader processes; 0 loads in the training process")

    @field_validator("precision", mode="before")
    @classmethod
    def _a_number_is_a_word(cls, value: Any) -> Any:
        return str(value) if value == 32 else value  # `--set train.precision=32` is a number to TOML

    @model_validator(mode="after")
    def _one_way_to_validate(self) -> Self:
        given = sum(each is not None for each in (self.val_subjects, self.val_share))
        if self.protocol == "validated" and given != 1:
            raise ValueError("exactly one of val_subjects and val_share says what is held out for validation")
        return self


class LiveSettings(Settings):
    """[live]: how per-bin outputs become decisions."""

    evidence_ms: float = Field(300.0, gt=0, description="time constant of the leaky evidence")
    threshold: float = Field(0.25, ge=0, le=1, description="evidence a class needs to be decided")
    min_events: int = Field(20, ge=0, description="fewer events in a bin count as nothing happening")


class Recipe(Settings):
    """A whole experiment: data, frames, network, training, decision."""

    dataset: str
    frames: FramesSettings
    augment: AugmentSettings = AugmentSettings()
    snn: SnnSettings = SnnSettings()
    train: TrainSettings
    live: LiveSettings = LiveSettings()


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


class Card(Settings):
    """A dataset: where it comes from, what it holds, how it is split."""

    title: str
    kind: Literal["gesture", "gesture-sim", "gait", "gait-sim", "tonic", "folder", "images"]
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

    @field_validator("classes", mode="before")
    @classmethod
    def _names_of_a_number(cls, given: Any) -> Any:
        return [f"class {label}" for label in range(given)] if type(given) is int else given

    @property
    def simulation(self) -> SimulateSettings | WalkSettings | None:
        """What is to be simulated; None for recorded data."""
        return {"gesture-sim": self.simulate, "gait-sim": self.walks}.get(self.kind)

    @property
    def simulated(self) -> bool:
        """Whether no camera was there."""
        return self.simulation is not None
