"""Table `inference`: a whole clip through the three-conv Gesture network without gradients."""

from __future__ import annotations

from dvspipe.bench import steps
from dvspipe.bench.gate import RULE
from dvspipe.bench.peers.choice import peers
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.table import Row, Table
from dvspipe.bench.training import measured_rows
from dvspipe.learn.memory import keep_freed_memory

NOTES = (
    RULE,
    "Evaluation mode, batch norms folded into the weights for all.",
    "Floor: folded convolutions, pools and full connections alone, bf16, channels_last.",
)


def run(settings: BenchSettings) -> Table:
    """Without attention and with TCSA."""
    keep_freed_memory()
    cases = [(size, attention) for size in settings.sizes for attention in ("none", "TCSA")]
    rows = [each for case in cases for each in _rows(*case, settings)]
    return Table("inference", "A whole clip without gradients.", rows, [*NOTES, *peers()[1]])


def _rows(size: tuple[int, int], attention: str, settings: BenchSettings) -> list[Row]:
    work = steps.make_work(size, attention, settings, evaluated=True)
    return measured_rows(work, f"{attention}, T={size[0]} B={size[1]}", steps.inference_step, settings)
