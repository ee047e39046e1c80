"""A step of the three-conv Gesture network, as each library runs it: what the tables of training, memory and inference
have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dvspipe.bench.gate import Verdict, check_close, check_neurons
from dvspipe.bench.inputs import device_of, event_frames, gesture_network, labels, used_to_events
from dvspipe.bench.measuring import EQUAL, said
from dvspipe.bench.peers.choice import library, peers
from dvspipe.bench.peers.neurons import TRIANGLE, Peer
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.skeleton import Attend, Silent, Skeleton
from dvspipe.bench.timing import once, waiting
from dvspipe.learn.losses import mse_rate
from dvspipe.learn.optimisers import make_optimiser
from dvspipe.snn.folding import folded
from dvspipe.snn.lif import LIF
from dvspipe.snn.networks import Network

OURS, FLOOR = "ours", "floor"
FP32, BF16 = "fp32", "bf16"
OTHERWISE = 0.05  # share of outputs that may differ between our network and the skeleton in our layout: it is 0
CHECKED = 2  # samples of the batch that the check of equal work looks at


@dataclass(frozen=True)
class Work:
    """One network on one batch: `frames` [T,B,2,32,32], `label` [B]."""

    network: Network
    frames: Tensor
    label: Tensor
    folded: bool = False

    @property
    def attended(self) -> bool:
        """Whether it has attention."""
        return any(layer.spiking.attention is not None for layer in self.network.layers.values())


class Ours(nn.Module):
    """Our network as the others are called."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        """[T,B,C,H,W] -> [T,B,K]."""
        out: Tensor = self.network(frames)[0]
        return out


def own(work: Work) -> Ours:
    """Our network, a copy because training moves the weights; for evaluation with its norms folded, as evaluation does."""
    return Ours(folded(work.network) if work.folded else deepcopy(work.network))


def make_work(size: tuple[int, int], attention: str, settings: BenchSettings, *, evaluated: bool = False) -> Work:
    """The batch of a grid's (T, B); `evaluated`: in evaluation mode with statistics of such events."""
    network = gesture_network(size[0], TRIANGLE, settings, attention)
    device = device_of(settings)
    frames, label = event_frames(*size, settings.seed).to(device), labels(size[1], settings.seed).to(device)
    if evaluated:
        used_to_events(network, frames)
    return Work(network, frames, label, folded=evaluated)


def variants(work: Work, *, everything: bool = True) -> dict[str, tuple[str, Peer]]:
    """Peers by the column's name with dtype and neurons: all in float32, and in bf16 autocast those that publish it
    (SpikingJelly) or, with `everything`, all but Norse as shipped. With attention, SpikingJelly alone, which has its own.
    """
    available = peers()[0]
    if work.attended:
        available = {name: peer for name, peer in available.items() if name == "SpikingJelly"}
    found = {f"{name} {FP32}": (FP32, peer) for name, peer in available.items()}
    for name, peer in available.items():
        if name == "SpikingJelly" or (everything and name != "Norse"):
            found[f"{name} {BF16}"] = (BF16, peer)
    return found


def attend() -> Attend | None:
    """SpikingJelly's attention in the place of ours."""
    theirs = library("spikingjelly")
    return None if theirs is None else theirs.attention_like


def skeleton(work: Work, peer: Peer, channels_last: bool) -> Skeleton:
    """A peer's network with the work's weights, in the mode (training or not) of the work's own."""
    made = Skeleton(
        work.network,
        lambda: peer.make(TRIANGLE),
        attend() if work.attended else None,
        channels_last=channels_last,
        folded=work.folded,
    )
    return made.to(work.frames.device).train(work.network.training)


def floor(work: Work) -> Skeleton:
    """Convolutions, batch norms, pools and full connections alone, channels_last."""
    made = Skeleton(work.network, Silent, channels_last=True, folded=work.folded)
    return made.to(work.frames.device).train(work.network.training)


def training_step(model: nn.Module, work: Work, dtype: str) -> Callable[[], float]:
    """Forward, loss, backward, Adam."""
    optimiser = make_optimiser("adam", model, 1e-3)

    def call() -> float:
        optimiser.zero_grad(set_to_none=True)
        with _autocast(work, dtype):
            out = model(work.frames)
        loss = mse_rate(out, work.label)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return call


def inference_step(model: nn.Module, work: Work, dtype: str) -> Callable[[], Tensor]:
    """Forward without gradients."""

    def call() -> Tensor:
        with torch.inference_mode(), _autocast(work, dtype):
            out: Tensor = model(work.frames)
            return out

    return call


def _autocast(work: Work, dtype: str) -> Any:
    return torch.autocast(work.frames.device.type, torch.bfloat16, enabled=dtype == BF16)


Step = Callable[[nn.Module, Work, str], Callable[[], object]]


def in_best_layout(work: Work, peer: Peer, dtype: str, step: Step) -> tuple[Callable[[], object], str, float]:
    """A peer's step in the memory format that suits it best, each tried twice: the step, the format, and the seconds that
    its first call took.
    """
    tried = []
    for channels_last in (False, True):
        call = step(skeleton(work, peer, channels_last), work, dtype)
        first = once(call, waiting())
        tried.append((once(call, waiting()), "channels_last" if channels_last else "contiguous", call, first))
    _, layout, call, first = min(tried, key=lambda each: each[0])
    return call, layout, first


def check(work: Work, peer: Peer, dtype: str) -> Verdict:
    """Whether a peer's network does the work of ours: the weights and their order, attention by itself, and in every layer
    its neurons on the currents that come there.
    """
    part = Work(work.network, work.frames[:, :CHECKED], work.label[:CHECKED], work.folded)
    verdict = _check_weights(part) if not work.attended else EQUAL
    if not verdict.equal:
        return verdict
    words = ""
    for current, ours, theirs in _currents(part):
        if ours is not None and not (verdict := check_close(theirs, ours, "the attended current", 1e-4)).equal:
            return verdict
        given = current.to(torch.bfloat16) if dtype == BF16 else current
        verdict = check_neurons(peer.make(TRIANGLE), given, peer.reference(TRIANGLE))
        if not verdict.equal:
            return verdict
        words = words or verdict.words
    return said(Verdict(True, words), peer.note)


class OurNeurons(Silent):
    """The kernel's neurons in the skeleton."""

    def __init__(self) -> None:
        super().__init__()
        self.lif = LIF(TRIANGLE)

    def forward(self, x: Tensor) -> Tensor:
        """[T,B,...] -> spikes."""
        spikes: Tensor = self.lif(x)[0]
        return spikes


@torch.no_grad()
def _check_weights(work: Work) -> Verdict:
    made = Skeleton(work.network, OurNeurons, channels_last=True).to(work.frames.device).train(work.network.training)
    differing = float((made(work.frames) != work.network(work.frames)[0]).float().mean())
    ok = differing <= OTHERWISE
    return EQUAL if ok else Verdict(False, f"not equal work: {differing:.1%} of the outputs differ in float32")


@torch.no_grad()
def _currents(work: Work) -> list[tuple[Tensor, Tensor | None, Tensor | None]]:
    """Layer by layer: the current that the neurons get, and attention's result by ours and by theirs, where it has any."""
    made, found = Skeleton(work.network, OurNeurons).to(work.frames.device).train(work.network.training), []
    x, exchange = work.frames, attend()
    for stage, layer in zip(made.stages, work.network.layers.values()):
        current = stage.weights(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        own, theirs = layer.spiking.attention, None
        if own is not None and exchange is not None:
            theirs, current = exchange(own).to(current.device)(current), own.weigh(current, ())[0]
        found.append((current, None if theirs is None else current, theirs))
        x = stage.neurons(current)
    return found
