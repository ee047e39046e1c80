"""Looking inside a network while it runs live: spike rates per layer and the attention of the present step.

Cheap enough to stay: hooks on the attention's score modules and a probe, those on space only in the bins somebody wants to
see, because the fast kernel makes no such scores. `watching` does the same for one whole clip, in full.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dvspipe.snn.attention.factors import FactorAttention
from dvspipe.snn.attention.gate import gate
from dvspipe.snn.layers.over_time import POOLED

STEPS_SHOWN = 40


class Onlooker:
    """Listens to `network` until `close`; `look` says before a bin whether its rates and space are wanted, and `probe` goes
    into the network's call then.

    `rates`: spikes per neuron of every layer. `time`: weights of the last steps by layer, the present one last. `space`:
    weights [H,W] by layer. `neutral`: the weight of an attention that has nothing to say; None without attention.
    """

    def __init__(self, network: nn.Module) -> None:
        self.rates: dict[str, float] = {}
        self.space: dict[str, NDArray[np.float32]] = {}
        self._time: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=STEPS_SHOWN))
        self._attentions = {
            ".".join(part for part in path.split(".") if part not in ("layers", "spiking", "attention")): module
            for path, module in network.named_modules()
            if isinstance(module, FactorAttention)
        }
        gains = [module.gain for module in self._attentions.values() if module.factors]
        self.neutral = gains[0] / 2 if gains else None
        self._always = list(self._listen("time", self._hear_time))
        self._now: list[Any] = []

    def look(self, wanted: bool) -> None:
        """Before every bin: whether somebody wants to see it."""
        if wanted != bool(self._now):
            _remove(self._now)
            self._now = list(self._listen("space", self._hear_space)) if wanted else []

    def _listen(self, factor: str, hearing: Callable[[str, float], Any]) -> Iterator[Any]:
        for layer, module in self._attentions.items():
            if (score := getattr(module, factor)) is not None:
                yield score.register_forward_hook(hearing(layer, module.gain))

    def _hear_time(self, layer: str, gain: float) -> Any:
        def hear(module: nn.Module, given: Any, score: Any) -> None:
            score = score[0] if isinstance(score, tuple) else score  # causal TA gives its memory too
            self._time[layer].extend(gate(score[:, 0].float(), gain).tolist())

        return hear

    def _hear_space(self, layer: str, gain: float) -> Any:
        def hear(module: nn.Module, given: Any, score: Tensor) -> None:
            weights = gate(score.float(), gain)
            self.space[layer] = weights.reshape(-1, *weights.shape[-2:])[-1].numpy().copy()

        return hear

    def probe(self, name: str, spikes: Tensor) -> None:
        """For the network's `probe`, in bins where somebody looks."""
        if not name.endswith(POOLED):
            self.rates[name] = float(torch.count_nonzero(spikes)) / max(1, spikes.numel())

    @property
    def time(self) -> dict[str, NDArray[np.float32]]:
        """By layer, the weights [n] of the last steps."""
        return {layer: np.array(weights, np.float32) for layer, weights in self._time.items()}

    def reset(self) -> None:
        """Forgets what was seen, when the network starts at rest."""
        self._time.clear()

    def close(self) -> None:
        """Takes the hooks off."""
        _remove(self._always)
        _remove(self._now)


def _remove(hooks: list[Any]) -> None:
    for hook in hooks:
        hook.remove()
    hooks.clear()
