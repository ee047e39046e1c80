"""Table `memory`: what a training step adds to a process at its peak, each variant in a fresh one."""

from __future__ import annotations

import json

import torch

from dvspipe.bench import steps
from dvspipe.bench.children import run_module
from dvspipe.bench.measuring import EQUAL, said
from dvspipe.bench.peers.choice import peers
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.steps import BF16, FLOOR, FP32
from dvspipe.bench.table import Peer, Row, Table, ratio

NOTES = (
    "Highest resident memory during three steps, less what the process held when network and batch were there and a tiny "
    "step had been made. On a GPU: torch's allocations. Ours keeps freed memory, as dvspipe train does.",
    "Floor: convolutions, batch norms, pools and full connections alone in bf16.",
)


def run(settings: BenchSettings) -> Table:
    """Without attention and with TCSA."""
    rows = [
        row for size in settings.sizes for attention in ("none", "TCSA") for row in _rows(size, attention, settings)
    ]
    return Table("memory", "Peak memory of a training step.", rows, [*NOTES, *peers()[1]])


def _rows(size: tuple[int, int], attention: str, settings: BenchSettings) -> list[Row]:
    work = steps.make_work((size[0], 1), attention, settings)
    chosen = {name: dtype for name, (dtype, _) in steps.variants(work, everything=not settings.quick).items()}
    if settings.quick:
        chosen = {name: dtype for name, dtype in chosen.items() if name.startswith("SpikingJelly")}
    names = [BF16, FP32, FLOOR, *chosen]
    held = {}
    for done, name in enumerate(names):
        held[name] = _added_mb(name, size, attention, settings)
        settings.progress(name, done + 1, len(names))
    case = f"{attention}, T={size[0]} B={size[1]}"
    verdicts = {
        name: steps.check(work, peer, dtype) for name, (dtype, peer) in steps.variants(work).items() if name in chosen
    }
    rows = []
    for dtype in (BF16, FP32):
        columns = {}
        for name in (name for name, its in chosen.items() if dtype == BF16 or its == FP32):
            verdict = said(verdicts.get(name, EQUAL), "")
            by = ratio(held[name], held[dtype], "MB") if verdict.equal else None
            columns[name] = Peer(held[name], by, verdict.words)
        rows.append(Row(f"{case}, ours {dtype}", held[dtype], "MB", held[FLOOR], columns, memory_mb=held[dtype]))
    return rows


def _added_mb(variant: str, size: tuple[int, int], attention: str, settings: BenchSettings) -> float:
    threads = settings.threads or torch.get_num_threads()
    asked = {"variant": variant, "attention": attention, "size": size, "width": settings.width, "seed": settings.seed}
    done = run_module("dvspipe.bench.memory_child", [json.dumps({**asked, "threads": threads})], threads)
    return float(done.result["added_mb"])
