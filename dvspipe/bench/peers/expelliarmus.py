"""expelliarmus's readers: C decoders for Prophesee's formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from expelliarmus import Wizard
from numpy.typing import NDArray

ENCODINGS = "evt2", "evt3", "dat"


def reading(path: Path) -> Callable[[], tuple[NDArray, NDArray, NDArray, NDArray]]:
    """Reads a whole file into columns t, x, y, p."""
    encoding = next(each for each in ENCODINGS if each in path.name)

    def read() -> tuple[NDArray, NDArray, NDArray, NDArray]:
        table = Wizard(encoding=encoding).read(path)
        return table["t"].astype(np.int64), table["x"].astype(np.uint16), table["y"].astype(np.uint16), table["p"] > 0

    return read
