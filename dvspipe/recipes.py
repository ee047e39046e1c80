"""Recipes and dataset cards: TOML -> validated settings, all faults at once.

The only file that knows where recipes live. It knows the *names* of settings, never the code behind them, so that `--help`,
`datasets` and a wrong key answer without torch.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dvspipe.errors import RecipeError, UsageError, nearest

Kind = Literal["datasets", "pipelines"]


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

    network: Literal["three-conv"] = "three-conv"
    width: float = Field(1.0, gt=0, description="multiplies every hidden channel count")
    neuron: Literal["ma-snn", "ma-snn-paper", "ms-resnet", "gac", "norse", "spikingjelly"] = "ma-snn"
    reset: Literal["clamp_threshold", "zero", "subtract"] | None = Field(None, description="default: the neuron's own")
    attention: Literal["none", "relu", "TA", "CA", "SA", "TCA", "TSA", "CSA", "TCSA"] = "none"
    placement: Literal["released", "paper", "causal"] = Field(
        "released", description="where attention acts; see README"
    )
    relu: bool | None = Field(None, description="ReLU after attention; default: released yes, paper and causal no")
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
    val_subjects: int = Field(gt=0, description="training subjects held out to choose the checkpoint")
    seed: int = 0
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="auto: bf16 autocast where the CPU or GPU has it"
    )
    workers: int = Field(0, ge=0, description="loader processes; 0 loads in the training process")


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


class Card(Settings):
    """A dataset: where it comes from, what it holds, how it is split."""

    title: str
    kind: Literal["gesture", "gesture-sim", "gait"]
    sensor_size: tuple[int, int]
    classes: list[str]
    licence: str
    source: list[str] = Field(default_factory=list)
    citation: str = ""
    split: str = ""
    md5: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    simulate: SimulateSettings | None = None


Model = TypeVar("Model", bound=BaseModel)


def folder(kind: Kind) -> Path:
    """Where recipes of a kind live: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    installed = package / "_recipes" / kind
    return installed if installed.is_dir() else package.parent / kind


def names(kind: Kind) -> list[str]:
    """Every recipe or card that ships, by name."""
    return sorted(path.stem for path in folder(kind).glob("*.toml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a name (or a path to a TOML file), with `a.b=c` overrides applied.

    Raises UsageError when there is no such recipe, RecipeError with all faults at once when it is wrong.
    """
    table, source = _read("pipelines", name)
    faults = [fault for each in overrides if (fault := _override(table, each))]
    if faults:
        raise RecipeError("--set", faults)
    return _validate(Recipe, table, f"{source} with --set {' '.join(overrides)}" if overrides else source)


def load_card(name: str) -> Card:
    """The dataset card of a name (or a path to a TOML file). Raises as `load_recipe`."""
    table, source = _read("datasets", name)
    return _validate(Card, table, source)


def recipe_from_json(text: str, source: str) -> Recipe:
    """The resolved recipe that a run carries. Raises RecipeError when it was written by another version."""
    return _validate(Recipe, json.loads(text), source)


def data_dir() -> Path:
    """Archives and caches: `$DVSPIPE_DATA`, default ~/.cache/dvspipe."""
    return Path(os.environ.get("DVSPIPE_DATA") or Path.home() / ".cache" / "dvspipe").absolute()


def _read(kind: Kind, name: str) -> tuple[dict[str, Any], str]:
    path = Path(name) if name.endswith(".toml") else folder(kind) / f"{name}.toml"
    if not path.is_file():
        known = names(kind)
        raise UsageError(
            f"no {kind.removesuffix('s')} '{name}'{nearest(name, known)}. Known: {', '.join(known)}; "
            "or give a path to a .toml file."
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), name
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), [f"not TOML: {error}"]) from error


def _override(table: dict[str, Any], text: str) -> str | None:
    """Applies one `a.b=c` in place; returns the fault, if any."""
    key, sign, raw = text.partition("=")
    if not sign or not key.strip():
        return f"'{text}': expected key=value, for example train.lr=1e-3"
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw  # a bare word is a string
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            return f"'{key}': '{parent}' is a value, not a table"
    table[last] = value
    return None


def _validate(model: type[Model], table: dict[str, Any], source: str) -> Model:
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise RecipeError(source, [_fault(model, each) for each in error.errors()]) from None


def _fault(model: type[BaseModel], error: Any) -> str:
    """One readable line for one pydantic error."""
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key '{where}'{_nearest_key(model, where)}"
    if error["type"] == "missing":
        return f"'{where}' is missing"
    return f"'{where}' = {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _nearest_key(model: type[BaseModel], where: str) -> str:
    """Looks among the key's own table first, then among all, so that a key in the wrong table finds its home too."""
    known, (table, dot, leaf) = keys(model), where.rpartition(".")
    prefix = table + dot
    same_leaf = [key for key in known if key.rpartition(".")[2] == leaf]
    beside = sorted({key.removeprefix(prefix).split(".")[0] for key in known if key.startswith(prefix)})
    match = get_close_matches(leaf, beside, n=1, cutoff=0.5)
    best = same_leaf or [prefix + each for each in match]
    return f" (did you mean '{best[0]}'?)" if best else f". Known here: {', '.join(prefix + each for each in beside)}"


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key of a settings model."""
    found: list[str] = []
    for name, info in model.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found += keys(annotation, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found
