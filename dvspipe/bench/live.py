"""Table `live`: one bin in, one answer out, batch 1, the full-width three-conv network; a late answer shows in the p99."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dvspipe.bench.gate import Verdict
from dvspipe.bench.inputs import device_of, event_frames, gesture_network, used_to_events
from dvspipe.bench.measuring import MS, said
from dvspipe.bench.peak import peak_mb
from dvspipe.bench.peers.choice import peers
from dvspipe.bench.peers.neurons import TRIANGLE, Neurons, PlainNeurons
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.skeleton import Skeleton
from dvspipe.bench.table import Peer, Row, Table, ratio
from dvspipe.bench.timing import once, waiting
from dvspipe.snn.networks import Network
from dvspipe.snn.sparse_step import SparseStep

BLOCK = 50  # bins of one variant before the next one's turn: a session does not find its weights gone from the cache
FP32_DIFFERS, BF16_RATE = 0.01, 0.1
QUANTILES = {"p50": 50, "p99": 99}

NOTES = (
    "Input: simulated bins of 32x32 with about 2 % active pixels; batch norms know the statistics of such bins, spikes are "
    "as they come. Ours: the compiled step that `dvspipe live` runs; the peers' batch norms are folded.",
    "Equal work: outputs of the whole stream as the network's own, at most 1 % of them another; in bfloat16, whose rounding "
    "moves spikes, the output rate within 10 %.",
    "Each variant steps through blocks of 50 bins in turn. Memory: what one step allocates.",
)

Step = Callable[[Tensor], Tensor]


def run(settings: BenchSettings) -> Table:
    """Without attention, and with causal TCSA; p50 and p99 of each."""
    rows = [row for attention in ("none", "TCSA") for row in _rows(attention, settings)]
    return Table("live", "One bin in, one answer out, batch 1.", rows, [*NOTES, *peers()[1]])


def _rows(attention: str, settings: BenchSettings) -> list[Row]:
    network = gesture_network(60, TRIANGLE, settings, attention, "causal")
    used_to_events(network, event_frames(60, 4, settings.seed + 1).to(device_of(settings)))
    rates: dict[str, float] = {}
    frames = event_frames(_bins(settings), 1, settings.seed).to(device_of(settings))
    with torch.inference_mode():
        expected = network(frames[: 2 * BLOCK], probe=lambda name, fired: rates.update({name: float(fired.mean())}))[0]
    variants = _variants(network, attention)
    first = {name: once(partial(step, frames[0])) for name, step in variants.items()}
    verdicts = {name: _check(make, frames, expected) for name, make in _variants(network, attention).items()}
    taken = _play(variants, frames, settings)
    memory = {name: peak_mb(partial(step, frames[0])) for name, step in variants.items()}
    note = "spikes per neuron and step: " + ", ".join(f"{name} {rate:.3f}" for name, rate in rates.items())
    case = attention if attention == "none" else f"causal {attention}"
    return [
        _row(f"{case}, {called}", quantile, taken, verdicts, memory, first, note)
        for called, quantile in QUANTILES.items()
    ]


def _bins(settings: BenchSettings) -> int:
    return int(settings.extra.get("bins", 400 if settings.quick else 3000))


def _row(
    case: str,
    quantile: int,
    taken: dict[str, NDArray[np.float64]],
    verdicts: dict[str, Verdict],
    memory: dict[str, float],
    first: dict[str, float],
    note: str,
) -> Row:
    figures = {name: float(np.percentile(seconds, quantile)) * MS for name, seconds in taken.items()}
    ours, own = figures["ours"], verdicts["ours"]
    columns = {}
    for name, value in figures.items():
        if name != "ours":
            by = ratio(value, ours, "ms") if own.equal and verdicts[name].equal else None
            columns[name] = Peer(value, by, verdicts[name].words, memory[name], first[name])
    low, high = np.percentile(taken["ours"], (25, 75)) * MS
    return Row(case, ours, "ms", None, columns, memory["ours"], first["ours"], float(high - low), said(own, note).words)


def _variants(network: Network, attention: str) -> dict[str, Step]:
    """Ours, and everyone who can do it: with attention that is our own operators in torch alone."""
    found = {"ours": _Carrying(SparseStep(network)) if _on_cpu(network) else _Carrying(network)}
    if attention != "none":
        return {**found, "plain torch fp32": _Carrying(deepcopy(network).requires_grad_(False), grad=True)}
    plain = partial(PlainNeurons, TRIANGLE, _fires)
    neurons: dict[str, Callable[[], Neurons]] = {"plain torch fp32": plain, "plain torch bf16": plain}
    steppers = {name: peer for name, peer in peers()[0].items() if name != "Norse unbind"}  # one step is one step
    neurons |= {f"{name} fp32": partial(peer.make, TRIANGLE) for name, peer in steppers.items()}
    return {**found, **{name: _Stepping(_skeleton(network, make, name)) for name, make in neurons.items()}}


def _on_cpu(network: nn.Module) -> bool:
    """Whether its weights are in the computer's own memory."""
    return next(network.parameters()).device.type == "cpu"


def _fires(u: Tensor) -> Tensor:
    return (u >= 0).to(u.dtype)


def _skeleton(network: Network, make: Callable[[], Neurons], name: str) -> Skeleton:
    made = Skeleton(network, make, folded=True).to(next(network.parameters()).device).eval()
    return made.to(torch.bfloat16) if name.endswith("bf16") else made


class _Carrying:
    """A network whose state goes in and comes out, as a function of the bin alone. `grad`: without the compiled kernels,
    which run only where no gradient could be wanted.
    """

    def __init__(self, network: Network | SparseStep, grad: bool = False) -> None:
        self.network, self.grad = network, grad
        self.state: Any = None

    def __call__(self, frame: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.grad):
            out, self.state = self.network.step(frame, self.state)
        return out


class _Stepping:
    """A skeleton whose neurons keep their state, as a function of the bin alone."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton, self.dtype = skeleton, next(skeleton.parameters()).dtype

    def __call__(self, frame: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.skeleton.step(frame.to(self.dtype))


def _check(step: Step, frames: Tensor, expected: Tensor) -> Verdict:
    """`step` is at rest."""
    found = torch.stack([step(frame).float().clone() for frame in frames[: len(expected)]])
    if getattr(step, "dtype", torch.float32) == torch.bfloat16:
        rates = float(found.mean()), float(expected.mean())
        equal = abs(rates[0] - rates[1]) <= BF16_RATE * rates[1]
        return Verdict(equal, f"output rate {rates[0]:.3f}, ours {rates[1]:.3f}")
    differing = float((found != expected).float().mean())
    words = f"{differing:.1%} of the outputs differ" if differing else ""
    return Verdict(True, words) if differing <= FP32_DIFFERS else Verdict(False, f"not equal work: {words}")


def _play(variants: dict[str, Step], frames: Tensor, settings: BenchSettings) -> dict[str, NDArray[np.float64]]:
    """Seconds of every step by variant; the first block does not count."""
    wait = waiting()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    blocks = list(frames.split(BLOCK))
    for number, block in enumerate(blocks):
        for name, step in variants.items():
            taken = [once(partial(step, frame), wait) for frame in block]
            seconds[name] += taken if number or len(blocks) == 1 else []
            settings.progress(name, number + 1, len(blocks))
    return {name: np.asarray(each) for name, each in seconds.items()}
