"""What a layer does alike for a clip [T,B,...] and for one step [B,...]: weights frame by frame, attention, reports.

The number of axes tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from dvspipe.errors import UsageError
from dvspipe.snn.attention.slot import Attention, Memory

Probe = Callable[[str, Tensor], None]
POOLED = "pooled"  # under this name of a layer, the probe hears what a maximum pool lets through of its spikes
IMAGE = 4  # axes of one step of feature maps, [B,C,H,W]


def each_frame(weights: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`weights` over [T,B,C,H,W] as one batch of T·B, so that batch norm shares its statistics over time; or over
    [B,C,H,W].
    """
    return weights(x) if x.ndim == IMAGE else weights(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def attend(attention: Attention | None, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
    """Attention on a tensor [T,B,C,H,W] or [B,C,H,W] that no neuron integrates.

    A placement that acts on the membrane of every step acts on `x` of every step here.
    """
    if attention is None:
        return x, memory
    weighed, memory = attention.weigh(x[None] if x.ndim == IMAGE else x, memory)
    if attention.on_membrane:
        weighed = each_frame(attention.membrane, weighed)
    return (weighed[0] if x.ndim == IMAGE else weighed), memory


def check_live(attention: Attention | None) -> None:
    """Raises `UsageError` for an attention that cannot run one step at a time."""
    if attention is not None and not attention.live:
        raise UsageError(
            f"attention placement '{attention.placement}' weighs a whole clip at once here and cannot run one "
            "step at a time: call the network on a sliding clip [T,B,C,H,W], or build it with placement 'causal'"
        )


def report(probe: Probe | None, name: str, spikes: Tensor) -> None:
    """Shows spikes to the probe, if there is one."""
    if probe is not None:
        probe(name, spikes)


def under(probe: Probe | None, name: str) -> Probe | None:
    """The probe of a layer inside `name`: it hears "lif1" and tells "name.lif1"; "" is the layer itself."""
    if probe is None:
        return None
    return lambda inner, spikes: probe(f"{name}.{inner}" if inner else name, spikes)
