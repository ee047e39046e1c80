"""`dvspipe export RUN`: a trained network as safetensors, NIR or ONNX, with a model card beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dvspipe.encoders.image_network import ImageNetwork
from dvspipe.errors import RunError, UsageError, nearest
from dvspipe.export.model_card import ModelCard, write_card
from dvspipe.export.nir_graph import write_nir
from dvspipe.export.onnx_step import DEFAULT_OPSET, check_opset, write_onnx
from dvspipe.export.weights import write_safetensors
from dvspipe.files import make_folder
from dvspipe.jobs.evaluate import selection
from dvspipe.jobs.runs import BEST, EVALUATION, RUN, Run, command, load_run, read_record
from dvspipe.learn.checkpoint import load_weights, write_whole
from dvspipe.recipes import load_card
from dvspipe.snn.counting import count_network
from dvspipe.snn.networks import Network

FORMATS = ("safetensors", "nir", "onnx")
COUNTS = {"params": "Parameters", "neurons": "Neurons", "macs_per_frame": "Multiply-accumulates per frame, dense"}
Written = dict[str, Any]


def export(
    path: Path,
    form: str,
    out: Path | None = None,
    opset: int | None = None,
    dt_us: float | None = None,
    merge: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes RUN's network to `out` (default: RUN/export/<name>.<format>) and a model card to <out>.md.

    `opset` is for onnx; for nir `dt_us` is the Euler step that time constants are for (default: the time bin) and `merge`
    puts mean pools and resistances into the weights. Returns `run, format, file, bytes, sha256, card` and what the format
    adds. Raises UsageError for an option that does not fit, a network that the format cannot hold (the layer is named) or an
    `out` that is there already without `overwrite`; RunError for a damaged run or a file that cannot be written.
    """
    if form not in FORMATS:
        raise UsageError(f"unknown format '{form}'{nearest(form, list(FORMATS))}: known are {', '.join(FORMATS)}")
    _check_options(form, opset, dt_us, merge)
    run, weights = load_run(path), path if path.is_file() else path / BEST
    target = (out or run.path / "export" / f"{run.name}.{form}").absolute()
    page = target.with_name(target.name + ".md")
    for each in (target, page):
        if each.exists() and not overwrite:
            raise UsageError(f"{each}: is there already. Give another --out, or --overwrite.")
    make_folder(target.parent, RunError)
    details = _writers(run, weights, opset or DEFAULT_OPSET, dt_us, merge)[form](target)
    sha256 = _sha256(target)
    card = write_card(_card(run, target, form, sha256, details))
    write_whole(page, lambda beside: beside.write_text(card, encoding="utf-8"))
    return {
        "run": str(run.path),
        "format": form,
        "file": str(target),
        "bytes": target.stat().st_size,
        "sha256": sha256,
        "card": str(page),
        **details,
    }


def _check_options(form: str, opset: int | None, dt_us: float | None, merge: bool) -> None:
    for option, given, owner in (
        ("--opset", opset is not None, "onnx"),
        ("--dt-us", dt_us is not None, "nir"),
        ("--merge", merge, "nir"),
    ):
        if given and form != owner:
            raise UsageError(f"{option} is for --format {owner}, not {form}: leave it out")
    if opset is not None:
        check_opset(opset)
    if dt_us is not None and not 0 < dt_us < 1e9:
        raise UsageError(
            f"--dt-us {dt_us:g}: allowed is more than 0, in µs; 100 is what snnTorch takes every step to be"
        )


def _writers(
    run: Run, weights: Path, opset: int, dt_us: float | None, merge: bool
) -> dict[str, Callable[[Path], Written]]:
    """Per format, what writes a file and says what it adds to the result."""

    def safetensors(target: Path) -> Written:
        _, metadata = load_weights(weights)
        write_whole(target, lambda beside: write_safetensors(beside, run.model, metadata))
        return {}

    def nir(target: Path) -> Written:
        network, step_us = _network(run, "nir"), dt_us or float(run.bin_us)
        write_whole(target, lambda beside: write_nir(beside, network, _facts(run), step_us * 1e-6, merge))
        return {"dt_us": step_us, "merged": merge}

    def onnx(target: Path) -> Written:
        network, told = _network(run, "onnx"), []
        write_whole(target, lambda beside: told.append(write_onnx(beside, network, _facts(run), opset)))
        parts, checked = told[0]
        return {"opset": opset, "state": [asdict(part) for part in parts], "checked": asdict(checked)}

    return {"safetensors": safetensors, "nir": nir, "onnx": onnx}


def _network(run: Run, form: str) -> Network:
    """Raises UsageError for a network of images."""
    if isinstance(run.model, ImageNetwork):
        raise UsageError(
            f"{run.path}: trained on images, whose code an encoder makes; --format {form} is for runs on events. Export "
            "safetensors"
        )
    return run.model


def _facts(run: Run) -> dict[str, str]:
    """What travels inside a file: JSON values by name."""
    facts = {
        "name": run.name,
        "classes": run.classes,
        "sensor_size": run.sensor_size,
        "downsample": run.downsample,
        "bin_us": run.bin_us,
        "frame_shape": run.model.frame_shape,
        "licence_of_data": load_card(run.data["dataset"]).licence,
    }
    return {**{key: json.dumps(value) for key, value in facts.items()}, "recipe": run.recipe.model_dump_json()}


def _card(run: Run, target: Path, form: str, sha256: str, details: Written) -> ModelCard:
    card, recipe = load_card(run.data["dataset"]), run.recipe
    evaluated, counts = run.path / EVALUATION, count_network(run.model)
    frames, record = recipe.frames, run.path / RUN
    placement = "" if recipe.snn.attention == "none" else f", placement {recipe.snn.placement}"
    return ModelCard(
        name=run.name,
        file=target.name,
        format=form,
        sha256=sha256,
        network=recipe.snn.network,
        attention=recipe.snn.attention + placement,
        classes=run.classes,
        shape=run.model.frame_shape,
        sensor_size=run.sensor_size,
        downsample=frames.downsample if frames else 1,
        bin_us=frames.bin_us if frames else None,
        counts={word: counts[key] for key, word in COUNTS.items()},
        dataset={**card.model_dump(include={"title", "licence", "source"}), **_data(run), "simulated": card.simulated},
        selection=selection(recipe.train),
        evaluation=json.loads(evaluated.read_text(encoding="utf-8")) if evaluated.is_file() else None,
        notes=_notes(run, form, details),
        details={"Opset": details["opset"]} if form == "onnx" else {},
        versions=_versions(form),
        commands={
            "Trained by": read_record(run.path)["command"] if record.is_file() else "?",
            "Exported by": command(),
        },
    )


def _data(run: Run) -> dict[str, str]:
    return {"name": Path(run.data["dataset"]).stem, "fingerprint": run.data.get("fingerprint", "?")}


def _versions(form: str) -> dict[str, str]:
    found = {}
    for name in ("dvspipe", "torch", *({"nir": ("nir",), "onnx": ("onnx", "onnxruntime")}.get(form, ()))):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _notes(run: Run, form: str, details: Written) -> list[str]:
    """What a user of the file must know."""
    notes = ["One training with one seed: nothing is known of the spread."]
    if form == "onnx":
        checked = details["checked"]
        notes += [
            "One step per call: feed the state back, and set it to zeros for a new recording.",
            f"Beside the network itself on {checked['steps']} random frames, each from the same state, values differ by "
            f"at most {checked['max_difference']:.1e}, but for {checked['different_values']} behind a potential that fell "
            "on the other side of the threshold. Within rounding of it a neuron may fire here and not there, and a "
            "recording may then take another way.",
        ]
    if form == "nir":
        notes += [
            f"Time constants are those of an Euler step of {details['dt_us']:g} µs (`graph.metadata['dt_s']`): run it with "
            "this dt, one step per frame.",
            "A reader must know R and v_reset of NIR's LIF and mean pools. Norse 1.1's `from_nir` takes R = 1 and v_reset "
            "= 0 whatever the file says and has no mean pool (`--merge` leaves R = 1 and no pools); snnTorch 1.0 takes "
            "v_reset = 0 and steps of 100 µs (`--dt-us 100`). Neither is right for reset 'clamp_threshold'.",
        ]
    return notes


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
