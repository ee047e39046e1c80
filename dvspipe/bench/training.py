"""Table `training`: one step of the three-conv Gesture network, forward, loss, backward and Adam."""

from __future__ import annotations

from collections.abc import Callable

from dvspipe.bench import steps
from dvspipe.bench.gate import RULE, Verdict
from dvspipe.bench.measuring import KEPT, MS, first_calls, measure, row, said
from dvspipe.bench.peers.choice import peers
from dvspipe.bench.settings import BenchSettings
from dvspipe.bench.steps import BF16, FLOOR, FP32, Step
from dvspipe.bench.table import Row, Table
from dvspipe.learn.memory import keep_freed_memory

NOTES = (
    RULE,
    "One skeleton, one set of weights; neurons (and with TCSA the attention) are the library's. Each library in the faster "
    "of contiguous and channels_last, which its note says. bf16: torch's autocast. TCSA: SpikingJelly's own attention.",
    "Floor: convolutions, batch norms, pools, full connections, loss and Adam alone, bf16, channels_last.",
    KEPT,
)


def run(settings: BenchSettings) -> Table:
    """Without attention and with TCSA."""
    keep_freed_memory()
    cases = [(size, attention) for size in settings.sizes for attention in ("none", "TCSA")]
    rows = [each for case in cases for each in _rows(*case, settings)]
    return Table("training", "A training step of the three-conv Gesture network.", rows, [*NOTES, *peers()[1]])


def _rows(size: tuple[int, int], attention: str, settings: BenchSettings) -> list[Row]:
    work = steps.make_work(size, attention, settings)
    return measured_rows(work, f"{attention}, T={size[0]} B={size[1]}", steps.training_step, settings)


def measured_rows(work: steps.Work, case: str, step: Step, settings: BenchSettings) -> list[Row]:
    """Ours in bf16 beside all peers, and in fp32 beside those in fp32; all of one interleaved run."""
    chosen = steps.variants(work, everything=not settings.quick)
    verdicts: dict[str, Verdict] = {}
    first: dict[str, float] = {}
    cases: dict[str, Callable[[], object]] = {}
    for dtype in (BF16, FP32):
        cases[dtype] = step(steps.own(work), work, dtype)
        first |= first_calls({dtype: cases[dtype]})
    cases[FLOOR] = step(steps.floor(work), work, BF16)
    for name, (dtype, peer) in chosen.items():
        cases[name], layout, first[name] = steps.in_best_layout(work, peer, dtype, step)
        verdicts[name] = said(steps.check(work, peer, dtype), layout)
    measured = measure(cases, settings, first)
    floor = measured[FLOOR].timing.median_s * MS
    same = {name: verdict for name, verdict in verdicts.items() if chosen[name][0] == FP32}
    return [
        row(f"{case}, ours {BF16}", BF16, measured, verdicts, floor),
        row(f"{case}, ours {FP32}", FP32, measured, same, floor),
    ]
