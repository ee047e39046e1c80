"""Weights and resume states on disk: no pickle is ever executed, and a file is whole or absent.

Knows nothing about recipes: what describes the network is a string in the metadata.
"""

from __future__ import annotations

import os
from collections.abc import Callable
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
        try:
            write(beside)
        except (SafetensorError, RuntimeError) as error:  # how these writers report what the disk refused
            raise OSError(str(error)) from error
        with beside.open("rb+") as file:
            os.fsync(file.fileno())


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


def save_state(path: Path, state: dict[str, Any]) -> None:
    """A resume state (tensors, numbers, strings, lists, dicts)."""
    write_whole(path, lambda target: torch.save(state, target))


def load_state(path: Path) -> dict[str, Any]:
    """Reads a resume state without executing anything. Raises RunError when it is missing or damaged."""
    if not path.is_file():
        raise RunError(f"{path}: nothing to resume from. Start without --resume.")
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds here: zip, pickle, runtime
        raise RunError(f"{path}: the resume state is damaged ({error}). Start again without --resume.") from error
