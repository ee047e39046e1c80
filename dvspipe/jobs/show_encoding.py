"""`dvspipe show-encoding IMAGE`: what encoders make of an image over T steps, as one picture and as figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dvspipe.data.images.dataset import fit, to_values
from dvspipe.data.images.decode import GREY, decode
from dvspipe.data.images.looking import unreadable
from dvspipe.encoders.choice import ENCODERS, build_encoder
from dvspipe.encoders.encoder import Encoder
from dvspipe.errors import DatasetError, RunError, UsageError, nearest
from dvspipe.files import replacing
from dvspipe.jobs.looking_at_images import Scale, behind_stem, encode, network_of_images
from dvspipe.jobs.runs import Run, load_run
from dvspipe.recipes import load_card
from dvspipe.show.encoding import Strip, picture
from dvspipe.show.encoding_sheet import Sheet, draw_sheet
from dvspipe.snn.watching import watch

NEEDS_NETWORK = ("direct-lif", "gac")  # their spikes are made behind the network's first weights
STEPS, MOST_STEPS = 4, 64
SIZE, MOST_PIXELS = 32, 512


@dataclass
class _Found:
    """What goes onto the picture, and into the JSON."""

    encoders: list[dict[str, Any]] = field(default_factory=list)
    strips: list[Strip] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def show_encoding(
    image: Path,
    steps: int | None = None,
    encoders: str | None = None,
    run: Path | None = None,
    size: int | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Draws a strip per encoder, T cells each, beside the image.

    T is `steps` (4) or that of `run`; `encoders` names separated by commas, by default all that need no network, and
    that of `run`, with its settings and, for gac and direct-lif, what happens behind its first weights. The longer
    side of the image is shrunk to `size` pixels (32); a run gets its own size. `out` is a PNG, by default the image's stem
    and "-encoding.png", here. Returns `image, steps, encoders, left_out, picture`: encoders that cannot have T
    steps are left out with the reason. Raises UsageError for wrong words, DatasetError for what is no image, RunError.
    """
    target = _target(image, out)
    trained = load_run(run) if run else None
    length, names = _steps(steps, trained), _names(encoders, trained)
    pixels, channels = _read(image, trained)
    seen = _shrunk(pixels, trained, size)
    found = _encode_all(names, length, torch.from_numpy(seen), trained)
    if not found.strips:
        raise UsageError("; ".join(why for _, why in found.left_out))
    sheet = Sheet(
        f"What encoders make of {_short(image.name)}",
        f"T = {length} {'step' if length == 1 else 'steps'}, {'grey' if channels == 1 else 'colour'}"
        + (f", as run {trained.name} sees it" if trained else ""),
        np.ascontiguousarray(picture(pixels / 255.0)),
        picture(seen),
        found.strips,
        [(name, why.removeprefix(f"encoder '{name}' ")) for name, why in found.left_out],
    )
    with replacing(target, RunError) as beside:
        draw_sheet(sheet).save(beside, format="PNG", optimize=True)
    left = [{"name": name, "reason": why} for name, why in found.left_out]
    facts = {"image": str(image), "steps": length, "encoders": found.encoders, "left_out": left}
    return {**facts, "picture": str(target)}


def _encode_all(names: Sequence[str], steps: int, image: torch.Tensor, run: Run | None) -> _Found:
    found = _Found()
    own = network_of_images(run).encoder if run else None
    for name in names:
        if own is not None and run is not None and name == own.name:
            _by_network(found, own, run, image)
            continue
        try:
            _, facts, strip = encode(build_encoder(name, steps), image)
        except UsageError as refusal:
            found.left_out.append((name, str(refusal).partition(". ")[0]))
            continue
        found.encoders.append(facts)
        found.strips.append(strip)
    return found


def _by_network(found: _Found, encoder: Encoder, run: Run, image: torch.Tensor) -> None:
    """The run's own encoder, and what its network does behind the stem."""
    scale = Scale(run)
    code, facts, strip = encode(encoder, scale.apply(image), scale)
    seen = watch(network_of_images(run).network, code)
    behind = behind_stem(run, seen)
    inside = {"spikes_per_step": seen.steps.get("code"), **{f"{key}_per_step": each for key, each in seen.code.items()}}
    told = {key: values.mean((1, 2)).tolist() for key, values in inside.items() if values is not None} if behind else {}
    found.encoders.append(facts | told)
    found.strips.extend(behind or [strip])


def _target(image: Path, out: Path | None) -> Path:
    """Where the picture goes, absolute. Raises UsageError for what is no PNG, or the image itself."""
    target = Path(f"{image.stem}-encoding.png") if out is None else out
    if target.suffix.lower() != ".png":
        raise UsageError(f"--out {target}: the picture is a PNG; give a name that ends in .png")
    if target.exists() and image.exists() and target.samefile(image):
        raise UsageError(f"--out {target}: that is the image itself; give another name")
    return target.absolute()


def _steps(asked: int | None, run: Run | None) -> int:
    if run is None:
        steps = STEPS if asked is None else asked
        if not 1 <= steps <= MOST_STEPS:
            raise UsageError(f"--steps {steps}: allowed is 1 to {MOST_STEPS}")
        return steps
    own = network_of_images(run).steps
    if asked not in (None, own):
        raise UsageError(f"--steps {asked}: {run.path} was trained with T = {own}; leave --steps out")
    return own


def _names(asked: str | None, run: Run | None) -> list[str]:
    """Which encoders, each once. Raises UsageError for unknown ones, and for those that need a network and have none."""
    own = network_of_images(run).encoder.name if run else None
    free = [name for name in ENCODERS if name not in NEEDS_NETWORK]
    if asked is None:
        return free if own is None or own in free else [*free, own]
    names = list(dict.fromkeys(name.strip() for name in asked.split(",") if name.strip()))
    if not names:
        raise UsageError(f"--encoders '{asked}': no name in it. Known are {', '.join(ENCODERS)}")
    for name in names:
        if name not in ENCODERS:
            known = list(ENCODERS)
            raise UsageError(
                f"--encoders: unknown encoder '{name}'{nearest(name, known)}: known are {', '.join(known)}"
            )
        if name in NEEDS_NETWORK and name != own:
            raise UsageError(
                f"--encoders: '{name}' makes its spikes behind a network's first weights: give --run with a run whose "
                f"encoder is {name}" + (f", not {own}" if own else "")
            )
    return names


def _read(path: Path, run: Run | None) -> tuple[NDArray[np.uint8], int]:
    """uint8 [C,H,W] of any image file and C: that of the run, else 1 for grey files. Raises DatasetError."""
    try:
        with Image.open(path) as opened:
            channels = run.channels if run else 1 if opened.mode in GREY else 3
            pixels = decode(opened, channels)
    except FileNotFoundError as error:
        raise DatasetError(
            f"{path}: no such file. Give an image: JPEG, PNG, TIFF, WebP or another that PIL reads."
        ) from error
    except Exception as error:  # a decoder may raise anything on a broken file
        raise DatasetError(f"{path}: {unreadable(error)}") from error
    if min(pixels.shape[1:]) < 2:
        raise DatasetError(
            f"{path}: {pixels.shape[2]}x{pixels.shape[1]} pixels are no picture; at least 2x2 are needed"
        )
    return pixels, channels


def _shrunk(pixels: NDArray[np.uint8], run: Run | None, asked: int | None) -> NDArray[np.float32]:
    """What encoders see, [C,H,W] in 0..1: as a run's data are brought to its size, or the longer side at most `asked`."""
    if run is not None:
        if asked not in (None, max(run.sensor_size)):
            raise UsageError(f"--size {asked}: {run.path} takes {run.sensor_size}; leave --size out")
        card = load_card(run.recipe.dataset)
        size, resize = run.sensor_size, card.images.resize if card.images else None
    else:
        longest = SIZE if asked is None else asked
        if not 2 <= longest <= MOST_PIXELS:
            raise UsageError(f"--size {longest}: allowed is 2 to {MOST_PIXELS} pixels")
        high, wide = pixels.shape[1:]
        scale = min(1.0, longest / max(high, wide))
        size, resize = (max(1, round(wide * scale)), max(1, round(high * scale))), None
    return np.asarray(to_values(fit(torch.from_numpy(pixels), size, resize)).numpy())


def _short(name: str) -> str:
    return name if len(name) <= 48 else f"{name[:30]}…{name[-16:]}"
