"""Which peers are here. A library that is not installed is left out, and a note says how to get it."""

from __future__ import annotations

import warnings
from importlib import import_module
from types import ModuleType

from dvspipe.bench.peers.neurons import Peer

LIBRARIES = {"norse": "Norse", "spikingjelly": "SpikingJelly", "snntorch": "snnTorch"}


def library(name: str) -> ModuleType | None:
    """The module here that wraps a library, None where that is not installed. Its warnings are not ours to raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_module(f"dvspipe.bench.peers.{name}")
        except ImportError:
            return None


def peers() -> tuple[dict[str, Peer], list[str]]:
    """(every peer by the name its column has, a note for each library that is missing)."""
    found: dict[str, Peer] = {}
    notes = []
    for name, called in LIBRARIES.items():
        wrapped = library(name)
        if wrapped is None:
            notes.append(f"{called} is not installed, so its column is missing: pip install 'dvspipe[bench]'")
        else:
            found |= wrapped.PEERS
    return found, notes
