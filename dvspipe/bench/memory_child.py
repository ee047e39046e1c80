"""One training step in a process of its own: `python -m dvspipe.bench.memory_child JSON` prints what it held at its peak."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

from dvspipe.bench import steps
from dvspipe.bench.peak import ProcessPeak
from dvspipe.bench.settings import BenchSettings
from dvspipe.learn.memory import keep_freed_memory

STEPS = 3  # the first makes Adam's moments


def main(asked: dict[str, Any]) -> dict[str, float]:
    """`asked` is variant, attention, size, width, seed, threads. MiB of the process beyond what it held before the step."""
    if asked["threads"]:
        torch.set_num_threads(int(asked["threads"]))
    if asked["variant"] in (steps.BF16, steps.FP32):
        keep_freed_memory()  # as `dvspipe train` does
    settings = BenchSettings(width=asked["width"], seed=asked["seed"])
    tiny = BenchSettings(width=1 / 8, seed=asked["seed"])
    _step(asked["variant"], (2, 1), asked["attention"], tiny)()  # compiles, loads, warms up
    call = _step(asked["variant"], tuple(asked["size"]), asked["attention"], settings)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    peak = ProcessPeak()
    peak.start()
    for _ in range(STEPS):
        call()
    if torch.cuda.is_available():
        return {"added_mb": (torch.cuda.max_memory_allocated() - before) / 2**20}
    return {"added_mb": peak.added()}


def _step(variant: str, size: tuple[int, int], attention: str, settings: BenchSettings) -> Any:
    work = steps.make_work(size, attention, settings)
    if variant == steps.FLOOR:
        return steps.training_step(steps.floor(work), work, steps.BF16)
    if variant in (steps.BF16, steps.FP32):
        return steps.training_step(steps.Ours(work.network), work, variant)
    dtype, peer = steps.variants(work)[variant]
    return steps.training_step(steps.skeleton(work, peer, channels_last=False), work, dtype)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
