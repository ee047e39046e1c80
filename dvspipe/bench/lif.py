"""Table `lif`: one layer of neurons over a whole sequence; only memory traffic bounds it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dvspipe.bench.gate import RULE, Verdict, check_neurons
from dvspipe.bench.inputs import currents
from dvspipe.bench.measuring import KEPT, MS, first_calls, measure, row, said
from dvspipe.bench.peers.choice import peers
from dvspipe.bench.peers.neurons import NEURONS, Peer
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Row, Table
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.snn.lif import LIF
from dvspipe.snn.neurons import Neuron

LAYER = (64, 32, 32)  # conv1 of the Gesture network
CHECKED = 1  # samples of the batch that the check of equal work looks at
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Reads and writes that cannot be avoided, in copies of the current.
COPIES = {"forward": 1.0, "forward + backward": 2.5}
DIRECTIONS = (("triangle", "forward"), ("triangle", "forward + backward"), ("rectangle", "forward + backward"))
NOTES = (
    RULE,
    KEPT,
    "Neuron: keep 0.3, threshold 0.3, reset to 0. Surrogates: the triangle that all libraries have, and MA-SNN's rectangle.",
    "Floor: copying the current as often as it must be read and written, 1 forward, 2.5 with the way back.",
)


def run(settings: BenchSettings) -> Table:
    """Forward, and forward + backward, for both surrogates and dtypes."""
    keep_freed_memory()
    available, notes = peers()
    rows = [
        _row(size, dtype, surrogate, direction, available, settings)
        for size in settings.sizes
        for dtype in DTYPES
        for surrogate, direction in DIRECTIONS
    ]
    return Table("lif", "One layer of neurons over a whole sequence.", rows, [*NOTES, *notes])


def _row(
    size: tuple[int, int],
    dtype: str,
    surrogate: str,
    direction: str,
    available: dict[str, Peer],
    settings: BenchSettings,
) -> Row:
    neuron, back = NEURONS[surrogate], direction != "forward"
    layer = (max(1, round(LAYER[0] * settings.width)), *LAYER[1:])
    x = currents((*size, *layer), neuron, settings, DTYPES[dtype])
    ours = LIF(neuron).to(x.device)
    runs: dict[str, Callable[[Tensor], Tensor]] = {"ours": lambda current: ours(current)[0]}
    runs |= {name: peer.make(neuron).to(x.device) for name, peer in available.items()}
    given, target = torch.randn_like(x), torch.empty_like(x)
    cases = {name: _pass(each, x, given if back else None) for name, each in runs.items()}
    first, part = first_calls(cases), x[:, :CHECKED]
    own = check_neurons(runs["ours"], part, neuron)
    verdicts = {
        name: _verdict(runs[name], part, peer, neuron) if own.equal else own for name, peer in available.items()
    }
    measured = measure({**cases, "copy": lambda: target.copy_(x)}, settings, first)
    floor = measured["copy"].timing.median_s * MS * COPIES[direction]
    words = f"{direction}, {surrogate}, {dtype}, T={size[0]} B={size[1]}"
    return row(words, "ours", measured, verdicts, floor, own.words)


def _verdict(neurons: Callable[[Tensor], Tensor], part: Tensor, peer: Peer, neuron: Neuron) -> Verdict:
    return said(check_neurons(neurons, part, peer.reference(neuron)), peer.note)


def _pass(neurons: Callable[[Tensor], Tensor], x: Tensor, given: Tensor | None) -> Callable[[], object]:
    """Forward without gradients, or forward and backward to the current's gradient."""

    def forward() -> Tensor:
        with torch.no_grad():
            return neurons(x)

    def both() -> Tensor | None:
        current = x.detach().requires_grad_()
        neurons(current).backward(given)
        return current.grad

    return forward if given is None else both
