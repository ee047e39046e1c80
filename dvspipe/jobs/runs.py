"""The run folder: what a training leaves and everything later reads.

RUN/run.json            command, versions, machine, data, seed
RUN/best.safetensors    weights of the best validation epoch, with recipe, classes and sensor in the metadata
RUN/last.safetensors    weights of the last epoch, once it is trained
RUN/last.ckpt           where --resume continues
RUN/metrics.jsonl       one line per epoch
RUN/evaluation.json     written by evaluate, with report.html
RUN/live.json           when to decide, fitted by train or evaluate --live
RUN/live_evaluation.json  written by evaluate --live, with live_report.html
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dvspipe import __version__
from dvspipe.encoders.choice import build_encoder
from dvspipe.encoders.image_network import ImageNetwork
from dvspipe.errors import RunError
from dvspipe.files import make_folder
from dvspipe.jobs.json_lines import whole_lines
from dvspipe.learn.checkpoint import digest, fit_weights, load_weights, save_weights, write_whole
from dvspipe.recipes import FramesSettings, Recipe, recipe_from_json
from dvspipe.snn.networks import Network, build_network
from dvspipe.snn.networks.choice import NETWORKS
from dvspipe.snn.neurons import make_neuron

RUN_VERSION = "1"
BEST, LAST, METRICS, EVALUATION, RUN = "best.safetensors", "last.ckpt", "metrics.jsonl", "evaluation.json", "run.json"
LAST_WEIGHTS = "last.safetensors"


@dataclass(frozen=True, slots=True)
class Run:
    """A trained network and what is needed to feed it. `sensor_size` (W, H) and `channels` are those of the data."""

    path: Path
    name: str
    recipe: Recipe
    classes: list[str]
    sensor_size: tuple[int, int]
    channels: int
    model: Network | ImageNetwork
    data: dict[str, str]

    @property
    def frames(self) -> FramesSettings:
        """How events are binned. Raises RunError for a run on images."""
        if self.recipe.frames is None:
            raise RunError(
                f"{self.path}: trained on images, which have no time bins; give a run that was trained on events."
            )
        return self.recipe.frames

    @property
    def bin_us(self) -> int:
        """Length of one time bin in µs."""
        return self.frames.bin_us

    @property
    def n_bins(self) -> int:
        """Bins per clip (T)."""
        return self.frames.n_bins

    @property
    def downsample(self) -> int:
        """Integer division of pixel coordinates."""
        return self.frames.downsample


def network_of(
    recipe: Recipe, classes: int, sensor_size: tuple[int, int], in_channels: int = 2
) -> Network | ImageNetwork:
    """The untrained network of a recipe, for events of 2 polarities or, behind its encoder, for images.

    Raises UsageError or ShapeError where its settings do not fit together.
    """
    width, height = sensor_size
    own = {"reset", "learn_leak", "surrogate_scale", "adapt", "constrain"}
    neuron = make_neuron(
        recipe.snn.neuron or NETWORKS[recipe.snn.network].DEFAULTS["neuron"],
        **recipe.snn.model_dump(include=own, exclude_none=True),
    )
    settings = recipe.snn.model_dump(exclude={"network", "neuron", "readout", *own}, exclude_none=True)
    settings |= {"classes": classes, "steps": recipe.steps, "neuron": neuron, "in_channels": in_channels}
    if recipe.frames is not None:
        scale = recipe.frames.downsample
        return build_network(recipe.snn.network, **settings, size=(-(-height // scale), -(-width // scale)))
    assert recipe.encoder is not None  # a recipe has one of the two
    asked = recipe.encoder.model_dump(exclude={"name", "steps", "normalise"}, exclude_none=True)
    encoder = build_encoder(recipe.encoder.name, recipe.encoder.steps, **asked)
    entry = {"front": encoder.front, "own_stem": encoder.own_stem}
    return ImageNetwork(encoder, build_network(recipe.snn.network, **settings, **entry, size=(height, width)))


def save_run_weights(folder: Path, network: nn.Module, recipe: Recipe, facts: dict[str, Any], file: str = BEST) -> None:
    """Writes a run's weights, with a digest of them; `facts` are name, classes, sensor_size and data."""
    metadata = {"run_version": RUN_VERSION, "dvspipe": __version__, "recipe": recipe.model_dump_json()}
    metadata["digest"] = digest(network.state_dict())
    save_weights(folder / file, network, metadata | {key: json.dumps(value) for key, value in facts.items()})


def load_run(path: str | Path) -> Run:
    """A trained run, its network in evaluation mode on the CPU: a run's folder, or the safetensors file that `export` made
    of one.

    Raises RunError when it is missing, incomplete, damaged, or of another run version.
    """
    place = Path(path).absolute()
    source, folder = (place, place.parent) if place.is_file() else (place / BEST, place)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run folder. `dvspipe train` makes one and prints its path.")
    weights, metadata = load_weights(source)
    if "digest" in metadata and metadata["digest"] != digest(weights):
        raise RunError(f"{source}: the weights are not those that were written. Restore the file or train again.")
    version = metadata.get("run_version")
    if version != RUN_VERSION:
        raise RunError(
            f"{folder}: run version {version!r}, this dvspipe {__version__} reads {RUN_VERSION!r} "
            f"(written by dvspipe {metadata.get('dvspipe', 'unknown')}). Train again, or install that version."
        )
    try:
        recipe = recipe_from_json(metadata["recipe"], f"{source} (recipe)")
        facts = {key: json.loads(metadata[key]) for key in ("name", "classes", "sensor_size", "data")}
        channels = int(json.loads(metadata.get("channels", "2")))  # runs before images came had events only
    except (KeyError, json.JSONDecodeError) as error:
        raise RunError(f"{source}: metadata incomplete ({error}). Train again.") from error
    size = (int(facts["sensor_size"][0]), int(facts["sensor_size"][1]))
    network = network_of(recipe, len(facts["classes"]), size, channels)
    fit_weights(network, weights, source)
    return Run(folder, facts["name"], recipe, facts["classes"], size, channels, network.eval(), facts["data"])


def read_record(folder: Path) -> dict[str, Any]:
    """What run.json says: how, when and where the run was started."""
    record: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
    return record


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of metrics.jsonl; an unfinished last line (a kill in the middle) is left out."""
    return whole_lines(folder / METRICS)


def write_json(path: Path, value: Any) -> None:
    """JSON, whole or not at all."""
    write_whole(path, lambda target: target.write_text(json.dumps(value, indent=1), encoding="utf-8"))


def new_folder(name: str, out: Path | None) -> Path:
    """The folder of a new run: `out`, or ./runs/<name>-<time>. Raises RunError when a run is already there."""
    folder = (out or Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}").absolute()
    if (folder / RUN).exists() or (folder / BEST).exists():
        raise RunError(f"{folder}: holds a run already. Give another --out, or continue it with --resume.")
    return make_folder(folder, RunError)


def machine() -> dict[str, str]:
    """What a figure was measured on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "dvspipe": __version__,
        "system": f"{platform.system()} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
    }


def command() -> str:
    """The command line as typed, without the path of the interpreter."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def git_state() -> str:
    """The commit of the checkout this code runs from, with `+` for uncommitted changes; empty outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")
