"""Fresh Python processes: for memory, first calls and whole commands, which a process that has worked before would spoil."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dvspipe.errors import DvspipeError

LINES = 8  # of what it said last, in the error


@dataclass(frozen=True, slots=True)
class Finished:
    """What a process printed as JSON, and how long it took in s."""

    result: dict[str, Any]
    seconds: float


def run_module(module: str, arguments: Sequence[str], threads: int | None = None) -> Finished:
    """`python -m module arguments`; its last line of stdout is one JSON document. Raises `DvspipeError` when it fails."""
    environment = dict(os.environ)
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=environment)
    seconds = time.perf_counter() - start
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-LINES:])
        raise DvspipeError(
            f"bench: python -m {module} {' '.join(arguments)} ended with code {done.returncode}:\n{said}"
        )
    return Finished(json.loads(done.stdout.strip().splitlines()[-1]), seconds)
