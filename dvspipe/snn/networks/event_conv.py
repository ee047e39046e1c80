"""Networks of spiking convolutions on event frames, built from a table. Which tables there are is not known here."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from dvspipe.errors import UsageError
from dvspipe.snn.kit import Kit
from dvspipe.snn.layers.head import AnnHead, check_head
from dvspipe.snn.layers.spiking import ConvLayer, FullLayer
from dvspipe.snn.layers.time_stack import stack_of
from dvspipe.snn.networks.network import Layer, Network, check_positive


@dataclass(frozen=True)
class Table:
    """Per convolution its `channels` and the window of its pooling, 1 for none; `size` is the published frame's (H,W).

    Pooling is the mean of currents or, with `max_pool`, the maximum of spikes. `hidden` is the width of the hidden full
    layer (None: a quarter of its input). `bare`: no biases, and no batch norm in the full layers; `dropout` of
    their inputs; `votes` output neurons for every class.
    """

    channels: tuple[int, ...]
    pools: tuple[int, ...]
    size: tuple[int, int]
    hidden: int | None = None
    max_pool: bool = False
    bare: bool = False
    dropout: float = 0.0
    votes: int = 1


class EventConvNet(Network):
    """The layers of `table`: conv1, conv2, ..., then fc1 and out, all spiking; or the kit's `head` "ann" in place of the last
    two, and its `stem` "conv3d" before the first.

    `kit` has T of a clip (part of temporal attention's parameters), neuron and attention; `size` (H,W) of a frame (None:
    the published one), `width` scales channels and hidden layer. Raises `UsageError` for settings that do not fit.
    """

    table: ClassVar[Table]
    FOR_EVENTS = True

    def __init__(
        self,
        kit: Kit,
        *,
        classes: int,
        size: tuple[int, int] | None = None,
        in_channels: int = 2,
        width: float = 1.0,
    ) -> None:
        here = self._checked(size)
        check_positive(classes=classes, in_channels=in_channels, width=width)
        check_head(kit.head)
        stack = stack_of(kit.stem, kit.stem_bins)
        stem: dict[str, Layer] = {} if stack is None else {"stem": stack}
        convolutions = self._convolutions(in_channels * (1 if stack is None else stack.bins), here, width, kit)
        last = list(convolutions.values())[-1]
        features = last.conv.out_channels * prod(last.out_size)
        full = (
            self._full(features, classes, width, kit)
            if kit.head == "spiking"
            else self._head(features, classes, width, kit)
        )
        super().__init__({**stem, **convolutions, **full}, (in_channels, *here))

    def _checked(self, size: tuple[int, int] | None) -> tuple[int, int]:
        height, width = (int(side) for side in size or self.table.size)
        least = prod(self.table.pools)
        if min(height, width) < least:
            raise UsageError(
                f"size (H,W) = {(height, width)}: pooling by {'·'.join(str(pool) for pool in self.table.pools)} "
                f"needs at least {least}x{least} pixels"
            )
        return height, width

    def _convolutions(self, in_channels: int, here: tuple[int, int], width: float, kit: Kit) -> dict[str, ConvLayer]:
        table, layers = self.table, {}
        for number, (count, window) in enumerate(zip(table.channels, table.pools), start=1):
            channels = max(1, round(count * width))
            pool, max_pool = (1, window) if table.max_pool else (window, 1)
            layers[f"conv{number}"] = conv = ConvLayer(
                (in_channels, channels), here, pool, kit, max_pool=max_pool, bias=not table.bare
            )
            here, in_channels = conv.out_size, channels
        return layers

    def _hidden(self, features: int, width: float) -> int:
        return max(1, features // 4 if self.table.hidden is None else round(self.table.hidden * width))

    def _head(self, features: int, classes: int, width: float, kit: Kit) -> dict[str, AnnHead]:
        """In place of the full layers, as wide as they are."""
        return {"head": AnnHead((features,), self._hidden(features, width), classes, kit.steps, kit.window)}

    def _full(self, features: int, classes: int, width: float, kit: Kit) -> dict[str, FullLayer]:
        table, layers, hidden = self.table, {}, self._hidden(features, width)
        for name, outputs, votes in (("fc1", hidden, 1), ("out", classes * table.votes, table.votes)):
            layers[name] = FullLayer((features, outputs), kit, bare=table.bare, dropout=table.dropout, votes=votes)
            features = outputs
        return layers
