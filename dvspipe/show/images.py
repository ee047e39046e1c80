"""What reports of networks for still images show beside those for events: one image's code, layer by layer and step by
step, the answer after every step, and energy under three rules of counting.

Gives pictures and words, as the templates take them; what they look like is `parts.html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dvspipe.show.encoding import Strip
from dvspipe.show.inside import HEAT, some_layers
from dvspipe.show.maps import heat, photo
from dvspipe.show.summary import ImageCase, RunSummary

MOST_STEPS = 12  # of a long code, evenly chosen, so that cells stay large enough to read
CODE = "code"  # the layer that an encoder puts behind the stem; its strips stand with the encoder's


class Words(NamedTuple):
    """How a report calls what was tested, and what goes on while a network looks at it."""

    sample: str
    samples: str
    over_time: str
    deciding: str


CLIPS = Words("clip", "clips", "Accuracy over observed time", "Deciding from the first part of a clip only")
IMAGES = Words("image", "images", "Accuracy over steps", "The answer after the first steps only")

COUNTING_WORDS = {
    "every step": (
        "made anew at every step",
        "First convolution and gate run T times, as in released code. Leaves nothing out, though the image never changes.",
    ),
    "once": (
        "what repeats made once",
        "Leaves out the repetitions: first convolution and gate of an image that does not change run once. Used above.",
    ),
    "gate excluded": (
        "gate left out",
        "Leaves out, besides, making the gate and multiplying it on, as published figures of GAC appear to.",
    ),
}


def words(runs: Sequence[RunSummary]) -> Words:
    """Those of images where the first run with a recipe was trained on images."""
    return IMAGES if next((run.sample for run in runs if run.recipe), "clip") == "image" else CLIPS


def image_cases(runs: Sequence[tuple[str, RunSummary]], with_layers: bool = True) -> list[dict[str, Any]]:
    """One test image in every run that has one: code, gate, spikes of every layer (own scale), answers, over the steps."""
    found = []
    for name, run in runs:
        if (case := run.image) is None:
            continue
        total = len(case.answers)
        steps = sorted({round(float(step)) for step in np.linspace(0, total - 1, min(total, MOST_STEPS))})
        layers, left_out = _layers(run, steps) if with_layers else ([], 0)
        truth = (run.evaluation.get("clip") or {}).get("truth")
        found.append(
            {
                "name": name,
                "picture": photo(case.picture),
                "size": f"{case.picture.shape[1]}×{case.picture.shape[0]}",
                "decoded": _decoded(case),
                "facts": run.evaluation.get("encoder") or case.facts,
                "analog": all(case.facts["analog"]),
                "steps": [step + 1 for step in steps],
                "total": total,
                "rows": [_strip_row(strip, steps) for strip in case.strips],
                "layers": layers,
                "left_out": left_out,
                "answers": [case.answers[step] | {"right": case.answers[step]["label"] == truth} for step in steps],
                "truth": truth,
                "scale": HEAT,
            }
        )
    return found


def countings(energies: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any] | None:
    """Energy per image under every rule of counting, mean over each name's evaluations; None where nobody counted so."""
    rows: list[dict[str, Any]] = []
    for name, every in energies.items():
        known = [found for each in every if (found := (each.get("energy") or {}).get("countings"))]
        if known:
            means = [float(np.mean([each[rule] for each in known])) for rule in COUNTING_WORDS]
            rows.append({"name": name, "values": means})
    if not rows:
        return None
    same = all(max(row["values"]) - min(row["values"]) <= 1e-9 * max(row["values"]) for row in rows)
    return {"rules": list(COUNTING_WORDS.values()), "rows": rows, "same": same}


def _strip_row(strip: Strip, steps: Sequence[int]) -> dict[str, Any]:
    """Cells with whether they are analog, and the strip's figures."""
    cells = [{"image": photo(strip.cells[step]), "analog": strip.analog[step]} for step in steps]
    return {"name": strip.name, "words": strip.words, "cells": cells, "figures": strip.figures}


def _layers(run: RunSummary, steps: Sequence[int]) -> tuple[list[dict[str, Any]], int]:
    """A row per layer with pixels, and how many layers in between are left out."""
    known = {name: maps for name, maps in (run.inside.steps if run.inside else {}).items() if name != CODE}
    chosen, rows = some_layers(list(known)), []
    for name in chosen:
        maps = known[name]
        top = float(maps.max())
        cells = [{"image": heat(maps[step], top), "analog": False} for step in steps]
        size = f"{maps.shape[1]}×{maps.shape[2]}"
        rows.append({"name": name, "size": size, "top": top, "cells": cells, "mean": float(maps.mean())})
    return rows, len(known) - len(chosen)


def _decoded(case: ImageCase) -> str | None:
    """What the code still holds; not shown where that is the image itself."""
    back = case.strips[0].decoded
    return None if back is None or case.facts["reconstruction_error"] == 0 else photo(back)
