"""How much of an image a spike code keeps: mean |x - x̂|, x̂ decoded from the code, to rank codes without training.

x̂ is the middle of all values that share a code (for the uniform threshold code 1 - (k - 0.5)/T of a spike in step k), which
no other decoding beats in the worst case. Worst case |x - x̂| at T steps, for pixels x in [0,1]:

    direct, hybrid, single-spike        0, by their analog step
    threshold, integrate, burst         1 / 2T            (burst with N spikes: 1 / 2N)
    latency                             1 / 2(T-1)
    latency-log                         (1 - e^-1/2) / 2 as T grows, for the brightest; fine for the darkest
    threshold-equal                     to the far end of an outer step: 0.34, 0.24, 0.18 at T = 2, 4, 8, on
                                        sigmoid(layer norm(x)) instead of x
    rank                                1 / 2(2^T - 1)
    phase                               1 / 2^(T+1)
    poisson                             none; its mean square is x(1-x)/T

Takes images and decoded images; knows no encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvspipe.errors import ShapeError


def reconstruction_error(images: Any, decoded: Any) -> dict[str, float]:
    """`mean` and `max` of |x - x̂| over all pixels. Tensors (of any device) or arrays of one shape, else `ShapeError`."""
    x, again = _array(images), _array(decoded)
    if x.shape != again.shape or not x.size:
        raise ShapeError(
            f"images {list(x.shape)} and decoded images {list(again.shape)} must have one shape, without an empty axis"
        )
    gap = np.abs(x - again)
    return {"mean": float(gap.mean()), "max": float(gap.max())}


def errors_by_steps(images: Any, decoded: Mapping[int, Any]) -> list[dict[str, float]]:
    """One row `steps, mean, max` for every T of `decoded` (T -> decoded images), ascending."""
    return [{"steps": steps, **reconstruction_error(images, decoded[steps])} for steps in sorted(decoded)]


def _array(values: Any) -> NDArray[np.float64]:
    """Numpy has no bfloat16 and sees no other device's memory: a tensor converts itself."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, np.float64)
