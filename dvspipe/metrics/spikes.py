"""Spiking activity of a network, accumulated over batches in constant memory.

One definition, everywhere (MA-SNN, TPAMI 2023, §4):
NSAR[t] = spikes of all layers at step t / (neurons · samples), output neurons included; NASAR = mean of NSAR over T.
Layers are so weighted by their neurons; it is not the mean of layer rates. A layer's spikes are counted after its
neurons and before the next layer's weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dvspipe.errors import ShapeError, UsageError

POOLED = ".pooled"  # so ends the name of what a maximum pool lets through: no neurons, but the next weights see it


class SpikeProbe:
    """Give it to a network as `probe=`: it sees every layer's spikes [T,B,...] of every batch. All clips share one
    T.
    """

    def __init__(self) -> None:
        self._spikes: dict[str, Tensor] = {}  # [T] float64 per layer: exact to 2^53 spikes
        self._neurons: dict[str, int] = {}
        self._samples: dict[str, int] = {}
        self._pixels = self._nonzero = 0

    def __call__(self, name: str, spikes: Tensor) -> None:
        """Count the spikes [T,B,...] of one layer. Raises `ShapeError` when T or the layer's size changes."""
        steps, batch, *shape = spikes.shape
        neurons = 1
        for size in shape:
            neurons *= size
        before = self._spikes.get(name)
        if before is not None and (len(before) != steps or self._neurons[name] != neurons):
            raise ShapeError(
                f"layer '{name}' gave [T,B,...] = {list(spikes.shape)} after T = {len(before)} and "
                f"{self._neurons[name]} neurons: one probe counts clips of one length of one network"
            )
        counted = spikes.detach().sum(tuple(range(1, spikes.ndim)), dtype=torch.float32).double().cpu()
        self._spikes[name] = counted if before is None else before + counted
        self._neurons[name] = neurons
        self._samples[name] = self._samples.get(name, 0) + batch

    def see_input(self, frames: Tensor) -> None:
        """Count the non-zero pixels of input frames of any shape; the energy of the first layer needs their share."""
        self._pixels += frames.numel()
        self._nonzero += int(torch.count_nonzero(frames))

    def result(self) -> dict[str, Any]:
        """`nasar`, `nasar_per_step` (NSAR, list of T), `spikes_per_sample`, `rates` (spikes per neuron and step,
        per layer), `rates_per_step` (the same, list of T per layer), `samples`, `steps`,
        `pooled_rates` (share of non-zero values behind maximum pools) and `input_density` (share of non-zero input
        pixels; None when no input was shown).

        Raises `UsageError` before any spikes were seen.
        """
        samples = max(self._samples.values(), default=0)
        if not samples:
            raise UsageError("no spikes were counted: run the network with probe=... on at least one sample first")
        heard = [name for name in self._spikes if not name.endswith(POOLED)]
        total = torch.stack([self._spikes[name] for name in heard]).sum(0)
        per_step = (total / (sum(self._neurons[name] for name in heard) * samples)).tolist()
        rates = {name: spikes / (self._neurons[name] * samples) for name, spikes in self._spikes.items()}
        return {
            "nasar": sum(per_step) / len(per_step),
            "nasar_per_step": per_step,
            "spikes_per_sample": float(total.sum()) / samples,
            "rates": {name: float(rates[name].mean()) for name in heard},
            "rates_per_step": {name: rates[name].tolist() for name in heard},
            "pooled_rates": {name: float(rate.mean()) for name, rate in rates.items() if name not in heard},
            "samples": samples,
            "steps": len(per_step),
            "input_density": self._nonzero / self._pixels if self._pixels else None,
        }
