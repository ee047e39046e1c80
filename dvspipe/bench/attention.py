"""Table `attention`: MA-SNN's attention, its ReLU and the neurons as one block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.bench.gate import RULE, Verdict, check_close, check_neurons
from dvspipe.bench.inputs import currents, device_of
from dvspipe.bench.lif import DTYPES
from dvspipe.bench.measuring import EQUAL, KEPT, MS, first_calls, measure, row, said
from dvspipe.bench.peers.choice import library
from dvspipe.bench.peers.neurons import TRIANGLE
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Row, Table
from dvspipe.learn.memory import keep_freed_memory
from dvspipe.snn.attention import build_attention
from dvspipe.snn.layers.spiking import Spiking
from dvspipe.snn.lif import LIF

LAYERS = {"conv1": (64, 32, 32), "conv2": (128, 16, 16)}
COPIES = 5.0  # 3 reads and 1 write forward, as much on the way back with its gradients
NOTES = (
    RULE,
    KEPT,
    "TCSA in placement 'released', forward and backward. Unfused: our own attention in torch, then our neurons. "
    "SpikingJelly: its MultiDimensionalAttention, which is the same mathematics, with our weights, then its LIFNode.",
    "Floor: 5 copies of the current, 3 reads and 1 write each way.",
    "Currents lie channels_last for us, as our convolutions give them, and contiguous for SpikingJelly, as its do.",
)

Block = Callable[[Tensor], Tensor]


def run(settings: BenchSettings) -> Table:
    """The block at the sizes of two layers, in both dtypes."""
    keep_freed_memory()
    rows = [_row(size, layer, dtype, settings) for size in settings.sizes for layer in LAYERS for dtype in DTYPES]
    missing = [] if library("spikingjelly") else ["SpikingJelly is not installed, so its column is missing."]
    return Table("attention", "TCSA attention, ReLU and neurons as one block.", rows, [*NOTES, *missing])


def _row(size: tuple[int, int], layer: str, dtype: str, settings: BenchSettings) -> Row:
    channels = max(8, round(LAYERS[layer][0] * settings.width))
    shape = (*size, channels, *LAYERS[layer][1:])
    contiguous = currents(shape, TRIANGLE, settings, DTYPES[dtype])
    last = contiguous.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, size)
    attention = _attention(size[0], channels, settings)
    spiking = Spiking(LIF(TRIANGLE), attention).to(last.device)
    autocast = torch.autocast(last.device.type, torch.bfloat16, enabled=last.dtype == torch.bfloat16)
    blocks: dict[str, tuple[Block, Tensor, nn.Module]] = {
        "ours": (lambda x: spiking(x, None)[0], last, spiking),
        "unfused": (lambda x: spiking.lif(attention.weigh(x, ())[0])[0], last, spiking),
    }
    theirs = library("spikingjelly")
    if theirs is not None:
        gate, neurons = theirs.attention_like(attention).to(last.device), theirs.SpikingJellyNeurons(TRIANGLE)
        blocks["SpikingJelly"] = (lambda x: neurons(gate(x)), contiguous, gate)
    given, target = torch.randn(shape, device=last.device).to(last.dtype), torch.empty_like(contiguous)
    cases = {name: _both(*block, given, autocast) for name, block in blocks.items()}
    first = first_calls(cases)
    with autocast:
        verdicts = {"unfused": _agree(blocks["ours"][0], blocks["unfused"][0], last[:, :1])}
    if theirs is not None:
        verdicts["SpikingJelly"] = _equal(gate, neurons, attention, contiguous[:, :1])
    measured = measure({**cases, "copy": lambda: target.copy_(contiguous)}, settings, first)
    floor = measured["copy"].timing.median_s * MS * COPIES
    return row(f"{layer} {list(shape[2:])}, {dtype}, T={size[0]} B={size[1]}", "ours", measured, verdicts, floor)


def _attention(steps: int, channels: int, settings: BenchSettings) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        made = build_attention("TCSA", steps=steps, channels=channels, t_ratio=min(5, steps))
    assert made is not None
    return made.to(device_of(settings))


def _both(block: Block, x: Tensor, parameters: nn.Module, given: Tensor, autocast: Any) -> Callable[[], object]:
    def call() -> object:
        parameters.zero_grad(set_to_none=True)
        current = x.detach().requires_grad_()
        with autocast:
            spikes = block(current)
        spikes.backward(given)
        return current.grad

    return call


def _equal(gate: nn.Module, neurons: Any, ours: Any, x: Tensor) -> Verdict:
    """Attention by itself in float32 with its gradients, then the neurons on what attention makes of the current."""
    wide = x.float()
    outs = []
    for attend in (ours, gate):
        current = wide.detach().clone().requires_grad_()
        attended = attend(current)
        attended.sum().backward()
        outs.append((attended.detach(), current.grad))
    for found, expected, what in zip(outs[1], outs[0], ("the attended current", "its gradient")):
        if not (verdict := check_close(found, expected, what, 1e-4)).equal:
            return verdict
    return said(check_neurons(neurons, outs[0][0].to(x.dtype), TRIANGLE), "")


def _agree(one: Block, other: Block, x: Tensor) -> Verdict:
    """Two ways of ours: the same but for spikes that rounding decides."""
    with torch.no_grad():
        differing = float((one(x) != other(x)).float().mean())
    allowed = 1e-3 if x.dtype == torch.float32 else 1e-2
    return EQUAL if differing <= allowed else Verdict(False, f"not equal work: {differing:.2%} of the spikes differ")
