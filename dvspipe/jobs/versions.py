"""Versions of what computes here, for a run's record, and where those of a record differ."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from dvspipe import __version__

# Distributions whose version can change a figure: arithmetic, neurons, loaders, decoders, the training engine.
PACKAGES = (
    "torch",
    "norse",
    "numpy",
    "numba",
    "tonic",
    "torchvision",
    "h5py",
    "opencv-python",
    "pillow",
    "lightning-fabric",
    "safetensors",
)


def versions() -> dict[str, str]:
    """dvspipe's, Python's and those of `PACKAGES` that are installed."""
    found = {"dvspipe": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def version_differences(then: Mapping[str, str]) -> list[str]:
    """One line for every package of a record that is of another version here, or missing."""
    here = versions()
    return [
        f"{name}: the run was trained with {number}, here is {here.get(name, 'none')}"
        for name, number in then.items()
        if here.get(name) != number
    ]
