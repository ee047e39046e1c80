"""What every encoder is: an image [B,C,H,W] in, T steps [T,B,C,H,W] out, and back again as far as the code allows.

Here are the checks on images that all encoders share. Nothing here is trained, and nothing knows about networks: what a
network must know of a code (which steps are real numbers, whether all steps are one image) stands in attributes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dvspipe.errors import ShapeError, UsageError


class Encoder(nn.Module, ABC):
    """`steps` = T. Raises `UsageError` for a T outside what the code can do."""

    name: ClassVar[str]  # the word in a recipe
    unit: ClassVar[bool] = True  # takes pixel values in [0,1] only; False: normalised (signed) images too
    repeats: ClassVar[bool] = False  # every step is the same image, returned with stride 0 along T
    front: Any = None  # (kit, channels, size) -> a layer behind the network's stem, where the encoder has one (GAC)
    own_stem: bool = False  # the analog steps want a convolution and norm of their own in the network
    beside_analog: ClassVar[Mapping[str, Any]] = {}  # settings that `Hybrid` adds, because it shows the image first

    def __init__(self, steps: int, least: int = 1, most: int = 2**15) -> None:
        super().__init__()
        whole = isinstance(steps, int) and not isinstance(steps, bool)
        if not whole or not least <= steps <= most:
            raise UsageError(
                f"encoder '{self.name}' cannot have T = {steps!r} steps: it takes {least} to {most}. "
                f"Set encoder.steps to one of these{' or use encoder direct, which takes T = 1' if least > 1 else ''}"
            )
        self.steps = steps

    @property
    def analog(self) -> tuple[bool, ...]:
        """Per step: whether it holds real numbers, which cost the first layer a multiply-accumulate pass."""
        return (False,) * self.steps

    @property
    def spike_driven(self) -> tuple[bool, ...]:
        """Per step: whether it holds spikes, which cost the first layer accumulates."""
        return tuple(not step for step in self.analog)

    @property
    @abstractmethod
    def bound(self) -> float | None:
        """Largest |target(image) - decode(code)| that exact arithmetic allows; None where chance sets no bound."""

    def forward(self, image: Tensor) -> Tensor:
        """Image [B,C,H,W] -> code [T,B,C,H,W] of the same type.

        Raises `ShapeError` for other axes, `UsageError` for whole-number pixels, NaN, infinity or, in codes with
        `unit`, values outside [0,1] (one reduction over the image; rounding errors of mixing are cut off).
        """
        return self._encode(self._checked(image))

    def decode(self, code: Tensor) -> Tensor:
        """Code [T,B,C,H,W] -> image [B,C,H,W]. Raises `ShapeError` for a code of another T.

        A pixel is the middle of all values that have its code, where the code's docstring names nothing else.
        """
        if code.ndim != 5 or len(code) != self.steps:
            raise ShapeError(
                f"code [T,B,C,H,W] = {list(code.shape)} is none of encoder '{self.name}', T = {self.steps}"
            )
        return self._decode(wide(code)).to(code.dtype)

    def target(self, image: Tensor) -> Tensor:
        """What `decode` tries to give back: the image, except in codes that normalise it themselves."""
        return image

    @abstractmethod
    def _encode(self, image: Tensor) -> Tensor:
        """A checked image -> its code."""

    @abstractmethod
    def _decode(self, code: Tensor) -> Tensor:
        """A code in single or double precision -> the image."""

    def _checked(self, image: Tensor) -> Tensor:
        if image.ndim != 4 or not image.numel():
            raise ShapeError(f"encoder '{self.name}' takes images [B,C,H,W], none of them 0, got {list(image.shape)}")
        if not image.is_floating_point():
            raise UsageError(
                f"encoder '{self.name}' takes floating-point pixels, got {str(image.dtype).removeprefix('torch.')}: "
                "divide 8-bit pixels by 255"
            )
        low, high = torch.stack(torch.aminmax(image)).tolist()  # NaN comes through
        if not math.isfinite(low + high):
            raise UsageError(f"encoder '{self.name}': image {_first_bad(image)} of the batch holds NaN or infinity")
        if not self.unit or (low >= 0 and high <= 1):
            return image
        return self._cut(image, low, high)

    def _cut(self, image: Tensor, low: float, high: float) -> Tensor:
        """Mixed images leave [0,1] by a rounding error, which is no fault; anything more is."""
        slack = 4 * torch.finfo(image.dtype).eps
        if low < -slack or high > 1 + slack:
            raise UsageError(
                f"encoder '{self.name}' takes pixel values in [0,1], got {low:.4g}..{high:.4g}: a normalised image? "
                "Switch normalisation off (encoder.normalise = false) or use encoder 'direct' or 'gac'"
            )
        return image.clamp(0, 1)

    def extra_repr(self) -> str:
        """Shown when the encoder is printed."""
        return f"'{self.name}', steps={self.steps}"


class SpikeCode(Encoder):
    """A code of spikes alone: {0,1} at every step. A subclass says where the spikes are."""

    def _encode(self, image: Tensor) -> Tensor:
        return self._spikes(wide(image)).to(image.dtype)

    @abstractmethod
    def _spikes(self, image: Tensor) -> Tensor:
        """An image in single or double precision -> spikes [T,B,C,H,W], boolean or {0,1}."""

    def _each_step(self, like: Tensor) -> Tensor:
        """0..T-1 as integers [T,1,1,1,1], to be held against an image [B,C,H,W]."""
        return torch.arange(self.steps, device=like.device, dtype=torch.int32).view(-1, 1, 1, 1, 1)


def wide(values: Tensor) -> Tensor:
    """At least single precision: sums and products of half-precision pixels would move them between levels."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def level(values: Tensor, levels: int, upper: bool = False) -> Tensor:
    """Integer level min(floor(values · levels), levels - 1) of values in [0,1], or with `upper` ceil(values · levels).

    Tie rule: k / levels itself, as the values' own type rounds it, belongs to level k. Held against a product or 1 - k/T
    it would depend on rounding: 1 - 6/7 lies above 1/7 in double precision.
    """
    first, last = (0, levels) if upper else (1, levels)
    edges = torch.arange(first, last, device=values.device, dtype=values.dtype) / levels
    return torch.bucketize(values.contiguous(), edges, out_int32=True, right=not upper)


def _first_bad(image: Tensor) -> int:
    return int((~torch.isfinite(image)).flatten(1).any(1).nonzero()[0])
