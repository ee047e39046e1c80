"""A neuron's constants as compiled kernels take them: rounded to the membrane's precision. Knows no device."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dvspipe.snn.neurons import Neuron
from dvspipe.snn.surrogates import surrogate_number


def settings_of(neuron: Neuron) -> tuple[list[float], list[bool], int]:
    """A neuron as the operators take it: [keep, gain, bias, v_th, v_reset, the surrogate's scale]; [whether a spike
    subtracts, is strictly above the threshold, has a detached reset]; the surrogate's number.
    """
    values = [neuron.keep, neuron.gain, neuron.bias, neuron.v_th, neuron.v_reset, neuron.surrogate_scale]
    return values, [neuron.reset == "subtract", neuron.strict, neuron.detach_reset], surrogate_number(neuron.surrogate)


def real(dtype: torch.dtype) -> Any:
    """numpy's type of the membrane of a current in `dtype`."""
    return np.float64 if dtype == torch.float64 else np.float32


def rounded(dtype: torch.dtype, values: list[float], flags: list[bool]) -> tuple[Any, ...]:
    """(keep, gain, bias, edge, v_th, slope, offset) from `settings_of`, for a current in `dtype`.

    Fires above `edge`: the threshold itself, or the number just below it where touching is enough. A spike
    turns u into slope·u + offset: 0 and v_reset, or 1 and -v_th.
    """
    keep, gain, bias, v_th, v_reset = (real(dtype)(value) for value in values[:5])
    subtract, strict, _ = flags
    edge = v_th if strict else np.nextafter(v_th, real(dtype)(-math.inf))
    return keep, gain, bias, edge, v_th, real(dtype)(subtract), -v_th if subtract else v_reset


def constants_of(x: Tensor, neuron: Neuron) -> tuple[Any, ...]:
    """`rounded` for a neuron that learns none of them."""
    return rounded(x.dtype, *settings_of(neuron)[:2])
