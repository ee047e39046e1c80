"""`BatchMix`: CutMix and MixUp, drawn once per batch, on images before any encoding; `image_collate` makes the batch.

torchvision's v2 transforms, which mix every image with its neighbour in the batch. What a batch draws depends on its key
(seed, epoch, first index) alone, not on workers. Knows no dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dvspipe.data.images.seeding import Key, seeded
from dvspipe.errors import nearest

MIXES = ("CutMix", "MixUp")
DEFAULTS: dict[str, Any] = {"alpha": 1.0, "p": 1.0, "epochs": None}


class BatchMix:
    """At most one of the recipe's mixes per batch, each with its own probability `p` (together at most 1).

    `alpha` of Beta(alpha, alpha) is the share of the first image; 1 (default) is uniform, as in GAC and ASNN. With
    `epochs` a mix acts in the first so many only (ASNN: 145 of 200).
    """

    def __init__(self, tables: Sequence[Mapping[str, Any]], classes: int) -> None:
        self.tables, self.classes = [{**DEFAULTS, **table} for table in tables], classes

    def __call__(self, images: torch.Tensor, labels: torch.Tensor, key: Key) -> tuple[torch.Tensor, torch.Tensor]:
        """Images [B,C,H,W] and labels int64 [B] -> mixed images and soft labels float32 [B,K] that sum to 1: the shares
        of area (CutMix) or of brightness (MixUp). Labels are soft in batches that are not mixed, too.
        """
        from torchvision.transforms import v2

        with seeded("batch", *key):
            draw = float(torch.rand(()))
            for table in self.tables:
                if 0 <= draw < table["p"] and (table["epochs"] is None or key[1] <= table["epochs"]):
                    return getattr(v2, table["name"])(alpha=float(table["alpha"]), num_classes=self.classes)(
                        images, labels
                    )
                draw -= table["p"]
        return images, torch.nn.functional.one_hot(labels, self.classes).to(torch.float32)


def check_mixes(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with the recipe's lines."""
    faults = []
    for table in tables:
        name = table["name"]
        for key, value in table.items():
            if key == "name":
                continue
            if key not in DEFAULTS:
                known = ", ".join(DEFAULTS)
                faults.append(f"{name}: unknown argument '{key}'{nearest(key, list(DEFAULTS))}. It takes: {known}")
            elif not _allowed(key, value):
                ranges = {"alpha": "more than 0", "p": "0..1", "epochs": "whole numbers from 1"}
                faults.append(f"{name}: {key} = {value!r}, allowed: {ranges[key]}")
    shares = [table.get("p", 1.0) for table in tables]
    if not faults and sum(shares) > 1 + 1e-9:
        faults.append(f"p of {' and '.join(table['name'] for table in tables)} add up to {sum(shares):g}, allowed is 1")
    return faults


def _allowed(key: str, value: Any) -> bool:
    if type(value) not in ((int,) if key == "epochs" else (int, float)):
        return False
    return {"alpha": value > 0, "p": 0 <= value <= 1, "epochs": value >= 1}[key]


def image_collate(
    items: Sequence[tuple[torch.Tensor, int]], mix: BatchMix | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A DataLoader's `collate_fn`: (images [B,C,H,W], labels int64 [B]), with `mix` labels float32 [B,K].

    `mix` needs the key that `ImageDataset` gives a batch; use functools.partial(image_collate, mix=mix).
    """
    images = torch.stack([image for image, _ in items])
    labels = torch.tensor([label for _, label in items])
    if mix is None:
        return images, labels
    return mix(images, labels, items.key)  # type: ignore[attr-defined]
