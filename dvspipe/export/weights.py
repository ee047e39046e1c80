"""Weights as safetensors with all that describes them as JSON in the metadata: what `load_run` reads on another machine."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from dvspipe.errors import RunError
from dvspipe.learn.checkpoint import load_weights


def write_safetensors(path: Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """Writes `path` and reads it back. Raises RunError where it does not hold what was given."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, str(path), metadata)
    read, told = load_weights(path)
    if (
        told != metadata
        or set(read) != set(tensors)
        or not all(torch.equal(read[name], tensors[name]) for name in read)
    ):
        raise RunError(f"{path}: what was written does not read back the same. Check the disk; nothing is kept.")
