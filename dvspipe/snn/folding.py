"""A trained network with its batch norms, and where wanted its mean pools, folded into the weights before them.

    norm(W·x + b) = (s·W)·x + (beta + s·(b - mean)),  s = weight / sqrt(variance + eps)
    mean over p x p of a 3x3 convolution = one convolution of (p + 2) x (p + 2) with stride p

Exact up to rounding (sums run in another order), so a membrane within rounding of the threshold may fall on its other
side. For inference alone: what is folded cannot learn, and counts of multiply-accumulates are those of other weights, so
count on the network itself. Norms that tell steps apart (`tebn`, `per-step`) and norms with attention before them stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from dvspipe.snn.layers.attended import AttendedConv
from dvspipe.snn.layers.norms import ThresholdNorm
from dvspipe.snn.layers.spiking import ConvLayer, FullLayer

Weights: TypeAlias = nn.Conv2d | nn.Linear
Norm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d


@torch.no_grad()
def folded(network: nn.Module, pools: bool = False) -> Any:
    """A copy of `network` in evaluation mode whose norms are part of the weights before them, wherever they can be; with
    `pools` the mean pools of convolution layers too. Same inputs, outputs and state as `network`; hooks are copied along.
    """
    copy = deepcopy(network).eval().requires_grad_(False)
    for owner, weights, norm in _norms_behind_weights(copy):
        _fold(getattr(owner, weights), getattr(owner, norm))
        setattr(owner, norm, nn.Identity())
    for layer in copy.modules() if pools else ():
        if isinstance(layer, ConvLayer) and isinstance(layer.norm, nn.Identity):
            _fold_pool(layer)
    return copy


def normed(weights: Weights, norm: Norm) -> tuple[Tensor, Tensor]:
    """(weight [O,...], bias [O]) in float64 of the one map that is `norm`, with its running statistics, of `weights`."""
    assert norm.running_mean is not None and norm.running_var is not None  # what is `foldable` has them
    none, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    factor = norm.factor if isinstance(norm, ThresholdNorm) else 1.0
    scale = factor * _double(norm.weight, one) / (norm.running_var.double() + norm.eps).sqrt()
    bias = _double(norm.bias, none) + scale * (_double(weights.bias, none) - norm.running_mean.double())
    return weights.weight.detach().double() * scale.view(-1, *[1] * (weights.weight.ndim - 1)), bias


def foldable(norm: nn.Module) -> bool:
    """Whether it is a batch norm that uses running statistics, not those of the batch it sees."""
    return isinstance(norm, Norm) and norm.running_mean is not None


def _double(values: Tensor | None, missing: Tensor) -> Tensor:
    return missing if values is None else values.detach().double()


def _fold(weights: Weights, norm: Norm) -> None:
    dtype = weights.weight.dtype
    weight, bias = (nn.Parameter(each.to(dtype), requires_grad=False) for each in normed(weights, norm))
    weights.weight, weights.bias = weight, bias


def _norms_behind_weights(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """(module, name of its weights, name of their norm) where nothing stands between the two."""
    for module in network.modules():
        pairs: list[tuple[str, str]] = []
        if isinstance(module, nn.Sequential):
            pairs = list(pairwise(dict(module.named_children())))
        elif isinstance(module, ConvLayer) or (isinstance(module, AttendedConv) and module.attention is None):
            pairs = [("conv", "norm")]
        elif isinstance(module, FullLayer):
            pairs = [("linear", "norm")]
        for weights, norm in pairs:
            if isinstance(getattr(module, weights), Weights) and foldable(getattr(module, norm)):
                yield module, weights, norm


def _fold_pool(layer: ConvLayer) -> None:
    if not isinstance(layer.pool, nn.AvgPool2d):
        return
    conv, window = layer.conv, int(layer.pool.kernel_size)  # type: ignore[call-overload]  # one number: `ConvLayer` gives it so
    before, size = conv.weight.double() / window**2, conv.kernel_size[0]
    side = size + window - 1
    weight = before.new_zeros(*before.shape[:2], side, side)
    for down in range(window):
        for right in range(window):
            weight[:, :, down : down + size, right : right + size] += before
    conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
    conv.kernel_size, conv.stride, layer.pool = (side, side), (window, window), nn.Identity()
