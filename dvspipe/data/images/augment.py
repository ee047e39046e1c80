"""torchvision's v2 transforms as augmentation, by name from a recipe: [{name = "RandomCrop", padding = 4}, ...].

`size` needs not be said: it is what the network sees. `interpolation` and AutoAugment's `policy` are words ("bilinear",
"cifar10"). Knows no dataset and no labels: **a mirrored digit is another one or none**; a flip belongs in no digits recipe.
CutMix and MixUp mix whole batches, they are in `mix`; here only their lines are taken out of the recipe.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from dvspipe.data.images.mix import MIXES, BatchMix, check_mixes
from dvspipe.errors import RecipeError, nearest

Transform = Callable[[torch.Tensor], torch.Tensor]
CROPS = ("RandomCrop", "RandomResizedCrop")
ON_PIXELS = (
    *CROPS,
    "RandomHorizontalFlip",
    "RandomRotation",
    "ColorJitter",
    "AutoAugment",
    "RandAugment",
    "TrivialAugmentWide",
)
ON_VALUES = ("RandomErasing", "Cutout")
KNOWN = (*ON_PIXELS, *ON_VALUES, *MIXES)
# Arguments that are not the recipe's: results must keep their size, be new tensors and stay in [0,1].
HIDDEN = ("inplace", "expand", "center", "antialias")


class Cutout:
    """One square of black, `length` pixels wide, centred anywhere in the image and cut at its edges (DeVries 2017)."""

    def __init__(self, length: int) -> None:
        if type(length) is not int or length < 1:
            raise ValueError(f"length = {length!r}: allowed are whole pixels, at least 1")
        self.length = length

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[-2:]
        # The square is [centre - length // 2, centre + length - length // 2): all of `length` for odd lengths too.
        top = int(torch.randint(height, ())) - self.length // 2
        left = int(torch.randint(width, ())) - self.length // 2
        image = image.clone()
        image[..., max(top, 0) : top + self.length, max(left, 0) : left + self.length] = 0
        return image


class ImageAugmentation:
    """Transforms in the recipe's order, those on 8 bits first, then those on values in [0,1].

    `tables` are the recipe's lines, `size` (W,H) and `channels` what a network sees. Raises RecipeError, all faults at
    once, for unknown names (with the nearest), for arguments that a transform does not take, and for those it fails on.
    """

    def __init__(self, tables: Sequence[Mapping[str, Any]], size: tuple[int, int], channels: int) -> None:
        self.tables, faults = [dict(table) for table in tables], list[str]()
        self.size = size
        self._mixes = [table for table in self.tables if table.get("name") in MIXES]
        names = [str(table.get("name")) for table in self.tables]
        crops = [name for name in names if name in CROPS]
        self.crop = crops[0] if crops else None
        if len(crops) > 1:
            faults.append(f"{' and '.join(crops)}: one of them makes the size; leave the other out")
        steps = [self._step(table, channels, faults) for table in self.tables if table not in self._mixes]
        faults += check_mixes(self._mixes)
        if faults:
            raise RecipeError("[augment] transforms", faults)
        self._on_pixels = [step for name, step in steps if name in ON_PIXELS]
        self._on_values = [step for name, step in steps if name in ON_VALUES]

    def pixels(self, image: torch.Tensor) -> torch.Tensor:
        """uint8 [C,H,W] -> the same type, of `size`. Draws from torch's global generator."""
        for step in self._on_pixels:
            image = step(image)
        return image

    def values(self, image: torch.Tensor) -> torch.Tensor:
        """float [C,H,W] in [0,1] -> the same, with holes of black."""
        for step in self._on_values:
            image = step(image)
        return image

    def mix(self, classes: int) -> BatchMix | None:
        """CutMix and MixUp of the recipe, None where it has none."""
        return BatchMix(self._mixes, classes) if self._mixes else None

    def _step(self, table: Mapping[str, Any], channels: int, faults: list[str]) -> tuple[str, Transform]:
        """(name, transform), or one that does nothing with faults added."""
        name, arguments = str(table.get("name")), {key: value for key, value in table.items() if key != "name"}
        if name not in KNOWN:
            faults.append(
                f"unknown transform {table.get('name')!r}{nearest(name, list(KNOWN))}. Known: {', '.join(KNOWN)}"
            )
            return name, torch.Tensor.clone
        wrong = _wrong_arguments(name, arguments, self.size)
        faults += wrong
        if wrong:
            return name, torch.Tensor.clone
        try:
            step = _made(name, arguments, self.size)
            _try(step, name in ON_VALUES, self.size, channels)
        except (TypeError, ValueError, AssertionError, RuntimeError, AttributeError, KeyError) as error:
            faults.append(f"{name}: {error or 'argument out of range'} {arguments}")
            return name, torch.Tensor.clone
        return name, step


def _kind(name: str) -> Callable[..., Transform]:
    from torchvision.transforms import v2

    return Cutout if name == "Cutout" else getattr(v2, name)


def _wrong_arguments(name: str, arguments: Mapping[str, Any], size: tuple[int, int]) -> list[str]:
    takes = {
        key: each
        for key, each in inspect.signature(_kind(name)).parameters.items()
        if key not in HIDDEN and each.kind is not each.VAR_KEYWORD
    }
    wrong = [
        f"{name}: unknown argument '{key}'{nearest(key, list(takes))}. It takes: {', '.join(takes) or 'none'}"
        for key in arguments
        if key not in takes
    ]
    wrong += [
        f"{name}: argument '{key}' is missing"
        for key, each in takes.items()
        if each.default is each.empty and key not in arguments and key != "size"
    ]
    given = arguments.get("size", size[::-1])
    if name in CROPS and given not in ([size[1], size[0]], size[::-1], size[0] if size[0] == size[1] else None):
        wrong.append(f"{name}: size = {given}, the network sees {size[0]}x{size[1]}. Leave size out")
    if name == "RandomErasing" and arguments.get("value") == "random":
        wrong.append("RandomErasing: value = 'random' leaves 0..1, which no spike encoder takes. Allowed: 0..1")
    return wrong


def _made(name: str, arguments: Mapping[str, Any], size: tuple[int, int]) -> Transform:
    from torchvision.transforms import v2

    words: dict[str, Any] = {"interpolation": v2.InterpolationMode, "policy": v2.AutoAugmentPolicy}
    given = {key: words[key](value) if key in words else value for key, value in arguments.items()}
    if name in CROPS:
        given["size"] = size[::-1]
    if name == "RandomResizedCrop":
        given["antialias"] = True
    return _kind(name)(**given)


def _try(step: Transform, on_values: bool, size: tuple[int, int], channels: int) -> None:
    """Some arguments fail only when they are used. The generator is put back: looking must not change a run."""
    before = torch.default_generator.get_state()
    try:
        image = torch.zeros(channels, size[1], size[0], dtype=torch.float32 if on_values else torch.uint8)
        shape = step(image).shape
    finally:
        torch.default_generator.set_state(before)
    if shape != image.shape:
        raise ValueError(f"makes {shape[-1]}x{shape[-2]} pixels of {size[0]}x{size[1]}")
