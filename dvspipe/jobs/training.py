"""What a dataset of any kind gives to train on."""

from __future__ import annotations

from typing import NamedTuple

from torch.utils.data import DataLoader


class Training(NamedTuple):
    """(samples [..], label [B]) for training and validation; `counts` of samples per split, `subjects` that validate."""

    train: DataLoader
    val: DataLoader
    counts: dict[str, int]
    subjects: list[int]
