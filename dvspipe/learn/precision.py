"""Which number format a machine trains fastest in, asked of the hardware."""

from __future__ import annotations

from typing import Literal

import torch

FabricPrecision = Literal["32-true", "bf16-mixed"]


def fabric_precision(name: str) -> FabricPrecision:
    """Fabric's name for a recipe's precision. "auto": bf16 autocast where the GPU, or the CPU's matrix unit, has it.

    Weights, batch norm and the membrane potential stay fp32 either way.
    """
    if name == "auto":
        name = "bf16" if _has_fast_bf16() else "32"
    return "bf16-mixed" if name == "bf16" else "32-true"


def _has_fast_bf16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
