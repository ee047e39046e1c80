"""Reading a split once: answers, spikes, energy and accuracy over observation time of one network.

Accuracy over time shows the network only what had happened by then: bins after the observation time are empty. For a network
that runs bin by bin this is the running read-out; for clip-wise attention it is a run of its own for every time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dvspipe.decision.readout import confidence, cumulative_rate, rate, strict_majority
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.metrics.accuracy import confusion, recall, wilson
from dvspipe.metrics.calibration import calibration
from dvspipe.metrics.decision_time import decision_times
from dvspipe.metrics.energy import PARTS, RULES, energy
from dvspipe.metrics.spikes import SpikeProbe
from dvspipe.snn.counting import count_layers, count_network

OBSERVED_MS = (25, 50, 100, 200, 400, 800, 1500)


@torch.no_grad()
def evaluate_network(
    network: nn.Module,
    loader: DataLoader,
    classes: Sequence[str],
    clips: int,
    bin_us: int,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Everything `dvspipe evaluate` reports except its file.

    `loader` gives (frames [T,B,2,H,W], label [B]) with the `clips` clips of a segment next to each other. A segment of
    several clips is right only if more than half of its clips are (MA-SNN). Confusion and recall count clips.
    """
    keep_freed_memory()
    network.eval()
    start, probe = time.perf_counter(), SpikeProbe()
    truth, scores = [], []
    over_time: dict[float, list[Tensor]] = {}
    for done, (frames, label) in enumerate(loader):
        probe.see_input(frames)
        out, _ = network(frames, probe=probe)
        truth.append(label)
        scores.append(rate(out))
        for observed_ms, answer in _answers_over_time(network, frames, out, bin_us / 1000):
            over_time.setdefault(observed_ms, []).append(answer)
        on_batch(done + 1, len(loader))
    true, score = torch.cat(truth), torch.cat(scores)
    correct = {ms: torch.cat(found) == true for ms, found in over_time.items()}
    return {
        **_scores(true, score.argmax(1), classes, clips),
        **_activity(network, probe),
        "accuracy_over_time": [{"t_ms": ms, "accuracy": _share(right, clips)} for ms, right in correct.items()],
        "decision_time": decision_times(list(correct), torch.stack(list(correct.values())).numpy()),
        "calibration": calibration(confidence(score).tolist(), (score.argmax(1) == true).tolist()),
        "seconds": time.perf_counter() - start,
    }


@torch.no_grad()
def untrained_activity(network: nn.Module, loader: DataLoader) -> float:
    """NASAR of a network as it starts, over a loader's clips. Batch norm uses each batch's own statistics, for it has
    learnt none yet; the network given is left untouched.
    """
    probe, copy = SpikeProbe(), deepcopy(network).train()
    for frames, _ in loader:
        copy(frames, probe=probe)
    return float(probe.result()["nasar"])


def _scores(truth: Tensor, answers: Tensor, classes: Sequence[str], clips: int) -> dict[str, Any]:
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


def _answers_over_time(network: nn.Module, frames: Tensor, out: Tensor, bin_ms: float) -> list[tuple[float, Tensor]]:
    """(observation time in ms, answers [B]) for the times that are whole bins of this clip."""
    steps = len(frames)
    bins = sorted({round(ms / bin_ms) for ms in (*OBSERVED_MS, steps * bin_ms) if bin_ms <= ms <= steps * bin_ms})
    if network.live:
        running = cumulative_rate(out)
        return [(count * bin_ms, running[count - 1].argmax(1)) for count in bins]
    found = []
    for count in bins:
        seen = frames.clone()
        seen[count:] = 0
        found.append((count * bin_ms, rate(network(seen)[0] if count < steps else out).argmax(1)))
    return found


def _activity(network: nn.Module, probe: SpikeProbe) -> dict[str, Any]:
    spikes, counted = probe.result(), count_network(network)
    cost = energy(
        count_layers(network), spikes["rates"] | spikes["pooled_rates"], spikes["input_density"], spikes["steps"]
    )
    parts = {label: cost["breakdown"][name] for name, label in PARTS.items() if name in cost["breakdown"]}
    return {
        "nasar": spikes["nasar"],
        "nasar_per_step": spikes["nasar_per_step"],
        "spikes_per_sample": spikes["spikes_per_sample"],
        "spikes_per_layer": spikes["rates"],
        "spikes_per_layer_and_step": spikes["rates_per_step"],
        "input_density": spikes["input_density"],
        "energy_uj": cost["energy_uj"],
        "energy_ann_uj": cost["energy_ann_uj"],
        "energy": {"parts": parts, "layers": cost["breakdown"]["layers"], "rules": RULES},
        "params": counted["params"],
        "attention_params": counted["attention_params"],
        "neurons": counted["neurons"],
    }
