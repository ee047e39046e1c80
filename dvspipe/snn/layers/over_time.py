"""What a layer does alike for a clip [T,B,...] and for one step [B,...]: weights frame by frame, attention, reports.

The number of axes tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from dvspipe.errors import UsageError
from dvspipe.snn.attention.slot import Attention, Memory

Probe = Callable[[str, Tensor], None]
POOLED = "pooled"  # under this name of a layer, the probe hears what a maximum pool lets through of its spikes
IMAGE = 4  # axes of one step of feature maps, [B,C,H,W]


def each_frame(weights: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`weights` over [T,B,C,H,W] as one batch of T·B, so that batch norm shares its statistics over time; or over
    [B,C,H,W]. Where every step is the same frame, `weights` run once, unless they tell the steps apart.
    """
    if isinstance(weights, nn.Identity):
        return x
    if x.ndim == IMAGE:
        return weights(x)
    if repeats(x) and not _stepwise(weights):
        once = weights(x[0])
        return once.expand(len(x), *once.shape)
    return weights(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def repeats(x: Tensor) -> bool:
    """Whether a clip [T,...] is one frame shown T times, as `Tensor.expand` writes it: without a copy."""
    return len(x) > 1 and x.stride(0) == 0


def _stepwise(weights: Callable[[Tensor], Tensor]) -> bool:
    """Whether some norm in it treats every step by itself."""
    modules = weights.modules() if isinstance(weights, nn.Module) else ()
    return any(getattr(module, "stepwise", False) for module in modules)


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


def pass_on(x: Tensor, name: str, probe: Probe | None) -> Tensor:
    """`x` itself; tells the probe, if there is one, where it is not 0, as "name.pooled" ("" is the layer itself)."""
    if probe is not None:
        probe(f"{name}.{POOLED}" if name else POOLED, (x != 0).to(x.dtype))
    return x


def under(probe: Probe | None, name: str) -> Probe | None:
    """The probe of a layer inside `name`: it hears "lif1" and tells "name.lif1"; "" is the layer itself."""
    if probe is None:
        return None
    return lambda inner, spikes: probe(f"{name}.{inner}" if inner else name, spikes)
