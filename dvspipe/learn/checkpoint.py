"""Weights and resume states on disk: no pickle is ever executed, and a file is whole or absent.

Knows nothing about recipes: what describes the network is a string in the metadata.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dvspipe.errors import RunError
from dvspipe.files import replacing


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a file that takes the place of `path` when it is whole and on disk.

    Raises RunError when the disk is full or the folder cannot be written; the file that was there stays.
    """
    with replacing(path, RunError) as beside:
        _fill(beside, write)


def _fill(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write(path)
    except (SafetensorError, RuntimeError) as error:  # how these writers report what the disk refused
        raise OSError(str(error)) from error
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Brings renames in a folder to the disk, where the system can: after a power cut they have happened, too."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def save_weights(path: Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """Parameters and buffers as safetensors, `metadata` beside them."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_whole(path, lambda target: save_file(tensors, target, metadata))


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(state_dict, metadata) of a safetensors file. Raises RunError when it is missing or damaged."""
    if not path.is_file():
        raise RunError(f"{path}: no weights there. Train first, or check the run folder.")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: not a whole safetensors file ({error}). Restore it or train again.") from error


def fit_weights(network: nn.Module, weights: dict[str, Tensor], source: Path) -> None:
    """Loads weights into a network. Raises RunError that lists every tensor that does not fit."""
    wanted = network.state_dict()
    faults = [f"missing {name}" for name in wanted if name not in weights]
    faults += [f"unexpected {name}" for name in weights if name not in wanted]
    faults += [
        f"{name}: file has {list(weights[name].shape)}, network {list(wanted[name].shape)}"
        for name in wanted
        if name in weights and weights[name].shape != wanted[name].shape
    ]
    if faults:
        raise RunError(
            f"{source}: the weights are of another network. {len(faults)} differences: {'; '.join(faults[:8])}"
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:  # constants of another neuron
        raise RunError(f"{source}: the weights are of another network. {error}") from error


def save_state(path: Path, state: dict[str, Any], keep: int = 1) -> None:
    """A resume state (tensors, numbers, strings, lists, dicts) with a digest of itself. The `keep` - 1 that were written
    before stay as NAME-1.ckpt, NAME-2.ckpt, ... At every moment `path` is whole: the new one, or still the last.
    """
    with replacing(path, RunError) as beside:
        _fill(beside, lambda target: torch.save(state | {"digest": digest(state)}, target))
        _make_room(path, keep)
    sync_folder(path.parent)


def load_state(path: Path) -> dict[str, Any]:
    """Reads a resume state without executing anything. Raises RunError, which names those beside it that are whole, when
    it is missing or damaged: cut short, or any bit of it changed. States of before digests were written are read, too.
    """
    try:
        return _read_state(path)
    except RunError as error:
        whole = [f"{each.name} ({where(state)})" for each in _siblings(path) if (state := _whole(each)) is not None]
        todo = (
            f"Whole are: {', '.join(whole)}. To continue from one, move it to {path.name}."
            if whole
            else "Start again without --resume."
        )
        raise RunError(f"{error} {todo}") from error


def where(state: dict[str, Any]) -> str:
    """A resume state's place in the training, for people."""
    step = int(state.get("step", 0))
    return f"epoch {int(state['done']) + 1}, {step} steps in" if step else f"after epoch {int(state['done'])}"


def digest(value: Any) -> str:
    """SHA-256 over every bit of a resume state, whatever file it is in."""
    seen = hashlib.sha256()
    _feed(seen, value)
    return seen.hexdigest()


def _feed(seen: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        seen.update(f"{value.dtype}{list(value.shape)}".encode())
        seen.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, dict):
        seen.update(f"dict {len(value)}".encode())
        for key in sorted(value, key=str):
            _feed(seen, key)
            _feed(seen, value[key])
    elif isinstance(value, list | tuple):
        seen.update(f"list {len(value)}".encode())
        for each in value:
            _feed(seen, each)
    else:
        seen.update(repr(value).encode())


def _read_state(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RunError(f"{path}: nothing to resume from.")
    try:
        state = dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds here: zip, pickle, runtime
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise RunError(f"{path}: the resume state is damaged ({reason}).") from error
    written = state.pop("digest", None)
    if (written is None and "format" in state) or (written is not None and written != digest(state)):
        raise RunError(f"{path}: the resume state is damaged (its contents do not have the digest they were given).")
    return state


def _whole(path: Path) -> dict[str, Any] | None:
    try:
        return _read_state(path)
    except RunError:
        return None


def _siblings(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))


def _older(path: Path, age: int) -> Path:
    return path.with_name(f"{path.stem}-{age}{path.suffix}") if age else path


def _make_room(path: Path, keep: int) -> None:
    """Moves older states one number up. `path` itself gets a second name and stays, until the new one takes its place."""
    for age in range(keep - 2, 0, -1):
        if _older(path, age).exists():
            _older(path, age).replace(_older(path, age + 1))
    if keep > 1 and path.exists():
        with replacing(_older(path, 1), RunError) as beside:
            try:
                os.link(path, beside)
            except OSError:  # a file system without hard links
                shutil.copyfile(path, beside)
