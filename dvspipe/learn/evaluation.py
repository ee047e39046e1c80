"""Reading a split once: answers, spikes, energy and accuracy over observation time of one network.

Accuracy over time shows the network only what had happened by then: bins after the observation time are empty. For a network
that runs bin by bin this is the running read-out; for clip-wise attention it is a run of its own for every time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dvspipe.decision.readout import READOUTS, confidence, strict_majority
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.metrics.accuracy import confusion, recall, wilson
from dvspipe.metrics.calibration import calibration
from dvspipe.metrics.decision_time import decision_times
from dvspipe.metrics.energy import COUNTINGS, PARTS, RULES, Code, energy
from dvspipe.metrics.spikes import SpikeProbe
from dvspipe.snn.counting import LayerCount, count_layers, count_network
from dvspipe.snn.folding import folded
from dvspipe.snn.layers.head import AnnHead

UNTRAINED_BATCHES = 64
OBSERVED_MS = (25, 50, 100, 200, 400, 800, 1500)


@torch.no_grad()
def evaluate_network(
    network: nn.Module,
    loader: DataLoader,
    classes: Sequence[str],
    clips: int,
    bin_us: int,
    readout: str = "mean",
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Everything `dvspipe evaluate` reports except its file.

    `loader` gives (frames [T,B,2,H,W], label [B]) with the `clips` clips of a segment next to each other. A segment of
    several clips is right only if more than half of its clips are (MA-SNN). Confusion and recall count clips.
    """
    keep_freed_memory()
    # Norms and mean pools are folded into the weights: 1.7 (TCSA, released) to 2.8 times (no attention) quicker on one core,
    # and the same but for a membrane that comes within rounding of the threshold.
    quick = folded(network.eval(), pools=True)
    start, probe, read = time.perf_counter(), SpikeProbe(), READOUTS[readout]
    truth, scores = [], []
    over_time: dict[float, list[Tensor]] = {}
    for done, (frames, label) in enumerate(loader):
        probe.see_input(frames)
        out, _ = quick(frames, probe=probe)
        truth.append(label)
        scores.append(read(out))
        for observed_ms, answer in _answers_over_time(quick, frames, out, bin_us / 1000, read):
            over_time.setdefault(observed_ms, []).append(answer)
        on_batch(done + 1, len(loader))
    true, score = torch.cat(truth), torch.cat(scores)
    correct = {ms: torch.cat(found) == true for ms, found in over_time.items()}
    return {
        **figures(true, score.argmax(1), classes, clips),
        **activity(network, probe.result()),
        "accuracy_over_time": [{"t_ms": ms, "accuracy": _share(right, clips)} for ms, right in correct.items()],
        "decision_time": decision_times(list(correct), torch.stack(list(correct.values())).numpy()),
        "calibration": calibration(
            confidence(score, network.spiking_out).tolist(),
            (score.argmax(1) == true).tolist(),
            spikes=network.spiking_out,
        ),
        "seconds": time.perf_counter() - start,
    }


@torch.no_grad()
def untrained_activity(network: nn.Module, loader: DataLoader) -> float:
    """NASAR of a network as it starts, over a loader's first 64 batches. Batch norm uses each batch's own statistics, for
    it has learnt none yet; the network given is left untouched.
    """
    probe, copy = SpikeProbe(), deepcopy(network).train()
    for frames, _ in islice(loader, UNTRAINED_BATCHES):
        copy(frames, probe=probe)
    return float(probe.result()["nasar"])


def figures(truth: Tensor, answers: Tensor, classes: Sequence[str], clips: int) -> dict[str, Any]:
    """Accuracy with its interval, recall per class, confusion; `clips` samples in a row are one segment."""
    table = confusion(truth.tolist(), answers.tolist(), len(classes))
    accuracy, segments = _share(answers == truth, clips), len(truth) // clips
    return {
        "accuracy": accuracy,
        "interval": list(wilson(round(accuracy * segments), segments)),
        "per_class": dict(zip(classes, recall(table))),
        "confusion": table.tolist(),
        "samples": segments,
        "clips": clips,
    }


def _share(correct: Tensor, clips: int) -> float:
    return float(strict_majority(correct.view(-1, clips)).double().mean())


def _answers_over_time(
    network: nn.Module, frames: Tensor, out: Tensor, bin_ms: float, read: Callable[[Tensor], Tensor]
) -> list[tuple[float, Tensor]]:
    """(observation time in ms, answers [B]) for the times that are whole bins of this clip."""
    steps = len(frames)
    bins = sorted({round(ms / bin_ms) for ms in (*OBSERVED_MS, steps * bin_ms) if bin_ms <= ms <= steps * bin_ms})
    if network.live:
        return [(count * bin_ms, read(out[:count]).argmax(1)) for count in bins]
    found = []
    for count in bins:
        seen = frames.clone()
        seen[count:] = 0
        found.append((count * bin_ms, read(network(seen)[0] if count < steps else out).argmax(1)))
    return found


def activity(network: nn.Module, spikes: dict[str, Any], code: Code | None = None) -> dict[str, Any]:
    """What a `SpikeProbe` counted, the energy it amounts to, and the network's own counts; `code` is that of images."""
    layers, counted = count_layers(network), count_network(network)
    rates, entry = spikes["rates"] | spikes["pooled_rates"], spikes["input_density"] if code is None else code
    cost = energy(layers, rates, entry, spikes["steps"])
    parts = {label: cost["breakdown"][name] for name, label in PARTS.items() if name in cost["breakdown"]}
    told: dict[str, Any] = {"parts": parts, "layers": cost["breakdown"]["layers"], "rules": RULES}
    if (bits := _interface_bits(network, layers, rates, spikes["steps"])) is not None:
        told["interface_bits"] = bits
    if code is not None:
        told["countings"] = {
            each: energy(layers, rates, code, spikes["steps"], each)["energy_uj"] for each in COUNTINGS
        }
    return {
        "nasar": spikes["nasar"],
        "nasar_per_step": spikes["nasar_per_step"],
        "spikes_per_sample": spikes["spikes_per_sample"],
        "spikes_per_layer": spikes["rates"],
        "spikes_per_layer_and_step": spikes["rates_per_step"],
        "input_density": spikes["input_density"],
        "energy_uj": cost["energy_uj"],
        "energy_ann_uj": cost["energy_ann_uj"],
        "energy": told,
        "params": counted["params"],
        "attention_params": counted["attention_params"],
        "neurons": counted["neurons"],
    }


def _interface_bits(
    network: nn.Module, layers: Sequence[LayerCount], rates: Mapping[str, float], steps: int
) -> dict[str, float] | None:
    """What a hybrid network's backbone sends to its head per clip: `dense`, a bit for every neuron and step, and `events`, an
    address for every spike. None where there is no such head.
    """
    source = next((layer.source for layer in layers if layer.runs is not None), None)
    values = next((each.hidden.in_features for each in network.layers.values() if isinstance(each, AnnHead)), 0)
    if source is None:
        return None
    return {"dense": values * steps, "events": rates[source] * values * steps * math.ceil(math.log2(values))}
