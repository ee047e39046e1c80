"""What a recipe may say: every setting, its type, its range and its default; what a card may say is `cards.py`.

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
    cache: Literal["auto", "off"] = Field(
        "auto", description="auto: frames that never change are kept under $DVSPIPE_DATA"
    )
    around_ms: tuple[int, int] | None = Field(
        None,
        description="training clips start that long after a window's start, drawn between the two (negative: before), and "
        "every bin has a label, nothing outside windows; for train.loss = 'evidence'",
    )

    @field_validator("around_ms")
    @classmethod
    def _first_before_last(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not (value[0] <= value[1] and max(map(abs, value)) <= 60_000):
            raise ValueError(f"{list(value)}: the first may not be after the second, and both within a minute")
        return value


class EncoderSettings(Settings):
    """[encoder]: a static image -> T steps. What a setting without a default does is the encoder's own affair."""

    name: Literal[
        "direct", "direct-lif", "gac", "poisson", "integrate", "latency", "latency-log", "phase",
        "burst", "threshold", "threshold-equal", "rank", "hybrid", "single-spike",
    ] = "direct"  # fmt: skip
    steps: int = Field(gt=0, description="T")
    normalise: bool | None = Field(
        None, description="subtract the card's mean, divide by its std; default: where the encoder takes such values"
    )
    temporal: str | None = Field(None, description="hybrid: the spike code after the analog step; default: threshold")
    own_stem: bool | None = Field(None, description="hybrid: a stem of its own for the analog step; default: yes")
    order: Literal["msb", "lsb"] | None = Field(None, description="phase: which bit comes first")
    weigh: bool | None = Field(None, description="phase: multiply every step by what its bit is worth")
    silent_zero: bool | None = Field(None, description="latency: black pixels never fire")
    gate: Literal["full", "time", "space", "constant"] | None = Field(None, description="gac: what the gate is made of")
    kernel: int | None = Field(None, gt=0, description="gac: k of the gate's convolutions; default 4")
    t_ratio: int | None = Field(None, gt=0, description="gac: reduction of the gate's temporal MLP; default 2")
    spiking: bool | None = Field(None, description="gac: false gates the current instead of the spikes")


class AugmentSettings(Settings):
    """[augment]: tonic's event transforms or torchvision's image transforms, applied to training samples only."""

    transforms: list[dict[str, Any]] = Field(default_factory=list, description="e.g. {name='DropEvent', p=0.1}")
    mix: bool = Field(True, description="false leaves CutMix and MixUp out")


class SnnSettings(Settings):
    """[snn]: network, neuron and attention. One attention slot per layer, filled by `attention`."""

    network: Literal[
        "three-conv", "five-conv-a", "five-conv-b", "att-res-18", "att-res-34", "att-res-104", "att-vgg-7", "att-vgg-11",
        "lenet", "spikformer", "ms-resnet-18-cifar", "ms-resnet-18", "ms-resnet-34", "ms-resnet-104",
        "sew-resnet-18-cifar", "sew-resnet-18", "sew-resnet-34", "resnet-18-cifar", "resnet-18", "resnet-34",
    ] = "three-conv"  # fmt: skip
    width: float = Field(1.0, gt=0, description="multiplies every hidden channel count")
    block: Literal["branch", "sum"] | None = Field(None, description="att-res: where attention acts; default: branch")
    connect: Literal["ADD", "AND", "IAND"] | None = Field(None, description="sew-resnet: how spikes meet; default: ADD")
    dim: int | None = Field(None, gt=0, description="spikformer: features of a token; default 384")
    depth: int | None = Field(None, gt=0, description="spikformer: blocks; default 4")
    heads: int | None = Field(None, gt=0, description="spikformer: default 12")
    mlp_ratio: int | None = Field(None, gt=0, description="spikformer: default 4")
    pool: Literal["max", "mean"] | None = Field(None, description="lenet: pooling of spikes; default: max")
    neuron: (
        Literal["ma-snn", "ma-snn-paper", "ms-resnet", "gac", "stbp", "norse", "spikingjelly", "plif", "asnn", "dsr"]
        | None
    ) = Field(None, description="default: the network's own")
    reset: Literal["clamp_threshold", "zero", "subtract"] | None = Field(None, description="default: the neuron's own")
    learn_leak: bool | None = Field(None, description="one learned leak per layer; default: the neuron's own")
    adapt: Literal["none", "shared", "steps"] | None = Field(
        None, description="learned leak and gain per layer, shared by all steps or one of each per step (ASNN)"
    )
    constrain: Literal["sigmoid", "none"] | None = Field(None, description="of learned leak and gain; default: sigmoid")
    norm: Literal["bn", "tdbn", "tebn", "per-step"] = Field(
        "bn", description="which steps share statistics, and scales"
    )
    gradient: Literal["surrogate", "dsr"] = Field(
        "surrogate", description="of spikes; dsr: that of their weighted rate (differentiation on spike representation)"
    )
    fire_at: float | None = Field(
        None, gt=0, le=1, description="gradient 'dsr': the share of its threshold at which a neuron fires; default 0.3"
    )
    stem: Literal["conv2d", "conv3d", "conv3d-causal"] = Field(
        "conv2d", description="event networks: 3-D, the first convolution sees stem_bins bins; causal: none to come"
    )
    stem_bins: int = Field(3, ge=2, description="bins that a 3-D stem sees, odd unless causal")
    head: Literal["spiking", "ann"] = Field(
        "spiking", description="event networks; ann: a plain network reads the sum of the last convolution's spikes"
    )
    window: int | None = Field(None, gt=0, description="head 'ann': bins that are summed; default: the whole clip")
    step_scale: bool = Field(False, description="a learned factor for the scores of every step (ASNN)")
    spiking_out: bool = Field(False, description="image networks: neurons behind the scores; outputs are spikes")
    readout: Literal["mean", "first-spike"] = Field("mean", description="from outputs over T to an answer")
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
    kernels: Literal["auto", "reference"] = Field(
        "auto", description="reference: Norse's own step, slow, to check the fast kernels against"
    )

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Self:
        if self.fire_at is not None and self.gradient != "dsr":
            raise ValueError(f"fire_at = {self.fire_at} needs gradient = 'dsr', not '{self.gradient}'")
        if self.window is not None and self.head != "ann":
            raise ValueError(f"window = {self.window} needs head = 'ann', not '{self.head}'")
        if self.head == "ann" and self.readout != "mean":
            raise ValueError(
                f"head = 'ann' gives scores, not spikes: readout = '{self.readout}' needs head = 'spiking'"
            )
        if self.stem == "conv3d" and self.stem_bins % 2 == 0:
            raise ValueError(f"stem_bins = {self.stem_bins} must be odd, for stem = 'conv3d' looks both ways")
        return self


class TrainSettings(Settings):
    """[train]: the optimisation. Selection is on a validation split taken from the training data."""

    epochs: int = Field(gt=0)
    batch: int = Field(16, gt=0, description="samples per step of the optimiser, of all processes together")
    accumulate: int = Field(1, gt=0, description="parts a batch is taken in one after another: less memory, same step")
    lr: float = Field(1e-3, gt=0)
    schedule: Literal["one-cycle", "cosine", "plateau", "constant"] = "one-cycle"
    loss: Literal["mse-rate", "ce-rate", "ce", "tet", "first-spike", "evidence"] = Field(
        "mse-rate", description="mse-rate: mean output rate against one-hot; ce: of the mean score; tet: of every step"
    )
    tet_share: float = Field(
        1e-3, ge=0, le=1, description="loss 'tet': lambda, weight of what holds outputs near tet_mean"
    )
    tet_mean: float = Field(1.0, description="loss 'tet': phi, what all outputs are held near")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of the cross-entropies")
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.0, ge=0)
    evidence_ms: float = Field(150.0, gt=0, description="loss 'evidence': time constant of what is compared")
    spike_penalty: float = Field(0.0, ge=0, description="weight of the network's NASAR in the training loss")
    protocol: Literal["validated", "published"] = Field(
        "validated", description="published: the checkpoint is chosen on the test split, as the papers' code does"
    )
    val_subjects: int | None = Field(None, gt=0, description="training subjects held out to choose the checkpoint")
    val_share: float | None = Field(None, gt=0, lt=1, description="or this share of every class's training recordings")
    per_class: int | None = Field(None, gt=1, description="images: so many training images of every class, no more")
    teacher: str | None = Field(
        None,
        description="RUN, or the name of a recipe for its newest run here: a network whose scores are learned too (HSD)",
    )
    temperature: float = Field(2.0, gt=0, description="of a teacher's and a pupil's softmax")
    teacher_weight: float = Field(1.0, ge=0, description="of the teacher's part in the loss")
    start: str | None = Field(None, description="RUN whose weights the training starts from")
    seed: int = 0
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="auto: bf16 autocast where the CPU or GPU has it"
    )
    memory: Literal["refuse", "ignore"] = Field(
        "refuse", description="what becomes of a training that is planned to need more memory than there is"
    )
    checkpointing: Literal["none", "layers"] = Field(
        "none", description="layers: keep only layers' inputs for the way back; less memory, the same result, slower"
    )
    tensorboard: bool = Field(False, description="RUN/tensorboard beside metrics.jsonl; needs the extra 'tensorboard'")
    workers: int = Field(0, ge=0, description="loader processes; 0 loads in the training process")
    checkpoint_s: float = Field(
        300.0, gt=0, description="how often, within an epoch, --resume gets a place to go on from"
    )
    checkpoint_steps: int | None = Field(None, gt=0, description="or after so many steps, too")
    keep_checkpoints: int = Field(2, gt=0, description="the newest so many stay: last.ckpt, last-1.ckpt, ...")

    @field_validator("precision", mode="before")
    @classmethod
    def _a_number_is_a_word(cls, value: Any) -> Any:
        return str(value) if value == 32 else value  # `--set train.precision=32` is a number to TOML

    @model_validator(mode="after")
    def _spikes_are_heard_once(self) -> Self:
        if self.checkpointing == "layers" and self.spike_penalty:
            raise ValueError("checkpointing = 'layers' lets go of the spikes that spike_penalty counts: choose one")
        return self

    @model_validator(mode="after")
    def _one_way_to_validate(self) -> Self:
        given = sum(each is not None for each in (self.val_subjects, self.val_share))
        if self.protocol == "validated" and given != 1:
            raise ValueError("exactly one of val_subjects and val_share says what is held out for validation")
        return self

    @model_validator(mode="after")
    def _a_teacher_of_scores(self) -> Self:
        if self.teacher is not None and self.loss not in ("ce", "tet"):
            raise ValueError(f"a teacher's scores need train.loss = 'ce' or 'tet', not '{self.loss}'")
        return self


class LiveSettings(Settings):
    """[live]: how per-bin outputs become decisions, where nothing was fitted (RUN/live.json goes first)."""

    evidence_ms: float = Field(300.0, gt=0, description="time constant of the leaky evidence")
    threshold: float = Field(0.25, ge=0, le=1, description="evidence a class needs to be decided")
    leave: float | None = Field(
        None, ge=0, le=1, description="evidence below which it is given up; default 0.6 threshold"
    )
    hold_ms: float = Field(0.0, ge=0, description="how long the leading class has to stay above the threshold")
    margin: float = Field(1.0, ge=0, le=1, description="decide at once when ahead of the second by more; 1 = never")
    refractory_ms: float = Field(300.0, ge=0, description="least time from one decision to another class")
    min_events: int = Field(20, ge=0, description="fewer events in a bin count as nothing happening")
    min_rate: float | None = Field(None, ge=0, description="the same in events per second; goes before min_events")
    quiet_ms: float = Field(100.0, ge=0, description="nothing happening for so long ends a decision")

    @model_validator(mode="after")
    def _leave_below_threshold(self) -> Self:
        if self.leave is not None and self.leave > self.threshold:
            raise ValueError(f"leave = {self.leave} must be at most threshold = {self.threshold}")
        return self


class Recipe(Settings):
    """A whole experiment: data, frames or encoder, network, training, decision."""

    dataset: str
    frames: FramesSettings | None = Field(None, description="of events; images have [encoder] instead")
    encoder: EncoderSettings | None = Field(None, description="of images; events have [frames] instead")
    augment: AugmentSettings = AugmentSettings()
    snn: SnnSettings = SnnSettings()
    train: TrainSettings
    live: LiveSettings = LiveSettings()

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.frames is None) == (self.encoder is None):
            raise ValueError("exactly one of the tables [frames] (events) and [encoder] (images) says how data enter")
        return self

    @model_validator(mode="after")
    def _every_bin_has_a_label_for_evidence(self) -> Self:
        if self.frames is not None and self.frames.around_ms is not None and self.train.loss != "evidence":
            raise ValueError(f"frames.around_ms needs train.loss = 'evidence', not '{self.train.loss}'")
        return self

    @model_validator(mode="after")
    def _a_head_answers_once_per_window(self) -> Self:
        if self.snn.head == "ann":
            if self.train.loss != "ce":
                raise ValueError(
                    f"snn.head = 'ann' needs train.loss = 'ce' (of the mean score), not '{self.train.loss}'"
                )
            if self.snn.window is not None and self.steps % self.snn.window:
                raise ValueError(f"snn.window = {self.snn.window} must divide the {self.steps} steps of a clip")
        return self

    @property
    def steps(self) -> int:
        """T of a clip, or of an image's code."""
        return self.frames.n_bins if self.frames is not None else self.encoder.steps  # type: ignore[union-attr]
