"""What the network tables are fed with: event frames as a camera gives them, made from a seed, and currents."""

from __future__ import annotations

import torch
from torch import Tensor

from dvspipe.bench.settings import BenchSettings
from dvspipe.snn.networks import Network, build_network
from dvspipe.snn.neurons import Neuron

SIZE, CLASSES, ACTIVE = 32, 11, 0.02


def event_frames(steps: int, batch: int, seed: int, active: float = ACTIVE) -> Tensor:
    """[T,B,2,32,32] float32 counts: spots that wander, their edges firing, so that about `active` of the pixels are not 0
    and those lie together, as in a recording of a moving hand; the rest is sparse noise.
    """
    draw = torch.Generator().manual_seed(seed)
    centre = 8 + 16 * torch.rand(batch, 2, generator=draw)
    turn = torch.rand(batch, generator=draw) * 6.28
    time = torch.arange(steps)[:, None] * 0.2 + turn
    x = centre[:, 0] + 6 * torch.cos(time)
    y = centre[:, 1] + 6 * torch.sin(time)
    grid = torch.arange(SIZE, dtype=torch.float32)
    across, down = grid - x[..., None], grid - y[..., None]
    away = (down[..., None].square() + across[..., None, :].square()).sqrt()
    ring = torch.exp(-((away - 3.0) ** 2) / 1.5)[:, :, None].expand(-1, -1, 2, -1, -1)
    rate = ring * (active * SIZE * SIZE / ring[0, 0, 0].sum()) + 0.1 * active
    return torch.poisson(rate, generator=draw)


def labels(batch: int, seed: int) -> Tensor:
    """[B] int64."""
    return torch.randint(CLASSES, (batch,), generator=torch.Generator().manual_seed(seed))


def currents(shape: tuple[int, ...], neuron: Neuron, settings: BenchSettings, dtype: torch.dtype) -> Tensor:
    """[T,B,...] around the threshold, about every fourth neuron firing."""
    draw = torch.Generator().manual_seed(settings.seed)
    return (neuron.v_th * (torch.randn(shape, generator=draw) + 0.3)).to(device_of(settings), dtype)


def gesture_network(
    steps: int, neuron: Neuron, settings: BenchSettings, attention: str = "none", placement: str = "released"
) -> Network:
    """The three-conv Gesture network, its weights drawn from the seed, on the settings' device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = build_network(
            "three-conv",
            classes=CLASSES,
            steps=steps,
            neuron=neuron,
            attention=attention,
            placement=placement,
            t_ratio=min(5, steps),
            width=settings.width,
        )
    return network.to(device_of(settings))


def device_of(settings: BenchSettings) -> torch.device:
    """The settings' device, or a GPU where there is one."""
    return torch.device(settings.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def used_to_events(network: Network, frames: Tensor) -> Network:
    """The network in evaluation mode, its batch norms knowing the statistics of `frames` [T,B,C,H,W]: as after training,
    and unlike at the start, when hardly a neuron fires.
    """
    norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the mean over the calls
    network.train()
    with torch.no_grad():
        for _ in range(3):  # a layer's statistics follow those of the layer before
            for norm in norms:
                norm.reset_running_stats()
            network(frames)
    return network.eval()
