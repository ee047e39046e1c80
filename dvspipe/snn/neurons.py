"""The spiking neuron: Norse's `LIFBox` dynamics under one preset per published system.

    u[t] = keep · v[t-1] + gain · x[t] + bias          integrate (in Norse: v + dt·tau_mem_inv·(x' + v_leak - v))
    s[t] = 1 where u[t] >= v_th (> when strict)        fire
    v[t] = 0, v_th or u[t] - v_th where s[t], else u[t]  reset

The stored state is Norse's `v`: after the reset, before the next leak. Knows nothing of layers or of how a whole
sequence is run fast (`kernels/`).
"""

from __future__ import annotations

import math
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

with warnings.catch_warnings():  # Norse 1.1 still scripts some of its functions, which torch calls deprecated
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step
    from norse.torch.functional.reset import reset_subtract, reset_value

from dvspipe.errors import UsageError, nearest
from dvspipe.snn.surrogates import fire, surrogate_number

RESETS = ("zero", "clamp_threshold", "subtract")
ADAPTS = ("none", "shared", "steps")
CONSTRAINTS = ("none", "sigmoid")


@dataclass(frozen=True)
class Neuron:
    """Constants of one kind of neuron; plain values, so it compares, pickles and prints.

    `reset` after a spike: "zero" (MA-SNN's paper), "clamp_threshold" (its released code) or "subtract".
    `surrogate_scale` is the half width of rectangle and triangle, the slope of the others. With `learn_leak` a layer
    learns the share 1 - keep that leaks away per step, and `keep` is where it starts (Fang et al., ICCV 2021).

    `adapt` learns `keep` and `gain`, each by itself: "steps" one pair per time step (ASNN, arXiv 2408.12407; code
    hhx0320/ASNN), "shared" one pair for all steps, its control; `learn_leak` then adds nothing. Both start at the
    constants here. `constrain` "sigmoid" holds keep in (0, 1) and gain between 0 and twice its start. "none" is the
    released code: a keep that training drives above 1 makes the membrane grow without bound, a negative gain turns the
    current's sign.
    Raises `UsageError` for a value outside its range.
    """

    keep: float
    gain: float
    v_th: float
    reset: str
    strict: bool
    detach_reset: bool
    surrogate: str
    surrogate_scale: float
    bias: float = 0.0
    learn_leak: bool = False
    adapt: str = "none"
    constrain: str = "sigmoid"

    def __post_init__(self) -> None:
        surrogate_number(self.surrogate)
        _check_word("reset", self.reset, RESETS)
        _check_word("adapt", self.adapt, ADAPTS)
        _check_word("constrain", self.constrain, CONSTRAINTS)
        if not 0.0 <= self.keep < 1.0:
            raise UsageError(f"keep = {self.keep}: the share of the membrane kept per step must be in [0, 1)")
        if self.learn_leak and self.keep == 0.0:
            raise UsageError("keep = 0.0 with learn_leak: a sigmoid never gets there; start from a keep in (0, 1)")
        if not self.surrogate_scale > 0.0:
            raise UsageError(f"surrogate_scale = {self.surrogate_scale}: must be above 0")
        if not all(map(math.isfinite, (self.gain, self.bias, self.v_th, self.surrogate_scale))):
            raise UsageError(f"neuron constants must be finite, got {self}")
        if self.adapt != "none" and self.constrain == "sigmoid" and 0.0 in (self.keep, self.gain):
            raise UsageError(
                f"keep = {self.keep}, gain = {self.gain} with adapt = '{self.adapt}': a sigmoid never gets to 0; start "
                "both elsewhere, or set constrain = 'none'"
            )

    @property
    def v_reset(self) -> float:
        """Value of `v` after a spike (unused by `subtract`)."""
        return self.v_th if self.reset == "clamp_threshold" else 0.0

    @property
    def decays_input(self) -> bool:
        """Whether the current is scaled by the share that leaks away, as in Norse, PLIF and SpikingJelly's
        `decay_input`: a learned leak then takes `gain` along; otherwise `gain` stays (MA-SNN).
        """
        return math.isclose(self.gain, 1.0 - self.keep)


def _check_word(setting: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise UsageError(f"unknown {setting} '{word}'{nearest(word, list(known))}: known are {', '.join(known)}")


_E_TENTH = math.exp(-0.1)
_MA_SNN = Neuron(0.3, 1.0, 0.3, "clamp_threshold", False, False, "rectangle", 0.25)
_SPIKINGJELLY = Neuron(0.5, 0.5, 1.0, "zero", False, True, "atan", 2.0)

PRESETS: dict[str, Neuron] = {
    "ma-snn": _MA_SNN,  # BICLab/Attention-SNN, MA_SNN/module/LIF.py (Gesture and Gait settings)
    "ma-snn-paper": replace(_MA_SNN, reset="zero"),  # TPAMI 2023, eq. 3-5
    "ms-resnet": Neuron(0.25, 1.0, 0.5, "zero", True, True, "rectangle", 0.5),  # Att-Res-SNN, GAC on ImageNet
    "gac": Neuron(0.5, 1.0, 1.0, "zero", True, False, "triangle", 1.0),  # bollossom/GAC on CIFAR; TET
    "stbp": Neuron(0.25, 1.0, 0.5, "zero", True, False, "rectangle", 0.5),  # STBP-tdBN, thiswinex/STBP-simple
    "spikingjelly": _SPIKINGJELLY,  # LIFNode, tau 2
    "plif": replace(_SPIKINGJELLY, learn_leak=True),  # Fang et al., ICCV 2021: 1 - keep = sigmoid(w), tau 2 at first
    "asnn": Neuron(0.5, 0.5, 1.0, "subtract", True, False, "sigmoid", 4.0),  # hhx0320/ASNN; the method: adapt="steps"
    "dsr": Neuron(_E_TENTH, 1.0 - _E_TENTH, 0.6, "subtract", False, False, "rectangle", 0.3),  # DSR, tau 1, dt 0.1
    "norse": Neuron(0.9, 0.1, 1.0, "zero", True, False, "superspike", 1.0),  # LIFBoxCell() of Norse 1.1
}


def make_neuron(preset: str | Neuron = "ma-snn", **changes: Any) -> Neuron:
    """A preset with some constants changed. Raises `UsageError` for an unknown preset, constant or value."""
    if isinstance(preset, str) and preset not in PRESETS:
        raise UsageError(f"unknown neuron '{preset}'{nearest(preset, list(PRESETS))}: known are {', '.join(PRESETS)}")
    known = list(Neuron.__dataclass_fields__)
    for name in changes:
        if name not in known:
            raise UsageError(f"unknown neuron constant '{name}'{nearest(name, known)}: known are {', '.join(known)}")
    return replace(PRESETS[preset] if isinstance(preset, str) else preset, **changes)


def _detached(reset: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The reset without a gradient through the spike that caused it (MS-ResNet, SpikingJelly)."""
    return lambda z, v, v_reset, v_th: reset(z.detach(), v, v_reset, v_th)


@cache
def _norse_step(neuron: Neuron) -> tuple[Callable[..., Any], LIFBoxParameters]:
    """Norse's step and its parameters for our constants.

    Norse chooses its threshold by a closed list of names, none of them a rectangle, all of them strict. So this is
    Norse's own function with one global name, `threshold`, bound to ours; the integration and the order of
    operations stay Norse's.
    """

    def threshold(v: Tensor, method: str, alpha: Tensor) -> Tensor:
        return fire(v, neuron.surrogate, neuron.surrogate_scale, neuron.strict)

    norse = lif_box_feed_forward_step
    step = types.FunctionType(norse.__code__, {**norse.__globals__, "threshold": threshold}, norse.__name__)
    reset = reset_subtract if neuron.reset == "subtract" else reset_value
    parameters = LIFBoxParameters(
        tau_mem_inv=1.0 - neuron.keep,  # with dt = 1: the step is the unit of time here
        v_leak=neuron.bias / (1.0 - neuron.keep),
        v_th=neuron.v_th,
        v_reset=neuron.v_reset,
        reset_method=_detached(reset) if neuron.detach_reset else reset,
    )
    return step, parameters


def _leaking(x: Tensor, v: Tensor, neuron: Neuron, leak: Tensor | None) -> tuple[Tensor, LIFBoxParameters]:
    """Norse's input, which it scales by the leak, and its parameters; `leak` [] replaces the constant 1 - keep."""
    _, parameters = _norse_step(neuron)
    if leak is None:
        return x.to(v.dtype) * (neuron.gain / (1.0 - neuron.keep)), parameters
    scaled = x.to(v.dtype) if neuron.decays_input else x.to(v.dtype) * (neuron.gain / leak)
    return scaled, parameters._replace(tau_mem_inv=leak, v_leak=neuron.bias / leak)


def norse_step(x: Tensor, v: Tensor, neuron: Neuron, leak: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """One step by Norse: current `x` [B,...] and stored potential `v` [B,...] -> (spikes, new v).

    The membrane is held in `v`'s dtype (float32 or float64) even when `x` is half precision; spikes come in `x`'s
    dtype. `leak` [] in the membrane's dtype is a learned 1 - keep.
    """
    scaled, parameters = _leaking(x, v, neuron, leak)
    spikes, state = _norse_step(neuron)[0](scaled, LIFBoxFeedForwardState(v), parameters, dt=1.0)
    return spikes.to(x.dtype), state.v


def integrate(x: Tensor, v: Tensor, neuron: Neuron, leak: Tensor | None = None) -> Tensor:
    """The first part of `norse_step`, for attention that acts between the parts: `x` and `v` [B,...] -> potential u.

    Norse's step is one piece. These two parts repeat its expressions in its order, so that one after the other they
    give its very bits (a test holds them to it).
    """
    scaled, p = _leaking(x, v, neuron, leak)
    u: Tensor = v + p.tau_mem_inv * (scaled + p.v_leak - v)
    return u


def adapted_rates(leak: Tensor, gain: Tensor, neuron: Neuron) -> tuple[Tensor, Tensor]:
    """(keep, gain) of a neuron that adapts, from its two learned departures [T] from the constants it starts at."""
    if neuron.constrain == "none":
        return neuron.keep + leak, neuron.gain + gain
    return (math.log(neuron.keep / (1.0 - neuron.keep)) + leak).sigmoid(), 2.0 * neuron.gain * gain.sigmoid()


def integrate_adapted(x: Tensor, v: Tensor, keep: Tensor, gain: Tensor, bias: float) -> Tensor:
    """Potential u = keep·v + gain·x + bias for learned `keep` [] and `gain` [] of one step; `x` and `v` [B,...].

    Not Norse's expression, which divides by a leak that is free to become 0 here.
    """
    return keep * v + gain * x.to(v.dtype) + bias


def fire_and_reset(u: Tensor, neuron: Neuron) -> tuple[Tensor, Tensor]:
    """The second part: potential `u` [B,...] -> (spikes, stored potential v), both in `u`'s dtype."""
    _, p = _norse_step(neuron)
    spikes = fire(u - p.v_th, neuron.surrogate, neuron.surrogate_scale, neuron.strict)
    return spikes, p.reset_method(spikes, u, p.v_reset, p.v_th)


def membrane_dtype(x: Tensor) -> torch.dtype:
    """The membrane is float32, whatever the current's precision, and float64 only for float64."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32
